//! The part of a blob that describes it, encoded by postcard.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::spec::{
    Activation, Candidate, Decoding, Gate, LayerSpec, MAX_LAYERS, Merge, Output, Pooling, Reset, Storage, fingerprint,
    fingerprint_of_pair, hands_over, is_bidirectional, with_one_hot,
};

/// What a model says of itself. Fields are encoded in this order; see `docs/FORMAT.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header<'a> {
    /// How the weights are stored.
    pub storage: Storage,
    /// The layers, in order.
    pub layers: heapless::Vec<LayerSpec, MAX_LAYERS>,
    /// The self-test.
    pub golden: Golden,
    /// Whether the network was trained on its outputs at every step or at the last one.
    pub output: Output,
    /// The model's name.
    #[serde(borrow)]
    pub name: &'a str,
    /// Names of the outputs: the classes of a classifier, the quantities of a regression. May be empty.
    #[serde(borrow)]
    pub outputs: Names<'a>,
    /// Names of the input channels. May be empty.
    #[serde(borrow)]
    pub channels: Names<'a>,
    /// Units of the input channels. May be empty.
    #[serde(borrow)]
    pub units: Names<'a>,
    /// Samples per second that the model was trained on; 0 if unknown.
    pub sample_rate: f32,
    /// Steps per window, after which a stream is reset; 0 for a stream without end.
    pub window: u32,
    /// How many steps ahead of the input the output lies.
    pub horizon: u32,
    /// Where the model comes from.
    #[serde(borrow)]
    pub provenance: Provenance<'a>,
}

/// The first fields of a [`Header`], which is all that running it takes. A typed model reads no more, so that a firmware
/// which never asks for a name has no code for names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Core {
    pub storage: Storage,
    pub layers: heapless::Vec<LayerSpec, MAX_LAYERS>,
    pub golden: Golden,
}

/// The fields of a [`Core`] and the one after them, which an encoder-decoder needs besides.
pub(super) type PairCore = (Storage, heapless::Vec<LayerSpec, MAX_LAYERS>, Golden, Output);

/// Where a model comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance<'a> {
    /// The program that made it, with its version.
    pub tool: &'a str,
    /// The data that it was trained on.
    pub data: &'a str,
    /// The seed of the training.
    pub seed: u64,
    /// The epoch that the weights are from.
    pub epoch: u32,
    /// The name of the metric that chose this epoch.
    pub metric: &'a str,
    /// The value of that metric.
    pub value: f32,
}

/// The self-test: inputs are stored among the tensors, and these are the hashes of the outputs' bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Golden {
    /// Steps, from a zero state.
    pub steps: u32,
    /// The [`BitHash`](crate::BitHash) of all outputs in format [`Exact`](crate::Exact), or in [`Int8`](crate::Int8) where
    /// the weights are stored for that.
    pub exact: Option<u64>,
    /// The same in format `Fast`.
    pub fast: Option<u64>,
}

/// A list of names, stored with a line feed after each: it is read in place and costs no memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names<'a>(&'a str);

impl<'a> Names<'a> {
    /// From names that each end in a line feed.
    pub const fn new(lines: &'a str) -> Self {
        Self(lines)
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        // Not `str::split`, in which the compiler leaves a panic.
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let end = rest.bytes().position(|byte| byte == b'\n').unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end).filter(|_| !rest.is_empty())?;
            rest = after.get(1..).unwrap_or("");
            Some(name)
        })
    }

    /// The name at `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&'a str> {
        self.iter().nth(index)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Core {
    /// The fields at the start of an `encoded` header. They are numbers but for the self-test, and read as such: what serde
    /// derives for the same takes 500 bytes more of flash.
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        Self::take(encoded).map(|(core, _)| core)
    }

    /// The same with what follows.
    fn take(encoded: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = encoded;
        let storage = *[Storage::F32, Storage::Int8].get(usize::from(number(&mut rest)?))?;
        let mut layers = heapless::Vec::new();
        for _ in 0..number(&mut rest)? {
            layers.push(layer(&mut rest)?).ok()?;
        }
        let (golden, rest) = postcard::take_from_bytes(rest).ok()?;
        Some((Self { storage, layers, golden }, rest))
    }

    /// Whether the outputs that count are those of the last step, of an encoded header of a chain.
    pub fn only_last(encoded: &[u8]) -> Option<bool> {
        let (_, mut rest) = Self::take(encoded)?;
        variant(&[false, true], number(&mut rest)?)
    }

    /// What postcard cannot know: there are layers, and their sizes are not 0.
    pub fn check(&self) -> Result<(), Error> {
        let what = if self.layers.is_empty() {
            "it has no layers"
        } else if self.layers.iter().any(|layer| layer.inputs() == 0 || layer.outputs() == 0) {
            "a layer has no inputs or no outputs"
        } else if self.layers.iter().any(|layer| matches!(layer, LayerSpec::Embedding { vocabulary: 0, .. })) {
            "an embedding has no vectors"
        } else {
            return Ok(());
        };
        Err(Error::Header { what })
    }
}

/// The next number of an encoded header, which moves on past it. Every number before the self-test has 16 bits.
#[inline(never)]
fn number(encoded: &mut &[u8]) -> Option<u16> {
    let (number, rest) = postcard::take_from_bytes(encoded).ok()?;
    *encoded = rest;
    Some(number)
}

/// The next layer of an encoded header, which moves on past it.
fn layer(encoded: &mut &[u8]) -> Option<LayerSpec> {
    // Of each kind of layer, in the order of [`LayerSpec`].
    const FIELDS: [u8; 6] = [5, 3, 2, 2, 6, 1];
    let kind = usize::from(number(encoded)?);
    let mut fields = [0; 6];
    for field in fields.iter_mut().take(usize::from(*FIELDS.get(kind)?)) {
        *field = number(encoded)?;
    }
    let [first, second, third, fourth, fifth, sixth] = fields;
    Some(match kind {
        0 | 4 => {
            let (inputs, hidden) = (first, second);
            let reset = variant(&[Reset::Before, Reset::After], third)?;
            let gate = variant(&[Gate::Sigmoid, Gate::HardSigmoid], fourth)?;
            let candidate = variant(&[Candidate::Tanh, Candidate::Relu, Candidate::Linear], fifth)?;
            if kind == 0 {
                LayerSpec::Gru { inputs, hidden, reset, gate, candidate }
            } else {
                let merge = variant(&[Merge::Concat, Merge::Sum, Merge::Mul, Merge::Ave], sixth)?;
                LayerSpec::Bidirectional { inputs, hidden, reset, gate, candidate, merge }
            }
        }
        1 => LayerSpec::Dense {
            inputs: first,
            outputs: second,
            activation: variant(
                &[
                    Activation::Linear,
                    Activation::Sigmoid,
                    Activation::HardSigmoid,
                    Activation::Tanh,
                    Activation::Relu,
                    Activation::Softmax,
                ],
                third,
            )?,
        },
        2 => LayerSpec::Embedding { vocabulary: first, outputs: second },
        5 => LayerSpec::OneHot { vocabulary: first },
        _ => LayerSpec::Pool { inputs: first, over: variant(&[Pooling::Mean, Pooling::Max], second)? },
    })
}

/// The variant of that number.
fn variant<T: Copy>(of: &[T], number: u16) -> Option<T> {
    of.get(usize::from(number)).copied()
}

impl Header<'_> {
    /// That of a model which says no more of itself than it takes to run it.
    pub fn new(storage: Storage, layers: heapless::Vec<LayerSpec, MAX_LAYERS>, output: Output) -> Self {
        Self {
            storage,
            layers,
            golden: Golden::default(),
            output,
            name: "",
            outputs: Names::default(),
            channels: Names::default(),
            units: Names::default(),
            sample_rate: 0.0,
            window: 0,
            horizon: 0,
            provenance: Provenance::default(),
        }
    }

    /// Inputs of the first layer.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, LayerSpec::inputs)
    }

    /// Outputs of the last layer.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, LayerSpec::outputs)
    }

    /// Trainable parameters.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(LayerSpec::parameters).sum()
    }

    /// Multiply-accumulates per step.
    pub fn macs(&self) -> usize {
        let layers = with_one_hot(&self.layers);
        layers.map(|(layer, one_hot)| if one_hot { layer.macs_after_one_hot() } else { layer.macs() }).sum()
    }

    /// Whether a layer is bidirectional, so that the model runs in a [`Window`](crate::Window) alone.
    pub fn is_bidirectional(&self) -> bool {
        is_bidirectional(&self.layers)
    }

    /// What postcard cannot know: there are as many names as things to name, and a rate is a rate.
    pub(super) fn check(&self) -> Result<(), Error> {
        let named = |names: &Names, count: usize| names.is_empty() || names.len() == count;
        let what = if !named(&self.outputs, self.outputs()) {
            "there are not as many output names as outputs"
        } else if !named(&self.channels, self.inputs()) || !named(&self.units, self.inputs()) {
            "there are not as many channel names or units as inputs"
        } else if !(0.0..=f32::MAX).contains(&self.sample_rate) {
            "the sample rate is negative, infinite or NaN"
        } else {
            return Ok(());
        };
        Err(Error::Header { what })
    }

    /// The layers of the encoder and those of the decoder; without an encoder-decoder, none and all.
    pub fn parts(&self) -> (&[LayerSpec], &[LayerSpec]) {
        self.layers.split_at_checked(self.output.encoder()).unwrap_or((&[], &self.layers))
    }

    /// What the preamble carries of these layers.
    pub fn fingerprint(&self) -> u64 {
        match self.output {
            Output::Sequence(_) => {
                let (encoder, decoder) = self.parts();
                fingerprint_of_pair(self.storage, encoder, decoder)
            }
            Output::EveryStep | Output::LastStep => fingerprint(self.storage, &self.layers),
        }
    }

    /// Refuses an encoder-decoder, and layers that do not form a chain.
    pub(crate) fn expect_chain(&self) -> Result<(), Error> {
        if matches!(self.output, Output::Sequence(_)) {
            return Err(Error::Sequence { expected: false });
        }
        self.expect_links(&self.layers, 0)
    }

    /// The decoding of an encoder-decoder whose layers fit one another.
    pub(crate) fn expect_pair(&self) -> Result<Decoding, Error> {
        let Output::Sequence(decoding) = self.output else {
            return Err(Error::Sequence { expected: true });
        };
        let (encoder, decoder) = self.parts();
        self.expect_links(encoder, 0)?;
        self.expect_links(decoder, encoder.len())?;
        decoding.check(self.outputs())?;
        let what = if !hands_over(encoder, decoder) {
            "its decoder does not have the GRUs of its encoder, or it has pools or bidirectional layers"
        } else if decoder.first().map_or(0, LayerSpec::inputs) != 1 {
            "its decoder does not take tokens"
        } else {
            return Ok(decoding);
        };
        Err(Error::Header { what })
    }

    /// Refuses layers, the first of which has the number `first`, that do not form a chain.
    fn expect_links(&self, layers: &[LayerSpec], first: usize) -> Result<(), Error> {
        let next = layers.iter().skip(1).map(Some).chain([None]);
        let misplaced = layers.iter().zip(next).enumerate().find(|(index, (layer, next))| {
            let taken = next.is_some_and(|next| next.takes_one_hot());
            matches!(layer, LayerSpec::OneHot { .. }) && !(*index == 0 && taken)
        });
        if misplaced.is_some() {
            return Err(Error::Header {
                what: "a one-hot layer is not the first one, or no GRU, dense or bidirectional layer follows it",
            });
        }
        let neighbours = layers.iter().zip(layers.iter().skip(1));
        match neighbours.enumerate().find(|(_, (before, after))| before.outputs() != after.inputs()) {
            Some((i, (before, after))) => {
                Err(Error::NotAChain { layer: first + i + 1, expected: before.outputs(), found: after.inputs() })
            }
            None => Ok(()),
        }
    }
}

impl Decoding {
    /// What postcard cannot know: start and stop are among the tokens.
    pub(crate) fn check(&self, tokens: usize) -> Result<(), Error> {
        if usize::from(self.start.max(self.stop)) >= tokens {
            return Err(Error::Header { what: "its start or stop token is none of its outputs" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [`Core`] as serde derives it.
    #[derive(Deserialize)]
    struct Derived {
        storage: Storage,
        layers: heapless::Vec<LayerSpec, MAX_LAYERS>,
        golden: Golden,
    }

    #[test]
    fn the_first_fields_are_read_as_serde_derives_it() {
        let mut random = 1u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut read = [0; 6];
        for round in 0..100_000 {
            // Mostly numbers that mean something, and some of more than one byte.
            let mut bytes = [0u8; 48];
            bytes.iter_mut().for_each(|byte| {
                *byte = match next(20) {
                    0 => next(256) as u8,
                    1 => 0x80 | next(128) as u8,
                    2..4 => next(8) as u8,
                    _ => next(2) as u8,
                };
            });
            bytes[0] = next(3) as u8;
            bytes[1] = if round % 8 == 0 { next(256) as u8 } else { next(3) as u8 };
            let encoded = &bytes[..next(49) as usize];
            let derived = postcard::take_from_bytes::<Derived>(encoded).ok().map(|(core, _)| core);
            let derived = derived.map(|Derived { storage, layers, golden }| Core { storage, layers, golden });
            let own = Core::decode(encoded);
            for layer in own.iter().flat_map(|core| &core.layers) {
                read[kind(layer)] += 1;
            }
            // Variants in more bytes than they need are read by serde alone.
            let long = encoded.windows(3).any(|bytes| bytes.iter().all(|&byte| byte >= 0x80));
            assert!(own == derived || own.is_none() && long, "{encoded:?}: {own:?}, {derived:?}");
        }
        assert!(read.iter().all(|&count| count > 100), "{read:?}");
    }

    fn kind(layer: &LayerSpec) -> usize {
        match layer {
            LayerSpec::Gru { .. } => 0,
            LayerSpec::Dense { .. } => 1,
            LayerSpec::Embedding { .. } => 2,
            LayerSpec::Pool { .. } => 3,
            LayerSpec::Bidirectional { .. } => 4,
            LayerSpec::OneHot { .. } => 5,
        }
    }
}
