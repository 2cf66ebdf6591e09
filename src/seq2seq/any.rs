//! An encoder-decoder whose shape is known only at run time: same kernels, same bits as [`Seq2Seq`](super::Seq2Seq).

use core::marker::PhantomData;

use super::largest;
use crate::any::{AnyStream, capacity, memory};
use crate::blob::{self, Affine, Blob, Header, Regions};
use crate::error::Error;
use crate::format::{Exact, Format};
use crate::hash::BitHash;
use crate::spec::{Decoding, LayerSpec};

/// A checked model of any encoder-decoder, borrowed from the bytes of its blob.
#[derive(Clone, Debug)]
pub struct AnySeq2Seq<'a, F = Exact> {
    blob: Blob<'a>,
    decoding: Decoding,
    format: PhantomData<F>,
}

/// An encoder in the course of a source sequence, in memory `M`: a [`heapless::Vec`], or a `Vec`.
pub type AnyEncoder<'m, 'a, M, F = Exact> = AnyStream<'m, 'a, M, F>;

impl<'a, F: Format> AnySeq2Seq<'a, F> {
    /// Checks the bytes of a blob, from end to end. No part of them is copied.
    ///
    /// # Errors
    /// If they are not a model of an encoder-decoder in this format.
    pub fn from_blob<B: AsRef<[u8]> + ?Sized>(blob: &'a B) -> Result<Self, Error> {
        let blob = Blob::parse(blob.as_ref())?;
        blob::expect_storage(F::STORAGE, blob.header().storage)?;
        let decoding = blob.header().expect_pair()?;
        Ok(Self { blob, decoding, format: PhantomData })
    }

    /// What the blob says of itself; its output names are those of the tokens.
    pub fn header(&self) -> &Header<'a> {
        self.blob.header()
    }

    /// Start and stop token, and the longest sequence.
    pub fn decoding(&self) -> Decoding {
        self.decoding
    }

    /// The capacity that an encoder or decoder of this model needs, the larger of the two, in words of 4 bytes.
    pub fn capacity(&self) -> usize {
        let (encoder, decoder) = self.header().parts();
        capacity::<F>(encoder).max(capacity::<F>(decoder))
    }

    /// An encoder that has seen nothing.
    ///
    /// # Errors
    /// If `CAP` is too small; the error names the capacity needed.
    pub fn encoder<const CAP: usize>(&self) -> Result<AnyEncoder<'_, 'a, heapless::Vec<u32, CAP>, F>, Error> {
        Ok(self.encoder_in(memory(capacity::<F>(self.header().parts().0))?))
    }

    /// A decoder that starts from what `encoder` has seen.
    ///
    /// # Errors
    /// If `CAP` is too small; the error names the capacity needed. If the encoder is that of a model with states of other sizes.
    pub fn decoder<const CAP: usize>(
        &self,
        encoder: &AnyEncoder<'_, 'a, impl AsRef<[u32]> + AsMut<[u32]>, F>,
    ) -> Result<AnyDecoder<'_, 'a, heapless::Vec<u32, CAP>, F>, Error> {
        self.decoder_in(encoder, memory(capacity::<F>(self.header().parts().1))?)
    }

    /// An encoder with memory from the heap: any model fits.
    #[cfg(feature = "alloc")]
    pub fn heap_encoder(&self) -> AnyEncoder<'_, 'a, alloc::vec::Vec<u32>, F> {
        self.encoder_in(alloc::vec![0; capacity::<F>(self.header().parts().0)])
    }

    /// [`decoder`](Self::decoder) with memory from the heap: any model fits.
    ///
    /// # Errors
    /// If the encoder is that of a model with states of other sizes.
    #[cfg(feature = "alloc")]
    pub fn heap_decoder(
        &self,
        encoder: &AnyEncoder<'_, 'a, impl AsRef<[u32]> + AsMut<[u32]>, F>,
    ) -> Result<AnyDecoder<'_, 'a, alloc::vec::Vec<u32>, F>, Error> {
        self.decoder_in(encoder, alloc::vec![0; capacity::<F>(self.header().parts().1)])
    }

    fn encoder_in<M>(&self, memory: M) -> AnyEncoder<'_, 'a, M, F> {
        let Regions { affine, layers: tensors, .. } = self.blob.regions();
        let affine = Affine { output_scale: &[], output_offset: &[], ..affine };
        AnyStream { layers: self.header().parts().0, affine, tensors, memory, format: PhantomData }
    }

    fn decoder_in<M: AsMut<[u32]>>(
        &self,
        encoder: &AnyEncoder<'_, 'a, impl AsRef<[u32]> + AsMut<[u32]>, F>,
        memory: M,
    ) -> Result<AnyDecoder<'_, 'a, M, F>, Error> {
        let (before, layers) = self.header().parts();
        let Regions { affine, layers: tensors, .. } = self.blob.regions();
        // Tokens are taken as they are.
        let affine = Affine { mean: &[0.0], scale: &[1.0], ..affine };
        let lines: u64 = before.iter().map(|layer| layer.lines(F::STORAGE)).sum();
        let tensors = tensors.get(lines as usize..).unwrap_or(&[]);
        let mut stream = AnyStream { layers, affine, tensors, memory, format: PhantomData };
        stream.set_state(encoder.state())?;
        let Decoding { start, stop, longest, .. } = self.decoding;
        Ok(AnyDecoder { stream, stop, token: start, left: u32::from(longest) + 1, stopped: false })
    }

    /// Encodes the inputs that the blob brings, decodes greedily, and compares the bits of the scores with those that the
    /// exporter saw.
    ///
    /// # Errors
    /// If they differ, the blob brings no inputs, or `CAP` is too small.
    pub fn self_test<const CAP: usize>(&self) -> Result<(), Error> {
        let encoder = self.encode_golden(self.encoder::<CAP>()?)?;
        self.compare(golden_hash(self.decoder::<CAP>(&encoder)?)?)
    }

    /// [`self_test`](Self::self_test) in memory from the heap.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "alloc")]
    pub fn self_test_on_heap(&self) -> Result<(), Error> {
        self.compare(self.golden_hash()?)
    }

    /// The hash that the self-test compares.
    #[cfg(feature = "alloc")]
    pub(crate) fn golden_hash(&self) -> Result<u64, Error> {
        let encoder = self.encode_golden(self.heap_encoder())?;
        golden_hash(self.heap_decoder(&encoder)?)
    }

    fn compare(&self, found: u64) -> Result<(), Error> {
        let expected = F::golden(&self.header().golden).ok_or(Error::NoSelfTest)?;
        if expected == found { Ok(()) } else { Err(Error::SelfTest { expected, found }) }
    }

    fn encode_golden<'m, M: AsMut<[u32]>>(
        &self,
        mut encoder: AnyEncoder<'m, 'a, M, F>,
    ) -> Result<AnyEncoder<'m, 'a, M, F>, Error> {
        let width = self.header().layers.first().map_or(0, LayerSpec::inputs);
        let mut inputs = self.blob.golden_inputs();
        while let Some((x, rest)) = inputs.split_at_checked(width).filter(|(x, _)| !x.is_empty()) {
            encoder.step(x)?;
            inputs = rest;
        }
        Ok(encoder)
    }
}

/// The hash of all scores of greedy decoding.
fn golden_hash<M: AsMut<[u32]>, F: Format>(mut decoder: AnyDecoder<'_, '_, M, F>) -> Result<u64, Error> {
    let mut hash = BitHash::new();
    while let Some((_, scores)) = decoder.choose()? {
        hash.update(scores);
    }
    Ok(hash.finish())
}

/// A decoder in the course of a sequence, in memory `M`: a [`heapless::Vec`], or a `Vec`.
#[derive(Clone, Debug)]
pub struct AnyDecoder<'m, 'a, M, F = Exact> {
    stream: AnyStream<'m, 'a, M, F>,
    stop: u16,
    /// The token to take next.
    token: u16,
    /// Steps left.
    left: u32,
    stopped: bool,
}

impl<M: AsMut<[u32]>, F: Format> AnyDecoder<'_, '_, M, F> {
    /// One step by hand: takes `token`, and gives the score of each token to come next.
    ///
    /// # Errors
    /// None with the memory that a model gives.
    pub fn step(&mut self, token: u16) -> Result<&[f32], Error> {
        self.stream.step(&[token.into()])
    }

    /// [`step`](Self::step) that shows `observe` each layer's number, from 0 in the decoder, its inputs and its outputs.
    ///
    /// # Errors
    /// As there.
    pub fn step_observed(
        &mut self,
        token: u16,
        observe: impl FnMut(usize, &[F::Unit], &[F::Unit]),
    ) -> Result<&[f32], Error> {
        self.stream.step_observed(&[token.into()], observe)
    }

    /// The most probable token to come next, none after the end.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn next_token(&mut self) -> Result<Option<u16>, Error> {
        let token = self.choose()?.map(|(token, _)| token);
        // One step more than there are tokens is for the stop token alone.
        Ok(token.filter(|_| !self.stopped && self.left > 0))
    }

    /// Whether the model has ended the sequence by its stop token.
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    fn choose(&mut self) -> Result<Option<(u16, &[f32])>, Error> {
        if self.stopped || self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let scores = self.stream.step(&[self.token.into()])?;
        self.token = largest(scores);
        self.stopped = self.token == self.stop;
        Ok(Some((self.token, scores)))
    }
}
