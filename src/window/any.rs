//! A window whose network is known only at run time: same kernels, same bits as [`Window`](super::Window).

use crate::any::{AnyStream, Sizes, given, part, step, taken};
use crate::cast::numbers_mut;
use crate::error::Error;
use crate::format::{Exact, Format};
use crate::layer::{Input, bidirectional, copy, take};
use crate::spec::{LayerSpec, last_with_state, with_one_hot};

/// Up to a number of steps of a series, and the room to run an [`AnyModel`](crate::AnyModel) over them, in memory `M`: a
/// [`heapless::Vec`], or a `Vec`.
#[derive(Clone, Debug)]
pub struct AnyWindow<'m, 'a, M, F = Exact> {
    /// The model, and the memory, of which [`Sizes::of_window`] says how it is divided.
    stream: AnyStream<'m, 'a, M, F>,
    /// Steps that there is room for.
    steps: usize,
    /// Steps that are filled.
    len: usize,
    only_last: bool,
}

impl<'m, 'a, M, F> AnyWindow<'m, 'a, M, F> {
    /// `stream` has memory for a window of so many steps.
    pub(crate) fn new(stream: AnyStream<'m, 'a, M, F>, steps: usize, only_last: bool) -> Self {
        Self { stream, steps, len: 0, only_last }
    }

    /// Steps that it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all steps.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl<M: AsMut<[u32]>, F: Format> AnyWindow<'_, '_, M, F> {
    /// Adds a step: a sample in real sensor units.
    ///
    /// # Errors
    /// If there is no room for it, or it has another length than the model has inputs.
    pub fn push(&mut self, sample: &[f32]) -> Result<(), Error> {
        let AnyStream { layers, affine, ref mut memory, .. } = self.stream;
        let inputs = layers.first().map_or(0, LayerSpec::inputs);
        if sample.len() != inputs {
            return Err(Error::Length { what: "sample", expected: inputs, found: sample.len() });
        }
        if self.len >= self.steps {
            return Err(Error::Full { steps: self.steps });
        }
        let mut memory = memory.as_mut();
        let Sizes { state, frame, .. } = Sizes::of_window::<F>(layers, self.steps);
        part::<F::Unit>(&mut memory, state);
        let x = row_mut(part::<F::Unit>(&mut memory, frame), self.len, inputs);
        for (((unit, &sample), &mean), &scale) in x.iter_mut().zip(sample).zip(affine.mean).zip(affine.scale) {
            *unit = F::from_real(sample, mean, scale);
        }
        self.len += 1;
        Ok(())
    }

    /// Runs the model over the steps, and empties the window. Gives the outputs in real units: `(steps, outputs)` of a model
    /// with an output at every step, else `(outputs)`, of the whole series; none of an empty window.
    ///
    /// # Errors
    /// None with the memory that a model gives.
    pub fn finish(&mut self) -> Result<&[f32], Error> {
        self.finish_observed(|_, _, _| {})
    }

    /// [`finish`](Self::finish) that shows `observe` each layer's number, its inputs and its outputs at each step that it runs,
    /// in units, layer after layer. Of a bidirectional layer it shows the states of both directions in place of the outputs
    /// that they merge into, at every step even where only the last outputs count.
    ///
    /// # Errors
    /// As there.
    pub fn finish_observed(&mut self, mut observe: impl FnMut(usize, &[F::Unit], &[F::Unit])) -> Result<&[f32], Error> {
        let AnyStream { layers, affine, mut tensors, ref mut memory, .. } = self.stream;
        let sizes = Sizes::of_window::<F>(layers, self.steps);
        let mut memory = memory.as_mut();
        // Never too short: a model's `window_in` is its only source. But the compiler cannot know, and this must not panic.
        let short = Error::Capacity { needed: sizes.all(), found: memory.len() };
        let states = part::<F::Unit>(&mut memory, sizes.state);
        let (mut x, mut y) = (part::<F::Unit>(&mut memory, sizes.frame), part::<F::Unit>(&mut memory, sizes.frame));
        let operands = part::<F::Unit>(&mut memory, sizes.operands);
        let sums = part::<F::Sum>(&mut memory, sizes.sums);
        let reals = numbers_mut::<f32>(memory);

        let last = if self.only_last { last_with_state(layers) } else { layers.len() };
        let mut steps = core::mem::take(&mut self.len);
        for (index, (layer, one_hot)) in with_one_hot(layers).enumerate() {
            let weights = take(&mut tensors, layer.lines(F::STORAGE) as usize);
            let (inputs, outputs) = (taken(layer, one_hot), given(layer));
            let input = |x| if one_hot { Input::one_hot(layer.inputs(), x) } else { Input::Dense(x) };
            let state = states.get_mut(..layer.state()).unwrap_or_default();
            state.fill(F::Unit::default());
            if let LayerSpec::Bidirectional { hidden, merge, .. } = *layer {
                let (hidden, gru) = (usize::from(hidden), layer.direction().unwrap_or(*layer));
                let (forward, backward) = bidirectional::directions(weights);
                let (Some((f, b)), width) = (state.split_at_mut_checked(hidden), layer.observed()) else {
                    return Err(short);
                };
                for t in 0..steps {
                    let (x, y) = (row(x, t, inputs), row_mut(y, t, width));
                    let Some((y, _)) = y.split_at_mut_checked(hidden) else { return Err(short) };
                    step::<F>(&gru, forward, f, input(x), y, operands, sums).ok_or(short)?;
                }
                for t in (0..steps).rev() {
                    let (x, y) = (row(x, t, inputs), row_mut(y, t, width));
                    let Some((_, y)) = y.split_at_mut_checked(hidden) else { return Err(short) };
                    step::<F>(&gru, backward, b, input(x), y, operands, sums).ok_or(short)?;
                }
                for t in 0..steps {
                    observe(index, row(x, t, inputs), row(y, t, width));
                }
                if index == last && steps > 0 {
                    // `f` ends in the forward state after the last step, `b` in the backward one after the first.
                    copy(y, f);
                    copy(y.get_mut(hidden..).unwrap_or_default(), b);
                    steps = 1;
                }
                // In place: no outputs reach beyond the states that they are made of.
                for t in 0..steps {
                    copy(b, row(y, t, width).get(hidden..).unwrap_or_default());
                    let (from, to) = (t.wrapping_mul(width), t.wrapping_mul(outputs));
                    for unit in 0..hidden {
                        if let Some(&state) = y.get(from.wrapping_add(unit))
                            && let Some(y) = y.get_mut(to.wrapping_add(unit))
                        {
                            *y = state;
                        }
                    }
                    bidirectional::merge::<F>(merge, row_mut(y, t, outputs), b);
                }
            } else {
                for t in 0..steps {
                    let (x, y) = (row(x, t, inputs), row_mut(y, t, outputs));
                    step::<F>(layer, weights, state, input(x), y, operands, sums).ok_or(short)?;
                    observe(index, x, y);
                }
                if index == last && steps > 0 {
                    let (first, rest) = y.split_at_mut_checked(outputs).unwrap_or_default();
                    if steps > 1 {
                        copy(first, row(rest, steps - 2, outputs));
                    }
                    steps = 1;
                }
            }
            core::mem::swap(&mut x, &mut y);
        }
        let outputs = layers.last().map_or(0, LayerSpec::outputs);
        for t in 0..steps {
            let scales = affine.output_scale.iter().zip(affine.output_offset);
            let (reals, units) = (row_mut(reals, t, outputs), row(x, t, outputs));
            for ((real, &unit), (&scale, &offset)) in reals.iter_mut().zip(units).zip(scales) {
                *real = F::to_real(unit, scale, offset);
            }
        }
        Ok(reals.get(..steps.wrapping_mul(outputs)).unwrap_or_default())
    }
}

/// Row `index` of rows that have `width` elements each; empty beyond the end.
fn row<T>(rows: &[T], index: usize, width: usize) -> &[T] {
    rows.get(index.wrapping_mul(width)..).and_then(|rest| rest.get(..width)).unwrap_or_default()
}

/// The same to write to.
fn row_mut<T>(rows: &mut [T], index: usize, width: usize) -> &mut [T] {
    rows.get_mut(index.wrapping_mul(width)..).and_then(|rest| rest.get_mut(..width)).unwrap_or_default()
}
