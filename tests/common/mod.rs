//! Networks with random weights, in the layout in which a trainer holds them, and their blobs.
#![allow(dead_code, reason = "each test file uses a part of it")]

use grulet::blob::{AlignedBytes, Contents, LayerWeights, Names, Provenance, write};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Pooling, Reset, Storage};
use grulet::{Error, Header};

/// Samples that stand for tokens from 0 to 6, and which they are.
pub const TOKENS_OF_SEVEN: [(f32, usize); 12] = [
    (0.0, 0),
    (6.0, 6),
    (3.0, 3),
    (3.0, 3),
    // The nearest there is.
    (2.4, 2),
    (4.6, 5),
    (7.0, 6),
    (-1.0, 0),
    (1e30, 6),
    (f32::INFINITY, 6),
    (f32::NEG_INFINITY, 0),
    (f32::NAN, 0),
];

/// Numbers that look random and are the same everywhere: SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between -`limit` and `limit`, with all bits of the significand in use.
    pub fn float(&mut self, limit: f32) -> f32 {
        ((self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * limit
    }

    pub fn floats(&mut self, count: usize, limit: f32) -> Vec<f32> {
        (0..count).map(|_| self.float(limit)).collect()
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

pub const RESETS: [Reset; 2] = [Reset::Before, Reset::After];
pub const GATES: [Gate; 2] = [Gate::Sigmoid, Gate::HardSigmoid];
pub const CANDIDATES: [Candidate; 3] = [Candidate::Tanh, Candidate::Relu, Candidate::Linear];
pub const ACTIVATIONS: [Activation; 6] = [
    Activation::Linear,
    Activation::Sigmoid,
    Activation::HardSigmoid,
    Activation::Tanh,
    Activation::Relu,
    Activation::Softmax,
];

pub fn gru(inputs: u16, hidden: u16, reset: Reset, gate: Gate, candidate: Candidate) -> LayerSpec {
    LayerSpec::Gru { inputs, hidden, reset, gate, candidate }
}

/// The usual one: sigmoid gates, tanh candidate.
pub fn plain_gru(inputs: u16, hidden: u16, reset: Reset) -> LayerSpec {
    gru(inputs, hidden, reset, Gate::Sigmoid, Candidate::Tanh)
}

pub fn dense(inputs: u16, outputs: u16, activation: Activation) -> LayerSpec {
    LayerSpec::Dense { inputs, outputs, activation }
}

pub fn pool(inputs: u16, over: Pooling) -> LayerSpec {
    LayerSpec::Pool { inputs, over }
}

pub fn embedding(vocabulary: u16, outputs: u16) -> LayerSpec {
    LayerSpec::Embedding { vocabulary, outputs }
}

pub fn one_hot(vocabulary: u16) -> LayerSpec {
    LayerSpec::OneHot { vocabulary }
}

/// One layer's weights as Keras lays them out: kernel `(I, gates·O)`, recurrent kernel `(O, gates·O)`, bias
/// `(gates·O)` or `(2, gates·O)`, row-major.
#[derive(Clone)]
pub struct Layer {
    pub spec: LayerSpec,
    pub kernel: Vec<f32>,
    pub recurrent: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Everything that a trainer exports.
#[derive(Clone)]
pub struct Net {
    pub layers: Vec<Layer>,
    pub mean: Vec<f32>,
    pub scale: Vec<f32>,
    pub output_scale: Vec<f32>,
    pub output_offset: Vec<f32>,
    pub golden: Vec<f32>,
}

impl Net {
    /// All weights, biases, scales and offsets random, none of them 0.
    pub fn random(specs: &[LayerSpec], random: &mut Random) -> Self {
        let layers = specs
            .iter()
            .map(|&spec| {
                let (part, directions) = spec.direction().map_or((spec, 1), |gru| (gru, 2));
                let (i, o) = (part.inputs(), part.outputs());
                let (gates, recurrent, biases) = match part {
                    LayerSpec::Gru { reset: Reset::Before, .. } => (3, o, 1),
                    LayerSpec::Gru { reset: Reset::After, .. } => (3, o, 2),
                    LayerSpec::Embedding { .. } => (1, 0, 0),
                    LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => (0, 0, 0),
                    _ => (1, 0, 1),
                };
                let i = if let LayerSpec::Embedding { vocabulary, .. } = spec { vocabulary.into() } else { i };
                Layer {
                    spec,
                    kernel: random.floats(directions * i * gates * o, 1.5 / (i as f32).sqrt()),
                    recurrent: random.floats(directions * recurrent * gates * o, 1.5 / (o as f32).sqrt()),
                    bias: random.floats(directions * biases * gates * o, 0.7),
                }
            })
            .collect();
        let (inputs, outputs) = (specs[0].inputs(), specs[specs.len() - 1].outputs());
        let tokens = matches!(specs[0], LayerSpec::Embedding { .. } | LayerSpec::OneHot { .. });
        Self {
            layers,
            // A token is itself.
            mean: if tokens { vec![0.0] } else { random.floats(inputs, 2.0) },
            scale: if tokens { vec![1.0] } else { (0..inputs).map(|_| 1.0 + random.float(0.5)).collect() },
            output_scale: (0..outputs).map(|_| 2.0 + random.float(1.0)).collect(),
            output_offset: random.floats(outputs, 3.0),
            golden: random.floats(inputs * 5, 3.0),
        }
    }

    pub fn inputs(&self) -> usize {
        self.layers[0].spec.inputs()
    }

    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].spec.outputs()
    }

    /// Nothing in it but the layers.
    pub fn header(&self) -> Header<'static> {
        header(&self.layers.iter().map(|layer| layer.spec).collect::<Vec<_>>())
    }

    pub fn blob(&self) -> AlignedBytes {
        self.blob_with(self.header())
    }

    pub fn blob_with(&self, header: Header<'_>) -> AlignedBytes {
        self.with_contents(header, |contents| write(contents).unwrap())
    }

    /// What `f` makes of it, as a writer of blobs takes it.
    pub fn with_contents<T>(&self, header: Header<'_>, f: impl FnOnce(&Contents<'_>) -> T) -> T {
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| LayerWeights { kernel: &layer.kernel, recurrent: &layer.recurrent, bias: &layer.bias })
            .collect();
        f(&Contents {
            header,
            layers: &layers,
            mean: &self.mean,
            scale: &self.scale,
            output_scale: &self.output_scale,
            output_offset: &self.output_offset,
            golden: &self.golden,
        })
    }
}

pub fn header(specs: &[LayerSpec]) -> Header<'static> {
    Header {
        storage: Storage::F32,
        layers: specs.iter().copied().collect(),
        output: Output::EveryStep,
        name: "",
        outputs: Names::new(""),
        channels: Names::new(""),
        units: Names::new(""),
        sample_rate: 0.0,
        window: 0,
        horizon: 0,
        provenance: Provenance::default(),
        golden: Default::default(),
    }
}

/// A message says what is wrong and, after a colon, what to do.
pub fn assert_helpful(error: &Error) {
    let text = error.to_string();
    assert!(text.len() > 20 && text.contains(": "), "{text}");
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
