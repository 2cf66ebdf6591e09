//! How the network's parts are spelled in TOML. The parts themselves belong to the runtime, whose own serde form is the
//! binary blob.

use grulet::spec::{Activation, Candidate, Decoding, Gate, Merge, Output, Pooling, Reset};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::LayerConfig;

/// An [`Output`], of whose sequence only the data tell more.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputName {
    EveryStep,
    LastStep,
    Sequence,
}

impl OutputName {
    pub fn serialize<S: Serializer>(output: &Output, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match output {
            Output::EveryStep => OutputName::EveryStep,
            Output::LastStep => OutputName::LastStep,
            Output::Sequence(_) => OutputName::Sequence,
        };
        Serialize::serialize(&name, serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Output, D::Error> {
        let name: OutputName = Deserialize::deserialize(deserializer)?;
        Ok(match name {
            OutputName::EveryStep => Output::EveryStep,
            OutputName::LastStep => Output::LastStep,
            OutputName::Sequence => Output::Sequence(Decoding::default()),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Reset", rename_all = "snake_case")]
pub(super) enum ResetName {
    Before,
    After,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Gate", rename_all = "snake_case")]
pub(super) enum GateName {
    Sigmoid,
    HardSigmoid,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Candidate", rename_all = "snake_case")]
pub(super) enum CandidateName {
    Tanh,
    Relu,
    Linear,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation", rename_all = "snake_case")]
pub(super) enum ActivationName {
    Linear,
    Sigmoid,
    HardSigmoid,
    Tanh,
    Relu,
    Softmax,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Merge", rename_all = "snake_case")]
pub(super) enum MergeName {
    Concat,
    Sum,
    Mul,
    Ave,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LayerType {
    Gru,
    Embedding,
    OneHot,
    Dense,
    Pool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Over {
    Mean,
    Max,
    // Known only to say what to write instead.
    Last,
}

// A remote form serves plain fields only; these carry it into an `Option`.
#[derive(Serialize, Deserialize)]
struct Reset1(#[serde(with = "ResetName")] Reset);
#[derive(Serialize, Deserialize)]
struct Gate1(#[serde(with = "GateName")] Gate);
#[derive(Serialize, Deserialize)]
struct Candidate1(#[serde(with = "CandidateName")] Candidate);
#[derive(Serialize, Deserialize)]
struct Merge1(#[serde(with = "MergeName")] Merge);
#[derive(Serialize, Deserialize)]
struct Activation1(#[serde(with = "ActivationName")] Activation);

/// A layer as the file writes it. One flat table, and not an enum tagged by `type`, because serde buffers tagged enums
/// and the line of an error is lost in the buffer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerTable {
    #[serde(rename = "type")]
    kind: LayerType,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vocabulary: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<Reset1>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<Gate1>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate: Option<Candidate1>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bidirectional: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge: Option<Merge1>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<Activation1>,
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
}

impl LayerTable {
    /// With nothing but its type.
    const fn new(kind: LayerType) -> Self {
        Self {
            kind,
            units: None,
            vocabulary: None,
            reset: None,
            gate: None,
            candidate: None,
            bidirectional: None,
            merge: None,
            activation: None,
            over: None,
        }
    }
}

impl TryFrom<LayerTable> for LayerConfig {
    type Error = &'static str;

    fn try_from(table: LayerTable) -> Result<Self, Self::Error> {
        let LayerTable { kind, units, vocabulary, reset, gate, candidate, bidirectional, merge, activation, over } =
            table;
        if kind != LayerType::Gru && (bidirectional.is_some() || merge.is_some()) {
            return Err("only a gru layer has `bidirectional` and `merge`");
        }
        let bidirectional = bidirectional.unwrap_or(false);
        if merge.is_some() && !bidirectional {
            return Err("`merge` says what is made of two directions; set `bidirectional = true`, or leave it out");
        }
        if kind == LayerType::Pool {
            let others = [
                units.is_some(),
                vocabulary.is_some(),
                reset.is_some(),
                gate.is_some(),
                candidate.is_some(),
                activation.is_some(),
            ];
            return match over {
                _ if others.contains(&true) => Err("a pool layer has `over` alone, and as many outputs as inputs"),
                Some(Over::Mean) => Ok(LayerConfig::Pool { over: Pooling::Mean }),
                Some(Over::Max) => Ok(LayerConfig::Pool { over: Pooling::Max }),
                Some(Over::Last) => {
                    Err("the last step needs no pool layer: leave it out, and set `model.output = \"last_step\"`")
                }
                None => Err("a pool layer needs `over`: \"mean\" or \"max\""),
            };
        }
        if over.is_some() {
            return Err("only a pool layer has `over`");
        }
        if kind == LayerType::OneHot {
            let others = [units.is_some(), reset.is_some(), gate.is_some(), candidate.is_some(), activation.is_some()];
            return match vocabulary {
                _ if others.contains(&true) => Err("a one_hot layer has `vocabulary` alone, which are its outputs"),
                Some(0) => Err("a one_hot layer has a vocabulary of 0; give it at least 1"),
                vocabulary => Ok(LayerConfig::OneHot { vocabulary: vocabulary.unwrap_or(0) }),
            };
        }
        if vocabulary.is_some() && kind != LayerType::Embedding {
            return Err("only an embedding and a one_hot layer have a `vocabulary`");
        }
        // 0 is what the data say, where they do.
        let units = match (units, kind) {
            (Some(0), LayerType::Dense) => return Err("a dense layer has 0 units; give it at least 1"),
            (Some(units), _) => units,
            (None, LayerType::Dense) => 0,
            (None, LayerType::Gru) => return Err("a gru layer needs `units`"),
            (None, LayerType::Pool | LayerType::OneHot) => unreachable!("it was dealt with"),
            (None, LayerType::Embedding) => return Err("an embedding layer needs `units`, the elements of a vector"),
        };
        match kind {
            LayerType::Pool | LayerType::OneHot => unreachable!("it was dealt with"),
            LayerType::Embedding
                if [reset.is_some(), gate.is_some(), candidate.is_some(), activation.is_some()].contains(&true) =>
            {
                Err("an embedding layer has `vocabulary` and `units` alone")
            }
            LayerType::Embedding => match vocabulary {
                Some(0) => Err("an embedding has a vocabulary of 0; give it at least 1"),
                vocabulary => Ok(LayerConfig::Embedding { vocabulary: vocabulary.unwrap_or(0), units }),
            },
            LayerType::Gru if activation.is_some() => {
                Err("a gru layer has no `activation`: it has `gate` (sigmoid) and `candidate` (tanh)")
            }
            LayerType::Gru => {
                let reset = reset.map_or(Reset::After, |Reset1(reset)| reset);
                let gate = gate.map_or(Gate::Sigmoid, |Gate1(gate)| gate);
                let candidate = candidate.map_or(Candidate::Tanh, |Candidate1(candidate)| candidate);
                let merge = merge.map_or(Merge::Concat, |Merge1(merge)| merge);
                match (bidirectional, merge) {
                    (false, _) => Ok(LayerConfig::Gru { units, reset, gate, candidate }),
                    (true, Merge::Concat) if units > u16::MAX / 2 => {
                        Err("a bidirectional gru has more than 65,535 outputs; give it at most 32,767 `units`")
                    }
                    (true, _) => Ok(LayerConfig::Bidirectional { units, reset, gate, candidate, merge }),
                }
            }
            LayerType::Dense if reset.is_some() || gate.is_some() || candidate.is_some() => {
                Err("a dense layer has no `reset`, `gate` or `candidate`: it has `activation` (linear)")
            }
            LayerType::Dense => Ok(LayerConfig::Dense {
                units,
                activation: activation.map_or(Activation::Linear, |Activation1(activation)| activation),
            }),
        }
    }
}

impl From<LayerConfig> for LayerTable {
    fn from(layer: LayerConfig) -> Self {
        let given = |size: u16| (size > 0).then_some(size);
        let units = layer.units().and_then(given);
        match layer {
            LayerConfig::Gru { reset, gate, candidate, .. } => LayerTable {
                units,
                reset: Some(Reset1(reset)),
                gate: Some(Gate1(gate)),
                candidate: Some(Candidate1(candidate)),
                ..LayerTable::new(LayerType::Gru)
            },
            LayerConfig::Bidirectional { units, reset, gate, candidate, merge } => LayerTable {
                units: given(units),
                reset: Some(Reset1(reset)),
                gate: Some(Gate1(gate)),
                candidate: Some(Candidate1(candidate)),
                bidirectional: Some(true),
                merge: Some(Merge1(merge)),
                ..LayerTable::new(LayerType::Gru)
            },
            LayerConfig::Embedding { vocabulary, .. } => {
                LayerTable { units, vocabulary: given(vocabulary), ..LayerTable::new(LayerType::Embedding) }
            }
            LayerConfig::OneHot { vocabulary } => {
                LayerTable { vocabulary: given(vocabulary), ..LayerTable::new(LayerType::OneHot) }
            }
            LayerConfig::Dense { activation, .. } => {
                LayerTable { units, activation: Some(Activation1(activation)), ..LayerTable::new(LayerType::Dense) }
            }
            LayerConfig::Pool { over } => {
                let over = match over {
                    Pooling::Mean => Over::Mean,
                    Pooling::Max => Over::Max,
                };
                LayerTable { over: Some(over), ..LayerTable::new(LayerType::Pool) }
            }
        }
    }
}
