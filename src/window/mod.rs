//! Running a network over a window: a series of 1 to `W` steps that is complete before the answer, as
//! [`Bidirectional`](crate::Bidirectional) layers need it. Any other network runs so too, with the bits of its
//! [`Stream`](crate::Stream).
//!
//! ```no_run
//! use grulet::{Bidirectional, Dense, Model, Softmax};
//!
//! type Net = (Bidirectional<6, 32, 64>, Dense<64, 4, Softmax>);
//!
//! # fn gesture(blob: &'static grulet::Aligned<[u8]>, samples: &[[f32; 6]]) -> Result<(), grulet::Error> {
//! let model = Model::<Net>::from_blob(blob)?;
//! let mut window = model.window::<100>()?; // all the RAM there is: size_of::<Window<Net, 100>>()
//! window.self_test()?;
//! for sample in samples {
//!     window.push(sample)?;
//! }
//! for probabilities in window.finish() {
//!     // of each step, or of the whole window, as the model was trained; the window is empty again
//!     # let _: [f32; 4] = probabilities;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **If** a sample is refused **then** the window is as it was before. What [`Model`](crate::Model) says of NaN and infinities
//! holds here.

mod any;

use core::fmt;

pub use any::AnyWindow;

use crate::blob;
use crate::cast::{self, Line};
use crate::error::Error;
use crate::format::Format;
use crate::hash::BitHash;
use crate::layer::Frame;
use crate::model::{inputs, regions};
use crate::network::{RealInput, RealOutput, WindowNetwork};

/// Up to `W` steps of a series, and the room to run network `N` over them. All the RAM that takes is
/// `size_of::<Window<N, W>>()`: the steps' inputs and every layer's outputs.
pub struct Window<'a, N: WindowNetwork, const W: usize> {
    header: &'a [u8],
    tensors: &'a [Line],
    only_last: bool,
    /// Steps that are filled.
    len: usize,
    inputs: [N::Input; W],
    frames: N::Frames<W>,
}

impl<N: WindowNetwork, const W: usize> Clone for Window<'_, N, W> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<N: WindowNetwork, const W: usize> fmt::Debug for Window<'_, N, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("layers", &N::SPECS).field("len", &self.len).finish_non_exhaustive()
    }
}

impl<'a, N: WindowNetwork, const W: usize> Window<'a, N, W> {
    pub(crate) fn new(header: &'a [u8], tensors: &'a [Line], only_last: bool) -> Self {
        const { assert!(W > 0, "a window has room for at least one step") };
        Self { header, tensors, only_last, len: 0, inputs: [N::Input::ZERO; W], frames: N::frames() }
    }

    /// Adds a step: a sample in real sensor units.
    ///
    /// # Errors
    /// If there are `W` steps already.
    pub fn push(&mut self, sample: &RealInput<N>) -> Result<(), Error> {
        self.push_slice(sample.as_ref())
    }

    /// Adds a step in native units, without normalisation. NaN becomes 0, infinities ±2⁶⁴.
    ///
    /// # Errors
    /// If there are `W` steps already.
    pub fn push_raw(&mut self, x: &N::Input) -> Result<(), Error> {
        let step = self.inputs.get_mut(self.len).ok_or(Error::Full { steps: W })?;
        *step = x.sanitized();
        self.len += 1;
        Ok(())
    }

    /// Runs the network over the steps, and empties the window. Gives the outputs in real units: of each step for a model with
    /// an output at every step, else one, of the whole series; none of an empty window.
    pub fn finish(&mut self) -> impl ExactSizeIterator<Item = RealOutput<N>> {
        let affine = regions::<N>(self.tensors).affine;
        self.run(self.only_last).iter().map(move |y| y.to_real(affine.output_scale, affine.output_offset))
    }

    /// [`finish`](Self::finish) with outputs in native units.
    pub fn finish_raw(&mut self) -> &[N::Output] {
        self.run(self.only_last)
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

    /// Runs the inputs that the blob brings, and compares the bits of the outputs with those that the exporter saw. The window
    /// is empty afterwards.
    ///
    /// # Errors
    /// If they differ, if the blob brings no inputs, or more than `W` steps.
    pub fn self_test(&mut self) -> Result<(), Error> {
        self.clear();
        let golden = blob::golden(self.header)?;
        let expected = N::Format::golden(&golden).ok_or(Error::NoSelfTest)?;
        let samples = cast::floats(regions::<N>(self.tensors).golden).chunks_exact(inputs::<N>());
        for x in samples.take(golden.steps as usize) {
            self.push_slice(x)?;
        }
        let affine = regions::<N>(self.tensors).affine;
        let mut hash = BitHash::new();
        // Of a network that answers at each step, the hash is of all answers, as a stream gives them.
        for y in self.run(self.only_last && N::BIDIRECTIONAL) {
            hash.update(y.to_real(affine.output_scale, affine.output_offset).as_ref());
        }
        let found = hash.finish();
        if expected == found { Ok(()) } else { Err(Error::SelfTest { expected, found }) }
    }

    #[inline(never)]
    fn push_slice(&mut self, sample: &[f32]) -> Result<(), Error> {
        let affine = regions::<N>(self.tensors).affine;
        self.push_raw(&N::Input::from_real(sample, affine.mean, affine.scale))
    }

    /// The code of a network, in one copy.
    #[inline(never)]
    fn run(&mut self, only_last: bool) -> &[N::Output] {
        let xs = self.inputs.get(..self.len).unwrap_or(&[]);
        self.len = 0;
        N::run(regions::<N>(self.tensors).layers, only_last, xs, &mut self.frames)
    }
}
