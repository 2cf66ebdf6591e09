//! The configuration of a training run: one TOML file, read strictly.
//!
//! [`Config::load`] parses the file (`load`), lays `--set key=value` over it, refuses every key that is not in the schema
//! (`keys`), deserialises, checks the values against each other (`check`), and resolves paths. If any of these fails,
//! the error names the file, the line, the key and what to write instead. `docs/CONFIG.md` describes every key.

mod check;
mod error;
mod keys;
mod kinds;
mod load;
mod names;
mod overfit;
mod train;

use std::path::PathBuf;

use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Merge, Output, Pooling, Reset};
use serde::{Deserialize, Serialize};

pub use error::{ConfigError, Place};
pub use keys::KEYS;
use names::{LayerTable, OutputName};
pub use train::{Balance, ClassWeights, Epsilon, Loss, Monitor, Optimizer, Rates, Schedule, Task, TrainConfig};
pub(crate) use train::{SCHEDULE_EVERY, SCHEDULE_FACTOR, SCHEDULE_PATIENCE};

/// A whole training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the run; the stem of the file's name unless given.
    #[serde(default)]
    pub name: String,
    /// Seed of everything random: initial weights, split, order of the batches, noise.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Where the examples come from and how they are prepared.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// The optimisation.
    pub train: TrainConfig,
}

/// `[data]`: files, names and preparation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The training file, `.npz` or `.csv`.
    pub train: PathBuf,
    /// A file held out for the final report; never used for a choice.
    pub test: Option<PathBuf>,
    /// One name per input channel.
    pub channels: Option<Names>,
    /// One unit per input channel.
    pub units: Option<Names>,
    /// Samples per second, in Hz.
    pub sample_rate: Option<f64>,
    /// Class names, in the order of their indices.
    pub classes: Option<Names>,
    /// Steps per window; series are used whole without it.
    pub window: Option<usize>,
    /// Steps between the starts of neighbouring windows; the window's length unless given.
    pub stride: Option<usize>,
    /// The same in the training part alone.
    pub train_stride: Option<usize>,
    /// How the inputs are normalised.
    #[serde(default)]
    pub normalize: Normalize,
    /// Whether real-valued targets are z-scored for training (undone at the output).
    #[serde(default)]
    pub normalize_targets: bool,
    /// How many steps ahead the target lies, 0 unless given. Where the network answers at the last step alone, it says that the
    /// targets are of steps, and that a window has the one that belongs to its last step.
    pub horizon: Option<usize>,
    /// What is done to the target's values before training.
    #[serde(default)]
    pub target_transform: TargetTransform,
    /// What a token is in the cells of a `.csv` that holds text.
    pub tokens: Option<Tokens>,
    /// Keys inside the training `.npz`.
    #[serde(default)]
    pub npz: NpzKeys,
    /// Keys inside the test `.npz`, where they differ from `npz`.
    #[serde(default)]
    pub npz_test: NpzKeys,
    /// Columns of a `.csv`.
    #[serde(default)]
    pub csv: CsvColumns,
    /// What validation is done on; none without it.
    pub validation: Option<Validation>,
}

impl DataConfig {
    /// How many steps ahead the target lies.
    pub fn horizon(&self) -> usize {
        self.horizon.unwrap_or(0)
    }
}

/// A list of names, or the key of an array of strings inside the `.npz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a list of strings, or the key of an array of strings in the .npz")]
pub enum Names {
    /// The names themselves.
    List(Vec<String>),
    /// The key of a string array.
    Key(String),
}

/// A factor on an array's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, a list of numbers, or the key of an array in the .npz")]
pub enum Scale {
    /// One factor for all.
    Number(f64),
    /// One factor per column.
    List(Vec<f64>),
    /// The key of an array with one element, or one per column.
    Key(String),
}

/// One name, or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum OneOrMany {
    /// One name.
    One(String),
    /// Several names.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The names as a slice.
    pub fn as_slice(&self) -> &[String] {
        match self {
            OneOrMany::One(name) => std::slice::from_ref(name),
            OneOrMany::Many(names) => names,
        }
    }
}

/// What a token is in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// Each character.
    Characters,
    /// What white space parts.
    Words,
}

/// `[data.npz]`: which arrays of the archive are what. `x` and `y` are called that unless told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpzKeys {
    /// Inputs, `(N, T, C)` or `(rows, C)`.
    pub x: Option<String>,
    /// Targets per step, `(N, T)`, `(N, T, D)`, `(rows)` or `(rows, D)`; per sequence, `(N)` or `(N, D)`; sequences of
    /// tokens, `(N, T')`.
    pub y: Option<String>,
    /// Tokens of each target sequence, `(N)`.
    pub y_lengths: Option<String>,
    /// Steps of each series, `(N)`.
    pub lengths: Option<String>,
    /// Group of each series, `(N)`, numbers or strings.
    pub group: Option<String>,
    /// How much each target counts in the loss, `(N)` per sequence, `(N, T)` or `(rows)` per step.
    pub weight: Option<String>,
    /// Factor on the inputs.
    pub x_scale: Option<Scale>,
    /// Factor on the targets.
    pub y_scale: Option<Scale>,
}

/// `[data.csv]`: which columns of a long table are what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvColumns {
    /// Which series a row belongs to; `series` if there is such a column, else the file is one series.
    pub series: Option<String>,
    /// Time of a row; `t` if there is such a column.
    pub time: Option<String>,
    /// Target of a row; `label` unless given.
    pub label: Option<OneOrMany>,
    /// Input columns; all others unless given.
    pub features: Option<Vec<String>>,
    /// Group of the row's series.
    pub group: Option<String>,
    /// Text that an encoder-decoder reads; `source` unless given.
    pub source: Option<String>,
    /// Text that it is to write; `target` unless given.
    pub target: Option<String>,
    /// How much the target counts in the loss.
    pub weight: Option<String>,
}

/// `[data.validation]`: exactly one of its keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Part of the series, chosen by the seed; the last part in time if there is only one series.
    pub fraction: Option<f64>,
    /// A file of its own, read with the keys of the training file.
    pub file: Option<PathBuf>,
    /// All series of these groups.
    pub groups: Option<Vec<Group>>,
    /// The number of a fold, from 1, and how many there are: a part of the series, dealt out by the seed.
    pub fold: Option<[usize; 2]>,
}

/// The name of a group: a number or a word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number or a string")]
pub enum Group {
    /// A whole number.
    Number(i64),
    /// A word.
    Word(String),
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Group::Number(number) => number.fmt(f),
            Group::Word(word) => word.fmt(f),
        }
    }
}

/// How the inputs are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// To mean 0 and standard deviation 1 over the training part, per channel.
    #[default]
    Zscore,
    /// Not at all.
    None,
}

/// What is done to the target's values before training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetTransform {
    /// Nothing.
    #[default]
    None,
    /// An angle in radians becomes its sine and cosine, so that ±π meet.
    SinCos,
}

/// `[model]`: the network without its input size, which the data give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Which outputs are trained.
    #[serde(with = "OutputName")]
    pub output: Output,
    /// The layers of the encoder, where the network is an encoder-decoder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoder: Vec<LayerConfig>,
    /// The layers from input to output; of an encoder-decoder, those of the decoder.
    pub layers: Vec<LayerConfig>,
}

impl ModelConfig {
    /// The layers of encoder and decoder, or of the chain.
    pub fn all_layers(&self) -> impl Iterator<Item = &LayerConfig> {
        self.encoder.iter().chain(&self.layers)
    }

    /// Whether a layer is bidirectional.
    pub fn is_bidirectional(&self) -> bool {
        self.all_layers().any(|layer| matches!(layer, LayerConfig::Bidirectional { .. }))
    }

    /// Whether the network runs over each window by itself, wherever it runs: for an answer at its last step, or because a layer
    /// is bidirectional.
    pub fn is_windowed(&self) -> bool {
        self.output == Output::LastStep || self.is_bidirectional()
    }

    /// Whether the network is an encoder-decoder.
    pub fn is_sequence(&self) -> bool {
        matches!(self.output, Output::Sequence(_))
    }
}

/// One entry of `model.layers`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LayerTable", into = "LayerTable")]
pub enum LayerConfig {
    /// `type = "gru"`.
    Gru {
        /// Hidden units.
        units: u16,
        /// Where the reset gate acts; `after` is the default, as in Keras and PyTorch.
        reset: Reset,
        /// Activation of the gates.
        gate: Gate,
        /// Activation of the candidate.
        candidate: Candidate,
    },
    /// `type = "embedding"`: the first layer, whose input is a token.
    Embedding {
        /// Tokens; 0 for as many as the data have.
        vocabulary: u16,
        /// Elements of a token's vector.
        units: u16,
    },
    /// `type = "one_hot"`: the first layer, whose input is a token, before one that adds the token's row of its kernel.
    OneHot {
        /// Tokens; 0 for as many as the data have.
        vocabulary: u16,
    },
    /// `type = "dense"`.
    Dense {
        /// Outputs; 0 for as many as the data have classes or tokens.
        units: u16,
        /// Activation of the outputs.
        activation: Activation,
    },
    /// `type = "gru"` with `bidirectional = true`: two GRUs, one of which reads each series from its end.
    Bidirectional {
        /// Hidden units of each direction.
        units: u16,
        /// Where the reset gate acts.
        reset: Reset,
        /// Activation of the gates.
        gate: Gate,
        /// Activation of the candidate.
        candidate: Candidate,
        /// How the directions' states become outputs.
        merge: Merge,
    },
    /// `type = "pool"`: as many outputs as inputs.
    Pool {
        /// What it gives of all steps so far.
        over: Pooling,
    },
}

const fn default_seed() -> u64 {
    1
}

impl Config {
    /// The layers with all their sizes, for data with `inputs` channels and so many classes, tokens or target values.
    pub fn layer_specs(&self, inputs: u16, outputs: u16) -> Vec<LayerSpec> {
        let mut inputs = inputs;
        let given = |size: u16| if size == 0 { outputs } else { size };
        let mut specs = Vec::new();
        for (index, layer) in self.model.all_layers().enumerate() {
            if index > 0 && index == self.model.encoder.len() {
                // A decoder takes tokens.
                inputs = 1;
            }
            let spec = match *layer {
                LayerConfig::Gru { units, reset, gate, candidate } => {
                    LayerSpec::Gru { inputs, hidden: units, reset, gate, candidate }
                }
                LayerConfig::Bidirectional { units, reset, gate, candidate, merge } => {
                    LayerSpec::Bidirectional { inputs, hidden: units, reset, gate, candidate, merge }
                }
                LayerConfig::Embedding { vocabulary, units } => {
                    LayerSpec::Embedding { vocabulary: given(vocabulary), outputs: units }
                }
                LayerConfig::OneHot { vocabulary } => LayerSpec::OneHot { vocabulary: given(vocabulary) },
                LayerConfig::Dense { units, activation } => {
                    LayerSpec::Dense { inputs, outputs: given(units), activation }
                }
                LayerConfig::Pool { over } => LayerSpec::Pool { inputs, over },
            };
            inputs = layer.units().map_or(inputs, given);
            specs.push(spec);
        }
        specs
    }

    /// Whether the inputs are tokens.
    pub fn takes_tokens(&self) -> bool {
        self.model.all_layers().next().is_some_and(LayerConfig::takes_tokens)
    }

    /// Whether the targets are of steps, and a window has the one that belongs to its last step.
    pub fn targets_last_steps(&self) -> bool {
        self.model.output == Output::LastStep && self.data.window.is_some() && self.data.horizon.is_some()
    }

    /// What the targets in the files are of, for a network that answers as `output`.
    pub fn targets_of(&self, output: Output) -> Output {
        if self.targets_last_steps() { Output::EveryStep } else { output }
    }

    /// What kind of answer the loss asks for.
    pub fn task(&self) -> Task {
        self.train.loss.task()
    }
}

impl LayerConfig {
    /// Whether it is a GRU.
    pub const fn is_gru(&self) -> bool {
        matches!(self, LayerConfig::Gru { .. })
    }

    /// Whether its input is a token.
    pub const fn takes_tokens(&self) -> bool {
        matches!(self, LayerConfig::Embedding { .. } | LayerConfig::OneHot { .. })
    }

    /// Outputs per step; `None` where they are as many as the inputs.
    pub const fn units(&self) -> Option<u16> {
        match *self {
            LayerConfig::Gru { units, .. }
            | LayerConfig::Embedding { units, .. }
            | LayerConfig::Dense { units, .. } => Some(units),
            LayerConfig::Bidirectional { units, merge: Merge::Concat, .. } => Some(2 * units),
            LayerConfig::Bidirectional { units, .. } => Some(units),
            LayerConfig::OneHot { vocabulary } => Some(vocabulary),
            LayerConfig::Pool { .. } => None,
        }
    }
}
