//! A model of a typed network, and the streams that run it.
//!
//! **If** a sample holds a NaN **then** that channel counts as its mean; **if** it holds an infinity or a value beyond
//! ±2⁶⁴ after normalisation **then** it counts as ±2⁶⁴. So no sample can poison a stream: states and outputs are finite
//! for ever.

use core::fmt;
use core::marker::PhantomData;

use crate::blob::{self, Expected, Header, Regions};
use crate::cast::{self, Line};
use crate::error::Error;
use crate::format::Format;
use crate::hash::BitHash;
use crate::layer::{Frame, State};
use crate::network::{Network, RealInput, RealOutput, WindowNetwork};
use crate::window::Window;

/// A checked model of network `N`, borrowed from the bytes of its blob.
pub struct Model<'a, N: WindowNetwork> {
    header: &'a [u8],
    tensors: &'a [Line],
    network: PhantomData<N>,
}

impl<N: WindowNetwork> Clone for Model<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N: WindowNetwork> Copy for Model<'_, N> {}

impl<N: WindowNetwork> fmt::Debug for Model<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("layers", &N::SPECS).finish_non_exhaustive()
    }
}

impl<'a, N: WindowNetwork> Model<'a, N> {
    /// Checks the bytes of a blob, from end to end, against the network. No part of them is copied. What does not matter to
    /// running it, names and provenance, is checked by [`header`](Self::header).
    pub fn from_blob<B: AsRef<[u8]> + ?Sized>(blob: &'a B) -> Result<Self, Error> {
        let (header, tensors) = blob::load(blob.as_ref(), const { &expected::<N>() })?;
        Ok(Self { header, tensors, network: PhantomData })
    }

    /// What the blob says of itself. Decoded anew, because it takes more RAM than is worth keeping.
    pub fn header(&self) -> Result<Header<'a>, Error> {
        blob::decode(self.header)
    }

    /// A window that is empty, for series of up to `W` steps.
    ///
    /// # Errors
    /// If the header cannot be read, although the tensors can.
    pub fn window<const W: usize>(&self) -> Result<Window<'a, N, W>, Error> {
        Ok(Window::new(self.header, self.tensors, blob::only_last(self.header)?))
    }
}

impl<'a, N: Network> Model<'a, N> {
    /// A stream that has seen nothing. As many as wanted share one model.
    pub fn stream(&self) -> Stream<'a, N> {
        Stream { tensors: self.tensors, state: N::State::ZERO }
    }

    /// Runs the inputs that the blob brings, and compares the bits of the outputs with those that the exporter saw.
    pub fn self_test(&self) -> Result<(), Error> {
        let golden = blob::golden(self.header)?;
        let expected = N::Format::golden(&golden).ok_or(Error::NoSelfTest)?;
        let mut stream = self.stream();
        let mut hash = BitHash::new();
        let inputs = cast::floats(regions::<N>(self.tensors).golden).chunks_exact(inputs::<N>());
        for x in inputs.take(golden.steps as usize) {
            hash.update(stream.step_slice(x).as_ref());
        }
        let found = hash.finish();
        if expected == found { Ok(()) } else { Err(Error::SelfTest { expected, found }) }
    }
}

/// One run of a model over time: its state, and where its weights are. All the RAM that a network needs between steps is
/// `size_of::<Stream<N>>()`.
pub struct Stream<'a, N: Network> {
    tensors: &'a [Line],
    state: N::State,
}

impl<N: Network> Clone for Stream<'_, N> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<N: Network> fmt::Debug for Stream<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<N: Network> Stream<'_, N> {
    /// One step: a sample in real sensor units to outputs in real units. Allocates nothing and cannot fail.
    #[inline]
    pub fn step(&mut self, sample: &RealInput<N>) -> RealOutput<N> {
        self.step_slice(sample.as_ref())
    }

    /// A step for each sample, with the same bits as [`step`](Self::step). The slices must have one length.
    pub fn run(&mut self, samples: &[RealInput<N>], outputs: &mut [RealOutput<N>]) -> Result<(), Error> {
        if samples.len() != outputs.len() {
            return Err(Error::Length { what: "outputs of `run`", expected: samples.len(), found: outputs.len() });
        }
        for (sample, output) in samples.iter().zip(outputs) {
            *output = self.step(sample);
        }
        Ok(())
    }

    /// One step in native units, without normalisation: for a front end that delivers what the network computes in.
    /// NaN becomes 0, infinities ±2⁶⁴.
    #[inline]
    pub fn step_raw(&mut self, x: &N::Input) -> N::Output {
        N::step(regions::<N>(self.tensors).layers, &mut self.state, &x.sanitized())
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.state = N::State::ZERO;
    }

    /// The state: a tuple with one element for each layer, `[f32; H]` for a GRU, `()` for a dense
    /// layer, a struct for a [`Pool`](crate::Pool).
    pub fn state(&self) -> &N::State {
        &self.state
    }

    /// Continues from `state`, saved earlier or made by another network. NaN becomes 0, infinities ±2⁶⁴.
    pub fn set_state(&mut self, mut state: N::State) {
        state.sanitize();
        self.state = state;
    }

    /// The code of a network, in one copy.
    #[inline(never)]
    fn step_slice(&mut self, sample: &[f32]) -> RealOutput<N> {
        let Regions { affine, layers, .. } = regions::<N>(self.tensors);
        let x = N::Input::from_real(sample, affine.mean, affine.scale);
        N::step(layers, &mut self.state, &x).to_real(affine.output_scale, affine.output_offset)
    }
}

const fn expected<N: WindowNetwork>() -> Expected {
    let (storage, layers) = (N::Format::STORAGE, N::SPECS);
    Expected { storage, layers, lines: N::LINES as u64, fingerprint: N::FINGERPRINT }
}

pub(crate) const fn inputs<N: WindowNetwork>() -> usize {
    <N::Input as Frame<N::Format>>::LEN
}

#[inline(always)]
pub(crate) fn regions<N: WindowNetwork>(tensors: &[Line]) -> Regions<'_> {
    Regions::cut(tensors, inputs::<N>(), <N::Output as Frame<N::Format>>::LEN, N::LINES)
}
