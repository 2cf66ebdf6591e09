//! A model whose shape is known only at run time, in streams of fixed capacity: same kernels, same bits as
//! [`Model`](crate::Model).

use core::marker::PhantomData;

use crate::blob::{self, Affine, Blob, Header, Regions};
use crate::cast::{Line, Plain, numbers, numbers_mut, words};
use crate::error::Error;
use crate::format::{Exact, Format};
use crate::hash::BitHash;
use crate::layer::{Input, copy, dense, embedding, gru, pool, take};
use crate::spec::{LayerSpec, Output, with_one_hot};
use crate::window::AnyWindow;

/// A checked model of any chain of layers, borrowed from the bytes of its blob.
#[derive(Clone, Debug)]
pub struct AnyModel<'a, F = Exact> {
    blob: Blob<'a>,
    format: PhantomData<F>,
}

impl<'a, F: Format> AnyModel<'a, F> {
    /// Checks the bytes of a blob, from end to end. No part of them is copied.
    pub fn from_blob<B: AsRef<[u8]> + ?Sized>(blob: &'a B) -> Result<Self, Error> {
        let blob = Blob::parse(blob.as_ref())?;
        blob::expect_storage(F::STORAGE, blob.header().storage)?;
        blob.header().expect_chain()?;
        Ok(Self { blob, format: PhantomData })
    }

    /// What the blob says of itself.
    pub fn header(&self) -> &Header<'a> {
        self.blob.header()
    }

    /// The capacity that a stream of this model needs, in words of 4 bytes.
    pub fn capacity(&self) -> usize {
        capacity::<F>(&self.header().layers)
    }

    /// A stream that has seen nothing; an error that names the capacity needed if `CAP` is too small, and of a model with a
    /// bidirectional layer, which needs a [`window`](Self::window).
    pub fn stream<const CAP: usize>(&self) -> Result<AnyStream<'_, 'a, heapless::Vec<u32, CAP>, F>, Error> {
        if let Some(layer) = self.header().layers.iter().position(|layer| layer.direction().is_some()) {
            return Err(Error::Bidirectional { layer });
        }
        Ok(self.stream_in(memory(self.capacity())?))
    }

    /// A stream with memory from the heap: any model fits. With a bidirectional layer its steps are errors.
    #[cfg(feature = "alloc")]
    pub fn heap_stream(&self) -> AnyStream<'_, 'a, alloc::vec::Vec<u32>, F> {
        self.stream_in(alloc::vec![0; self.capacity()])
    }

    /// `memory` holds [`capacity`](Self::capacity) zeros.
    fn stream_in<M>(&self, memory: M) -> AnyStream<'_, 'a, M, F> {
        let Regions { affine, layers, .. } = self.blob.regions();
        AnyStream { layers: &self.header().layers, affine, tensors: layers, memory, format: PhantomData }
    }

    /// Whether it has a bidirectional layer, so that it runs in a window alone.
    pub fn is_bidirectional(&self) -> bool {
        self.header().is_bidirectional()
    }

    /// The capacity that a window of up to `steps` steps needs, in words of 4 bytes.
    pub fn window_capacity(&self, steps: usize) -> usize {
        Sizes::of_window::<F>(&self.header().layers, steps).all()
    }

    /// A window that is empty, for series of up to `steps` steps; an error that names the capacity needed if `CAP` is too
    /// small.
    pub fn window<const CAP: usize>(
        &self,
        steps: usize,
    ) -> Result<AnyWindow<'_, 'a, heapless::Vec<u32, CAP>, F>, Error> {
        Ok(self.window_in(memory(self.window_capacity(steps))?, steps))
    }

    /// A window with memory from the heap.
    #[cfg(feature = "alloc")]
    pub fn heap_window(&self, steps: usize) -> AnyWindow<'_, 'a, alloc::vec::Vec<u32>, F> {
        self.window_in(alloc::vec![0; self.window_capacity(steps)], steps)
    }

    /// `memory` holds [`window_capacity`](Self::window_capacity) words.
    fn window_in<M>(&self, memory: M, steps: usize) -> AnyWindow<'_, 'a, M, F> {
        AnyWindow::new(self.stream_in(memory), steps, self.header().output == Output::LastStep)
    }

    /// The outputs in real units of a whole series of samples `(steps, inputs)`: of every step or of the last, as the model was
    /// trained. `observe` is shown what [`AnyStream::step_observed`] says, and where the model has a bidirectional layer what
    /// [`AnyWindow::finish_observed`] says. Memory comes from the heap.
    ///
    /// # Errors
    /// If the samples are no whole number of steps.
    #[cfg(feature = "alloc")]
    pub fn run_series(
        &self,
        samples: &[f32],
        mut observe: impl FnMut(usize, &[F::Unit], &[F::Unit]),
    ) -> Result<alloc::vec::Vec<f32>, Error> {
        let inputs = self.header().inputs();
        if self.is_bidirectional() {
            let mut window = self.heap_window(samples.len().div_ceil(inputs));
            for sample in samples.chunks(inputs) {
                window.push(sample)?;
            }
            return Ok(window.finish_observed(observe)?.to_vec());
        }
        let (mut stream, mut outputs) = (self.heap_stream(), alloc::vec::Vec::new());
        for sample in samples.chunks(inputs) {
            let last = stream.step_observed(sample, &mut observe)?;
            if self.header().output != Output::EveryStep {
                outputs.clear();
            }
            outputs.extend_from_slice(last);
        }
        Ok(outputs)
    }

    /// Runs the inputs that the blob brings, and compares the bits of the outputs with those that the exporter saw. With a
    /// bidirectional layer that takes the [`window_capacity`](Self::window_capacity) of their steps.
    pub fn self_test<const CAP: usize>(&self) -> Result<(), Error> {
        self.compare(self.golden_hash(memory::<CAP>(self.golden_capacity())?)?)
    }

    /// [`self_test`](Self::self_test) in memory from the heap.
    #[cfg(feature = "alloc")]
    pub fn self_test_on_heap(&self) -> Result<(), Error> {
        self.compare(self.golden_hash(alloc::vec![0; self.golden_capacity()])?)
    }

    fn compare(&self, found: u64) -> Result<(), Error> {
        let expected = F::golden(&self.header().golden).ok_or(Error::NoSelfTest)?;
        if expected == found { Ok(()) } else { Err(Error::SelfTest { expected, found }) }
    }

    /// Words that [`golden_hash`](Self::golden_hash) needs.
    pub(crate) fn golden_capacity(&self) -> usize {
        if self.is_bidirectional() {
            self.window_capacity(self.header().golden.steps as usize)
        } else {
            self.capacity()
        }
    }

    /// The hash of the outputs' bits over the inputs that the blob brings: of all steps in a fresh stream; with a bidirectional
    /// layer, of what a window gives. `memory` holds as many zeros as [`golden_capacity`](Self::golden_capacity) says.
    pub(crate) fn golden_hash<M: AsMut<[u32]>>(&self, memory: M) -> Result<u64, Error> {
        let mut hash = BitHash::new();
        if self.is_bidirectional() {
            let mut window = self.window_in(memory, self.header().golden.steps as usize);
            let mut inputs = self.blob.golden_inputs();
            while let Some((x, rest)) = inputs.split_at_checked(self.header().inputs()).filter(|(x, _)| !x.is_empty()) {
                window.push(x)?;
                inputs = rest;
            }
            hash.update(window.finish()?);
            return Ok(hash.finish());
        }
        let mut stream = self.stream_in(memory);
        let mut inputs = self.blob.golden_inputs();
        // Not `chunks_exact`, which panics for a width of 0: the compiler does not know that there is none.
        while let Some((x, rest)) = inputs.split_at_checked(self.header().inputs()).filter(|(x, _)| !x.is_empty()) {
            hash.update(stream.step(x)?);
            inputs = rest;
        }
        Ok(hash.finish())
    }
}

/// How a stream's memory is divided, in words: all states, two frames (a layer's inputs and outputs), a layer's scratch,
/// and the real outputs. A window's has one layer's state, and frames and outputs of all its steps.
pub(crate) struct Sizes {
    pub state: usize,
    pub frame: usize,
    pub operands: usize,
    pub sums: usize,
    pub outputs: usize,
}

impl Sizes {
    pub fn of<F: Format>(layers: &[LayerSpec]) -> Self {
        let largest = |size: fn(&LayerSpec, bool) -> usize| largest(layers, size);
        Sizes {
            state: words::<F::Unit>(elements_of_state(layers)),
            frame: words::<F::Unit>(largest(|layer, one_hot| taken(layer, one_hot).max(given(layer)))),
            operands: words::<F::Unit>(largest(|layer, one_hot| {
                let inputs = if one_hot { 0 } else { layer.inputs().next_multiple_of(F::GROUP) };
                match layer {
                    LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => 0,
                    LayerSpec::Bidirectional { hidden, .. } => inputs + usize::from(*hidden).next_multiple_of(F::GROUP),
                    _ => inputs + layer.state().next_multiple_of(F::GROUP),
                }
            })),
            sums: words::<F::Sum>(largest(|layer, _| match layer {
                LayerSpec::Gru { hidden, .. } | LayerSpec::Bidirectional { hidden, .. } => 3 * usize::from(*hidden),
                LayerSpec::Dense { outputs, .. } => usize::from(*outputs),
                LayerSpec::Embedding { .. } | LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => 0,
            })),
            outputs: layers.last().map_or(0, LayerSpec::outputs),
        }
    }

    /// Of a window of so many steps.
    pub fn of_window<F: Format>(layers: &[LayerSpec], steps: usize) -> Self {
        // Far more than there can be, and little enough that the sum of all parts does not overflow.
        let all = |elements: usize| steps.saturating_mul(elements).min(usize::MAX / 16);
        let Sizes { operands, sums, outputs, .. } = Self::of::<F>(layers);
        let frame = largest(layers, |layer, one_hot| taken(layer, one_hot).max(layer.observed()));
        Sizes {
            state: words::<F::Unit>(largest(layers, |layer, _| layer.state())),
            frame: words::<F::Unit>(all(frame)),
            operands,
            sums,
            outputs: all(outputs),
        }
    }

    pub fn all(&self) -> usize {
        let Sizes { state, frame, operands, sums, outputs } = self;
        state + 2 * frame + operands + sums + outputs
    }
}

/// The largest size of any layer; a size depends on whether the layer's inputs are one-hot.
fn largest(layers: &[LayerSpec], size: fn(&LayerSpec, bool) -> usize) -> usize {
    with_one_hot(layers).map(|(layer, one_hot)| size(layer, one_hot)).max().unwrap_or(0)
}

/// Elements that are handed to a layer: its inputs, or the token that stands for them if they are one-hot.
pub(crate) fn taken(layer: &LayerSpec, one_hot: bool) -> usize {
    if one_hot { 1 } else { layer.inputs() }
}

/// Elements that a layer hands on: its outputs, or the token that stands for them if they are one-hot.
pub(crate) fn given(layer: &LayerSpec) -> usize {
    if let LayerSpec::OneHot { .. } = layer { 1 } else { layer.outputs() }
}

/// Elements of state of all layers.
fn elements_of_state(layers: &[LayerSpec]) -> usize {
    layers.iter().map(LayerSpec::state).sum()
}

/// So many zeros, if they fit.
pub(crate) fn memory<const CAP: usize>(needed: usize) -> Result<heapless::Vec<u32, CAP>, Error> {
    let mut memory = heapless::Vec::new();
    match memory.resize(needed, 0) {
        Ok(()) => Ok(memory),
        Err(_) => Err(Error::Capacity { needed, found: CAP }),
    }
}

/// One run of an [`AnyModel`] over time, in memory `M`: a [`heapless::Vec`], or a `Vec`.
#[derive(Clone, Debug)]
pub struct AnyStream<'m, 'a, M, F = Exact> {
    pub(crate) layers: &'m [LayerSpec],
    pub(crate) affine: Affine<'a>,
    /// Those of these layers, and perhaps more.
    pub(crate) tensors: &'a [Line],
    /// As many words as [`capacity`] says, zeros at first.
    pub(crate) memory: M,
    pub(crate) format: PhantomData<F>,
}

/// The words that a stream through `layers` needs.
pub(crate) fn capacity<F: Format>(layers: &[LayerSpec]) -> usize {
    Sizes::of::<F>(layers).all()
}

impl<M: AsMut<[u32]>, F: Format> AnyStream<'_, '_, M, F> {
    /// One step: a sample in real sensor units to outputs in real units.
    pub fn step(&mut self, sample: &[f32]) -> Result<&[f32], Error> {
        self.step_observed(sample, |_, _, _| {})
    }

    /// [`step`](Self::step) that shows `observe` each layer's number, its inputs and its outputs, in units: for calibration
    /// and for counting saturations.
    ///
    /// # Errors
    /// If the sample has another length than the model has inputs, or the model has a bidirectional layer.
    #[inline(always)]
    pub fn step_observed(
        &mut self,
        sample: &[f32],
        observe: impl FnMut(usize, &[F::Unit], &[F::Unit]),
    ) -> Result<&[f32], Error> {
        let affine = self.affine;
        let fill = |x: &mut [F::Unit]| {
            for (((unit, &sample), &mean), &scale) in x.iter_mut().zip(sample).zip(affine.mean).zip(affine.scale) {
                *unit = F::from_real(sample, mean, scale);
            }
        };
        let (units, reals) = self.step_units(sample.len(), fill, observe)?;
        let scales = affine.output_scale.iter().zip(affine.output_offset);
        for ((real, &unit), (&scale, &offset)) in reals.iter_mut().zip(units).zip(scales) {
            *real = F::to_real(unit, scale, offset);
        }
        Ok(reals)
    }

    /// One step in native units, without normalisation: for a front end that delivers what the network computes in.
    /// NaN becomes 0, infinities ±2⁶⁴.
    ///
    /// # Errors
    /// If `x` has another length than the model has inputs.
    pub fn step_raw(&mut self, x: &[F::Unit]) -> Result<&[F::Unit], Error> {
        let fill = |own: &mut [F::Unit]| {
            for (own, &given) in own.iter_mut().zip(x) {
                *own = F::sanitize(given);
            }
        };
        Ok(self.step_units(x.len(), fill, |_, _, _| {})?.0)
    }

    /// A step for each of the `samples`, an array `(steps, inputs)`, into `outputs`, `(steps, outputs)`, with the same bits as
    /// [`step`](Self::step).
    ///
    /// # Errors
    /// If the samples are no whole number of steps, or there are not as many outputs; no step is then taken.
    pub fn run(&mut self, samples: &[f32], outputs: &mut [f32]) -> Result<(), Error> {
        // Never 0, but the compiler does not know.
        let inputs = self.layers.first().map_or(1, LayerSpec::inputs).max(1);
        let width = self.layers.last().map_or(1, LayerSpec::outputs).max(1);
        let steps = samples.len() / inputs;
        if !samples.len().is_multiple_of(inputs) {
            return Err(Error::Length { what: "samples of `run`", expected: steps * inputs, found: samples.len() });
        }
        if !outputs.len().is_multiple_of(width) || outputs.len() / width != steps {
            let expected = steps.saturating_mul(width);
            return Err(Error::Length { what: "outputs of `run`", expected, found: outputs.len() });
        }
        for (sample, output) in samples.chunks(inputs).zip(outputs.chunks_mut(width)) {
            copy(output, self.step(sample)?);
        }
        Ok(())
    }

    /// One step in native units: `fill` writes the `length` inputs. What comes of it: outputs in native units, and room for
    /// them in real ones.
    #[inline(always)]
    fn step_units(
        &mut self,
        length: usize,
        fill: impl FnOnce(&mut [F::Unit]),
        mut observe: impl FnMut(usize, &[F::Unit], &[F::Unit]),
    ) -> Result<(&[F::Unit], &mut [f32]), Error> {
        let layers = self.layers;
        let inputs = layers.first().map_or(0, LayerSpec::inputs);
        if length != inputs {
            return Err(Error::Length { what: "sample", expected: inputs, found: length });
        }
        let sizes = Sizes::of::<F>(layers);
        let Sizes { state, frame, operands, sums, outputs } = sizes;
        let mut memory = self.memory.as_mut();
        // Never too short: `stream_in` is its only source. But the compiler cannot know, and this must not panic.
        let short = Error::Capacity { needed: sizes.all(), found: memory.len() };
        let mut states = part::<F::Unit>(&mut memory, state);
        let (mut x, mut y) = (part::<F::Unit>(&mut memory, frame), part::<F::Unit>(&mut memory, frame));
        let (operands, sums) = (part::<F::Unit>(&mut memory, operands), part::<F::Sum>(&mut memory, sums));
        let reals = numbers_mut::<f32>(memory);
        let mut tensors = self.tensors;

        fill(x.get_mut(..inputs).unwrap_or_default());
        for (index, (layer, one_hot)) in with_one_hot(layers).enumerate() {
            let weights = take(&mut tensors, layer.lines(F::STORAGE) as usize);
            let (Some(inputs), Some(outputs)) = (x.get(..taken(layer, one_hot)), y.get_mut(..given(layer))) else {
                return Err(short);
            };
            if layer.direction().is_some() {
                return Err(Error::Bidirectional { layer: index });
            }
            let Some((state, rest)) = states.split_at_mut_checked(layer.state()) else {
                return Err(short);
            };
            let inputs_of_layer = if one_hot { Input::one_hot(layer.inputs(), inputs) } else { Input::Dense(inputs) };
            if step::<F>(layer, weights, state, inputs_of_layer, outputs, operands, sums).is_none() {
                return Err(short);
            }
            states = rest;
            observe(index, inputs, outputs);
            core::mem::swap(&mut x, &mut y);
        }
        Ok((x.get(..outputs).unwrap_or_default(), reals.get_mut(..outputs).unwrap_or_default()))
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.memory.as_mut().fill(0);
    }

    /// The states of all layers that have one, one after the other: a GRU's units; a pool's fields, in the order of
    /// [`MeanState`](pool::MeanState) or [`MaxState`](pool::MaxState).
    pub fn state(&self) -> &[F::Unit]
    where
        M: AsRef<[u32]>,
    {
        numbers(self.memory.as_ref()).get(..elements_of_state(self.layers)).unwrap_or_default()
    }

    /// Continues from `state`. NaN becomes 0, infinities ±2⁶⁴.
    pub fn set_state(&mut self, state: &[F::Unit]) -> Result<(), Error> {
        let length = elements_of_state(self.layers);
        let own = numbers_mut::<F::Unit>(self.memory.as_mut()).get_mut(..length).unwrap_or_default();
        if own.len() != state.len() {
            return Err(Error::Length { what: "state", expected: own.len(), found: state.len() });
        }
        for (own, &given) in own.iter_mut().zip(state) {
            *own = F::sanitize(given);
        }
        let mut rest = own;
        for layer in self.layers {
            let Some((state, after)) = rest.split_at_mut_checked(layer.state()) else { break };
            if let LayerSpec::Pool { over, .. } = *layer {
                pool::sanitize::<F>(over, state);
            }
            rest = after;
        }
        Ok(())
    }
}

/// One step of a layer that answers at each step, from its `state`, in units. `operands` and `sums` are scratch; `None` if there
/// is too little of it.
#[inline(always)]
pub(crate) fn step<F: Format>(
    layer: &LayerSpec,
    weights: &[Line],
    state: &mut [F::Unit],
    x: Input<'_, F>,
    y: &mut [F::Unit],
    operands: &mut [F::Unit],
    sums: &mut [F::Sum],
) -> Option<()> {
    // None where they are one-hot, which a chain hands only to layers that take this.
    let units = if let Input::Dense(x) = x { x } else { &[] };
    match *layer {
        LayerSpec::Gru { reset, gate, candidate, .. } => {
            let kind = gru::Kind { reset, gate, candidate };
            gru::step::<F>(weights, kind, state, x, operands, sums.get_mut(..3 * state.len())?);
            copy(y, state);
        }
        LayerSpec::Dense { activation, .. } => {
            dense::step::<F>(weights, activation, x, operands, sums.get_mut(..y.len())?, y);
        }
        LayerSpec::Embedding { vocabulary, .. } => embedding::step::<F>(weights, vocabulary.into(), units, y),
        LayerSpec::Pool { over, .. } => pool::step::<F>(over, state, units, y),
        // The next layer takes the token.
        LayerSpec::OneHot { .. } => copy(y, units),
        // Its callers run its directions, which are GRUs.
        LayerSpec::Bidirectional { .. } => {}
    }
    Some(())
}

/// The first so many words of `memory` as numbers; `memory` moves on past them.
pub(crate) fn part<'a, T: Plain>(memory: &mut &'a mut [u32], words: usize) -> &'a mut [T] {
    let (part, rest) = core::mem::take(memory).split_at_mut_checked(words).unwrap_or_default();
    *memory = rest;
    numbers_mut(part)
}
