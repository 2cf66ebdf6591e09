//! Keras: `.keras` archives, whole models in legacy `.h5`, and `.weights.h5` with a description of the network.
//!
//! The architecture is in a JSON document ([`config`]), the weights in HDF5 ([`weights`]); [`layers`] makes steps of both.

mod config;
mod layers;
mod weights;

use std::io::{Cursor, Read};

use grulet::spec::{self, Output, Reset};
use serde_json::Value;
use zip::ZipArchive;

use super::chain::{Activation, Chain, Graph, Op, Source, Step, answer_once, both_directions, one_hot};
use super::{ImportError, MAX_BYTES, Options, description};
use crate::config::{LayerConfig, ModelConfig};
use config::Model;
use layers::{Version, dense_of, embedding_of, gru_of};
use weights::Weights;

/// The largest JSON document that is read, in bytes.
const MAX_JSON: u64 = 1 << 20;

/// Reads a `.keras` archive.
pub(super) fn read_zip(bytes: Vec<u8>) -> Result<Source, ImportError> {
    let damaged = |error: zip::result::ZipError| ImportError::Damaged(format!("the archive: {error}"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    if archive.index_for_name("config.json").is_none() || archive.index_for_name("model.weights.h5").is_none() {
        return Err(ImportError::UnknownKind {
            advice: "this archive has neither Keras's config.json and model.weights.h5 nor PyTorch's data.pkl; of a .pt2, give what \
                     torch.save(model.state_dict(), …) writes",
        });
    }
    let mut entry = |name: &str, limit: u64| {
        let entry = archive.by_name(name).map_err(damaged)?;
        let size = entry.size();
        let mut bytes = Vec::new();
        let unreadable = |error| ImportError::Damaged(format!("{name}: {error}"));
        entry.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > limit {
            return Err(ImportError::TooLarge { what: name.to_owned(), bytes: size.max(limit + 1), limit });
        }
        Ok(bytes)
    };
    let json = |name: &str, bytes: Vec<u8>| -> Result<Value, ImportError> {
        serde_json::from_slice(&bytes).map_err(|error| ImportError::Damaged(format!("{name}: {error}")))
    };
    let config = json("config.json", entry("config.json", MAX_JSON)?)?;
    let version = match entry("metadata.json", MAX_JSON) {
        Ok(bytes) => json("metadata.json", bytes)?["keras_version"].as_str().map(str::to_owned),
        Err(_) => None,
    };
    let weights = Weights::open(entry("model.weights.h5", MAX_BYTES)?)?;
    whole(&config, version, &weights, "Keras archive")
}

/// Reads an `.h5`: a whole model, or weights alone.
pub(super) fn read_hdf5(bytes: Vec<u8>, options: &Options) -> Result<Source, ImportError> {
    let weights = Weights::open(bytes)?;
    let version = weights.attribute("keras_version");
    if let (Some(text), None) = (weights.attribute("model_config"), &options.like) {
        let config = serde_json::from_str(&text)
            .map_err(|error| ImportError::Damaged(format!("the attribute model_config: {error}")))?;
        return whole(&config, version, &weights, "Keras model in HDF5");
    }
    let Some(path) = &options.like else {
        return Err(ImportError::Unsaid {
            what: "what its network is: it holds weights alone".to_owned(),
            fix: "describe it with --like CONFIG.toml, whose [model] is that of a training, or give the .keras file"
                .to_owned(),
        });
    };
    described(&description::load(path)?, &weights)
}

/// A model that says what its network is.
fn whole(config: &Value, version: Option<String>, weights: &Weights, format: &str) -> Result<Source, ImportError> {
    let format = match &version {
        Some(version) => format!("{format}, Keras {version}"),
        None => format.to_owned(),
    };
    let model = Model::parse(config)?;
    let mut source = Source {
        format,
        name: model.name.clone(),
        graph: Graph::Chain(Chain::default()),
        skipped: Vec::new(),
        guesses: Vec::new(),
    };
    let version = match version.as_deref().and_then(|version| version.split('.').next()) {
        Some("1" | "2") => Version::Two,
        Some(_) => Version::Three,
        None => Version::Unknown,
    };
    let paths = model.paths()?;
    let mut chains = Vec::new();
    for path in &paths {
        chains.push(layers::chain(path, version, weights, &mut source)?);
    }
    let mut chains = chains.into_iter();
    source.graph = match (chains.next(), chains.next()) {
        (Some(encoder), Some(decoder)) => Graph::Pair { encoder, decoder },
        (Some(chain), None) => Graph::Chain(chain),
        _ => return Err(ImportError::Damaged("the model has no layers".to_owned())),
    };
    Ok(source)
}

/// Weights alone, with a description of their network.
fn described(model: &ModelConfig, weights: &Weights) -> Result<Source, ImportError> {
    if model.is_sequence() && model.encoder.iter().filter(|layer| layer.is_gru()).count() > 1 {
        return Err(ImportError::unsupported(
            "weights alone of an encoder-decoder of several GRUs, of which they do not say which are the encoder's,",
            "import the file of the whole model without --like",
        ));
    }
    let (mut numbers, mut used) = ([0usize; 4], Vec::new());
    // Keras 2 lists its layers; the layout of Keras 3 has come with its hard sigmoid.
    let alpha = if weights.lists_layers() { 0.2 } else { 1.0 / 6.0 };
    let hard_sigmoid = Activation::HardSigmoid { alpha, beta: 0.5 };
    let mut chain_of = |layers: &[LayerConfig], last: bool| -> Result<Chain, ImportError> {
        let mut chain = Chain::default();
        for layer in layers {
            let (kind, class) = match layer {
                LayerConfig::Gru { .. } => (0, "gru"),
                LayerConfig::Dense { .. } => (1, "dense"),
                LayerConfig::Embedding { .. } => (2, "embedding"),
                LayerConfig::Bidirectional { .. } => (3, "bidirectional"),
                LayerConfig::OneHot { vocabulary } => {
                    chain.steps.push(one_hot(*vocabulary));
                    continue;
                }
                LayerConfig::Pool { over } => {
                    chain.steps.push(Step { name: "pool".to_owned(), op: Op::Pool(*over), tensors: Vec::new() });
                    continue;
                }
            };
            let name = match numbers[kind] {
                0 => class.to_owned(),
                number => format!("{class}_{number}"),
            };
            numbers[kind] += 1;
            let (group, tensors) = weights.of_class(&name)?;
            used.push(group);
            let gate_of = |gate| match gate {
                spec::Gate::Sigmoid => Activation::Sigmoid,
                spec::Gate::HardSigmoid => hard_sigmoid,
            };
            let candidate_of = |candidate| match candidate {
                spec::Candidate::Tanh => Activation::Tanh,
                spec::Candidate::Relu => Activation::Relu,
                spec::Candidate::Linear => Activation::Linear,
            };
            let step = match *layer {
                LayerConfig::Gru { units, reset, gate, candidate } => {
                    let after = Some(reset == Reset::After);
                    gru_of(&name, tensors, units.into(), after, gate_of(gate), candidate_of(candidate))?
                }
                LayerConfig::Bidirectional { units, reset, gate, candidate, merge } => {
                    let mut first = tensors;
                    let second = first.split_off(first.len() / 2);
                    let one = |tensors| {
                        let after = Some(reset == Reset::After);
                        gru_of(&name, tensors, units.into(), after, gate_of(gate), candidate_of(candidate))
                    };
                    let both = both_directions(one(first)?, one(second)?, merge, false);
                    both.ok_or_else(|| ImportError::Damaged(format!("{name}: no GRUs")))?
                }
                LayerConfig::Dense { units, activation } => {
                    let activation = Activation::described(activation, alpha);
                    dense_of(&name, tensors, (units > 0).then_some(units.into()), activation)?
                }
                LayerConfig::Embedding { vocabulary, units } => {
                    let step = embedding_of(&name, tensors)?;
                    if let Op::Embedding { vocabulary: rows, outputs, .. } = step.op
                        && (outputs != usize::from(units) || vocabulary > 0 && rows != usize::from(vocabulary))
                    {
                        let (expected, found) = (vec![vocabulary.into(), units.into()], vec![rows, outputs]);
                        return Err(ImportError::Shape { tensor: name, expected, found });
                    }
                    step
                }
                LayerConfig::OneHot { .. } | LayerConfig::Pool { .. } => unreachable!("they have no weights"),
            };
            chain.steps.push(step);
        }
        if last && !chain.steps.iter().any(|step| matches!(step.op, Op::Pool(_))) {
            answer_once(&mut chain.steps);
        }
        chain.size_one_hot();
        chain.inputs = chain.first_inputs().unwrap_or(0);
        Ok(chain)
    };
    let graph = match model.output {
        Output::Sequence(_) => {
            Graph::Pair { encoder: chain_of(&model.encoder, false)?, decoder: chain_of(&model.layers, false)? }
        }
        output => Graph::Chain(chain_of(&model.layers, output == Output::LastStep)?),
    };
    if let Some(other) = weights.other_than(&used)? {
        return Err(ImportError::unsupported(
            format!("weights of {other}, for which the network of --like has no layer"),
            "describe all layers, or import the file of the whole model without --like",
        ));
    }
    let is_hard = |layer: &LayerConfig| {
        matches!(
            layer,
            LayerConfig::Gru { gate: spec::Gate::HardSigmoid, .. }
                | LayerConfig::Bidirectional { gate: spec::Gate::HardSigmoid, .. }
                | LayerConfig::Dense { activation: spec::Activation::HardSigmoid, .. }
        )
    };
    let guess = format!(
        "hard sigmoid is taken for that of Keras {}, as the file is laid out so",
        if alpha == 0.2 { "2" } else { "3" }
    );
    Ok(Source {
        format: "Keras weights".to_owned(),
        name: String::new(),
        graph,
        skipped: Vec::new(),
        guesses: model.all_layers().any(is_hard).then_some(guess).into_iter().collect(),
    })
}
