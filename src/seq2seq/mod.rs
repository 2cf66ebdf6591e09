//! Encoder-decoder networks: from one sequence to another of its own length (Cho et al. 2014; Sutskever et al. 2014).
//!
//! The encoder is a network that reads the whole source; what is left of it is the states of its GRUs. The decoder is a
//! network whose GRUs start from these. It takes tokens and gives a score for each token: first it takes the start token, then
//! each token that was chosen, until that is the stop token.
//!
//! ```no_run
//! use grulet::{Dense, Embedding, Gru, Seq2Seq, Softmax};
//!
//! type Sums = Seq2Seq<'static, (Embedding<14, 16>, Gru<16, 128>), (Embedding<14, 16>, Gru<16, 128>, Dense<128, 14, Softmax>)>;
//!
//! # fn answer(blob: &'static grulet::Aligned<[u8]>, source: &[u16]) -> Result<(), grulet::Error> {
//! let model = Sums::from_blob(blob)?;
//! let mut encoder = model.encoder();
//! for &token in source {
//!     encoder.step(&[token.into()]);
//! }
//! for token in encoder.decoder() {
//!     // one token after the other, until the model stops
//!     # let _ = token;
//! }
//! let whole: grulet::heapless::Vec<u16, 4> = encoder.decoder().decode();
//! # let _ = whole;
//! # Ok(())
//! # }
//! ```

mod any;

use core::fmt;
use core::marker::PhantomData;

pub use any::{AnyDecoder, AnyEncoder, AnySeq2Seq};

use crate::blob::{self, ExpectedPair, Header, Regions};
use crate::cast::{self, Aligned, Line};
use crate::error::Error;
use crate::format::Format;
use crate::hash::BitHash;
use crate::layer::{Frame, State, copy};
use crate::network::{Network, RealInput, RealOutput};
use crate::spec::{Decoding, fingerprint_of_pair, hands_over};

/// A checked model of an encoder `E` and a decoder `D`, borrowed from the bytes of its blob.
pub struct Seq2Seq<'a, E, D> {
    header: &'a [u8],
    tensors: &'a [Line],
    decoding: Decoding,
    pair: PhantomData<(E, D)>,
}

impl<E, D> Clone for Seq2Seq<'_, E, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E, D> Copy for Seq2Seq<'_, E, D> {}

impl<E: Network, D: Network> fmt::Debug for Seq2Seq<'_, E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seq2Seq").field("encoder", &E::SPECS).field("decoder", &D::SPECS).finish_non_exhaustive()
    }
}

impl<'a, E: Network, D: Network<Format = E::Format>> Seq2Seq<'a, E, D> {
    const FINGERPRINT: u64 = {
        assert!(
            hands_over(E::SPECS, D::SPECS),
            "a decoder starts from its encoder's states: give both GRUs of the same sizes in the same order, and no pools"
        );
        assert!(
            <D::Input as Frame<D::Format>>::LEN == 1,
            "a decoder takes tokens: let it begin with an Embedding or a OneHot"
        );
        fingerprint_of_pair(E::Format::STORAGE, E::SPECS, D::SPECS)
    };

    /// Whether `blob` is of this format's version, complete, and made for this network. For use in a `const` assertion.
    pub const fn fits(blob: &Aligned<[u8]>) -> bool {
        blob::has_fingerprint(blob, Self::FINGERPRINT)
    }

    /// Checks the bytes of a blob, from end to end, against the network. No part of them is copied.
    ///
    /// # Errors
    /// If they are not a model of this network.
    pub fn from_blob<B: AsRef<[u8]> + ?Sized>(blob: &'a B) -> Result<Self, Error> {
        let (header, tensors, decoding) = blob::load_pair(
            blob.as_ref(),
            const {
                &ExpectedPair {
                    storage: E::Format::STORAGE,
                    encoder: E::SPECS,
                    decoder: D::SPECS,
                    lines: (E::LINES + D::LINES) as u64,
                    fingerprint: Self::FINGERPRINT,
                }
            },
        )?;
        Ok(Self { header, tensors, decoding, pair: PhantomData })
    }

    /// What the blob says of itself; its output names are those of the tokens.
    ///
    /// # Errors
    /// If that cannot be read, although the model can be run.
    pub fn header(&self) -> Result<Header<'a>, Error> {
        blob::decode(self.header)
    }

    /// Start and stop token, and the longest sequence.
    pub fn decoding(&self) -> Decoding {
        self.decoding
    }

    /// An encoder that has seen nothing. As many as wanted share one model.
    pub fn encoder(&self) -> Encoder<'a, E, D> {
        Encoder { model: *self, state: E::State::ZERO }
    }

    /// Encodes the inputs that the blob brings, decodes greedily, and compares the bits of the scores with those that the
    /// exporter saw.
    ///
    /// # Errors
    /// If they differ, or the blob brings no inputs.
    pub fn self_test(&self) -> Result<(), Error> {
        let golden = blob::golden(self.header)?;
        let expected = E::Format::golden(&golden).ok_or(Error::NoSelfTest)?;
        let mut encoder = self.encoder();
        let inputs = cast::floats(self.regions().golden).chunks_exact(<E::Input as Frame<E::Format>>::LEN);
        for x in inputs.take(golden.steps as usize) {
            encoder.step_slice(x);
        }
        let mut decoder = encoder.decoder();
        let mut hash = BitHash::new();
        while let Some((_, scores)) = decoder.choose() {
            hash.update(scores.as_ref());
        }
        let found = hash.finish();
        if expected == found { Ok(()) } else { Err(Error::SelfTest { expected, found }) }
    }

    #[inline(always)]
    fn regions(&self) -> Regions<'a> {
        let (inputs, outputs) = (<E::Input as Frame<E::Format>>::LEN, <D::Output as Frame<D::Format>>::LEN);
        Regions::cut(self.tensors, inputs, outputs, E::LINES + D::LINES)
    }
}

/// An encoder in the course of a source sequence: its state, and where its weights are.
pub struct Encoder<'a, E: Network, D> {
    model: Seq2Seq<'a, E, D>,
    state: E::State,
}

impl<E: Network, D> Clone for Encoder<'_, E, D> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<E: Network, D> fmt::Debug for Encoder<'_, E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<'a, E: Network, D: Network<Format = E::Format>> Encoder<'a, E, D> {
    /// One step of the source, in real units; a token is its number. Allocates nothing and cannot fail.
    pub fn step(&mut self, sample: &RealInput<E>) {
        self.step_slice(sample.as_ref());
    }

    /// A decoder that starts from what this encoder has seen.
    pub fn decoder(&self) -> Decoder<'a, E, D> {
        let mut state = D::State::ZERO;
        for (to, from) in state.units_mut().zip(self.state.units()) {
            copy(to, from);
        }
        let Decoding { start, longest, .. } = self.model.decoding;
        Decoder { model: self.model, state, token: start, left: u32::from(longest) + 1, stopped: false }
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.state = E::State::ZERO;
    }

    #[inline(never)]
    fn step_slice(&mut self, sample: &[f32]) {
        let Regions { affine, layers, .. } = self.model.regions();
        let x = E::Input::from_real(sample, affine.mean, affine.scale);
        E::step(layers, &mut self.state, &x);
    }
}

/// A decoder in the course of a sequence. As an iterator it gives the most probable token of each step, until that is the
/// stop token or the sequence is as long as the longest that the model was trained on.
pub struct Decoder<'a, E, D: Network> {
    model: Seq2Seq<'a, E, D>,
    state: D::State,
    /// The token to take next.
    token: u16,
    /// Steps left.
    left: u32,
    stopped: bool,
}

impl<E, D: Network> Clone for Decoder<'_, E, D> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<E, D: Network> fmt::Debug for Decoder<'_, E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("state", &self.state).field("token", &self.token).finish_non_exhaustive()
    }
}

impl<E: Network, D: Network<Format = E::Format>> Decoder<'_, E, D> {
    /// One step by hand: takes `token`, and gives the score of each token to come next. For other ways to choose than by the
    /// largest score: a clone of the decoder follows another choice.
    #[inline(never)]
    pub fn step(&mut self, token: u16) -> RealOutput<D> {
        let Regions { affine, layers, .. } = self.model.regions();
        let layers = layers.get(E::LINES..).unwrap_or(&[]);
        let x = D::Input::from_real(&[token.into()], &[0.0], &[1.0]);
        D::step(layers, &mut self.state, &x).to_real(affine.output_scale, affine.output_offset)
    }

    /// The most probable tokens up to the end, or as many as there is room for. With room for the longest sequence that the model
    /// was trained on, [`has_stopped`](Self::has_stopped) says afterwards whether it is whole; with less, a sequence that just
    /// fills the room is not known to be.
    pub fn decode<const N: usize>(&mut self) -> heapless::Vec<u16, N> {
        let mut tokens = heapless::Vec::new();
        while !tokens.is_full() {
            match self.next() {
                // There is room.
                Some(token) => _ = tokens.push(token),
                None => break,
            }
        }
        if self.left == 1 {
            // Nothing but the stop token can come.
            self.next();
        }
        tokens
    }

    /// Whether the model has ended the sequence by its stop token.
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// A step with the token that was chosen last: the next one, which may be the stop token, and the scores.
    fn choose(&mut self) -> Option<(u16, RealOutput<D>)> {
        if self.stopped || self.left == 0 {
            return None;
        }
        let scores = self.step(self.token);
        self.left -= 1;
        self.token = largest(scores.as_ref());
        self.stopped = self.token == self.model.decoding.stop;
        Some((self.token, scores))
    }
}

impl<E: Network, D: Network<Format = E::Format>> Iterator for Decoder<'_, E, D> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let (token, _) = self.choose()?;
        // One step more than there are tokens is for the stop token alone.
        (!self.stopped && self.left > 0).then_some(token)
    }
}

/// The number of the largest score, the first of equals.
pub(crate) fn largest(scores: &[f32]) -> u16 {
    let (mut best, mut largest) = (0, f32::NEG_INFINITY);
    for (token, &score) in (0u16..).zip(scores) {
        if score > largest {
            (best, largest) = (token, score);
        }
    }
    best
}
