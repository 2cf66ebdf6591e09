//! The part of a blob that describes it, encoded by postcard.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::spec::{Decoding, LayerSpec, MAX_LAYERS, Output, Storage, fingerprint, fingerprint_of_pair, hands_over};

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
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Core {
    pub storage: Storage,
    pub layers: heapless::Vec<LayerSpec, MAX_LAYERS>,
    pub golden: Golden,
}

/// The first fields of an encoder-decoder's header.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PairCore {
    pub core: Core,
    pub output: Output,
}

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

impl Header<'_> {
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
        self.layers.iter().map(LayerSpec::macs).sum()
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
            "its decoder does not have the GRUs of its encoder"
        } else if decoder.first().map_or(0, LayerSpec::inputs) != 1 {
            "its decoder does not take tokens"
        } else {
            return Ok(decoding);
        };
        Err(Error::Header { what })
    }

    /// Refuses layers, the first of which has the number `first`, that do not form a chain.
    fn expect_links(&self, layers: &[LayerSpec], first: usize) -> Result<(), Error> {
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
