//! Models of other frameworks.
//!
//! In the order that things pass: a reader (`keras`, `torch`, `onnx`) makes a [`chain`] of what a file holds → what the runtime has no
//! layer for is folded into its neighbours → a checkpoint, from which everything else goes on as after a training →
//! [`check`] holds the model to the source: to its graph computed in `f64`, and to outputs that the source has given.
//!
//! If a file holds anything that is not understood, then the import fails and names it. Nothing in a file is ever run.

mod budget;
pub mod chain;
pub mod check;
mod description;
mod error;
mod fold;
mod keras;
pub(crate) mod onnx;
mod reference;
mod torch;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use grulet::spec::{Activation, Decoding, LayerSpec, Output};

pub use error::ImportError;

use crate::checkpoint::{Card, Checkpoint, Origin as RunOrigin};
use crate::export::GOLDEN_STEPS;
use crate::files::FileError;
use crate::nn::{Network, Optimizer, Rng};
use chain::{Chain, Graph, Op, Origin, Source, Step};

/// The largest file that is read, in bytes: far above what a microcontroller's flash holds.
pub const MAX_BYTES: u64 = 64 << 20;

/// What a file does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The model's name; the file's own, else the file's name, unless given.
    pub name: Option<String>,
    /// A TOML file whose `[model]` describes the network, for files that hold weights alone.
    pub like: Option<PathBuf>,
    /// Of an encoder-decoder: the token that its decoder takes first.
    pub start: Option<u16>,
    /// Of an encoder-decoder: the token that ends a sequence.
    pub stop: Option<u16>,
    /// Of an encoder-decoder: tokens of the longest sequence.
    pub longest: Option<u16>,
    /// Of files of tensors alone: at which step the network answers.
    pub output: Option<Output>,
    /// Of files of tensors alone: the last layer's activation.
    pub activation: Option<Activation>,
    /// Of files of tensors alone: the modules in the order that data pass them; empty if not given.
    pub order: Vec<String>,
    /// Of ONNX: where the reset gate acts, for files that are known to say it wrongly.
    pub linear_before_reset: Option<bool>,
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What kind of file it was.
    pub format: String,
    /// The model, as a training would leave it.
    pub checkpoint: Checkpoint,
    /// Where each tensor went.
    pub rows: Vec<Row>,
    /// What was left out, and why that changes nothing.
    pub skipped: Vec<String>,
    /// What the file does not say and was guessed.
    pub guesses: Vec<String>,
    /// The source's own graph.
    pub(super) graph: Graph,
}

/// A tensor of the source, and where it went.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// The tensor in the source.
    #[serde(flatten)]
    pub origin: Origin,
    /// The tensor here: `gru.kernel`, or the scale of the inputs.
    pub target: String,
}

/// Imports the file at `path`.
///
/// # Errors
/// If it cannot be read, is damaged, or holds anything that is not understood.
pub fn import(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    build(read(path, options)?, path, options)
}

/// Imports a file of these bytes, which is called `name`. Data outside of it are looked for beside `name`.
///
/// # Errors
/// As [`import()`].
pub fn import_bytes(bytes: Vec<u8>, name: &Path, options: &Options) -> Result<Imported, ImportError> {
    build(read_bytes(bytes, name, options)?, name, options)
}

/// What the file at `path` holds.
fn read(path: &Path, options: &Options) -> Result<Source, ImportError> {
    read_bytes(read_limited(path)?, path, options)
}

/// What a file of these bytes holds.
fn read_bytes(bytes: Vec<u8>, path: &Path, options: &Options) -> Result<Source, ImportError> {
    if options.linear_before_reset.is_some() && !onnx::starts(&bytes) {
        return Err(ImportError::unsupported("--linear-before-reset with a file that is not of ONNX", "leave it out"));
    }
    match &bytes[..] {
        // First, as its length may begin like a pickle.
        _ if torch::is_safetensors(&bytes) => return torch::read_safetensors(&bytes, options),
        [b'P', b'K', 3, 4, ..] if torch::is_archive(&bytes) => return torch::read_zip(&bytes, options),
        [0x80, 2..=5, ..] => return torch::read_pickle(&bytes, options),
        _ => {}
    }
    if options.output.is_some() || options.activation.is_some() || !options.order.is_empty() {
        return Err(ImportError::unsupported(
            "--answers, --activation or --order with a file that says these itself",
            "leave them out",
        ));
    }
    let hdf5 = bytes.starts_with(b"\x89HDF");
    if options.like.is_some() && !hdf5 {
        return Err(ImportError::unsupported(
            "--like with a file that says itself what its network is",
            "leave it out",
        ));
    }
    match &bytes[..] {
        _ if hdf5 => keras::read_hdf5(bytes, options),
        [b'P', b'K', 3, 4, ..] => keras::read_zip(bytes),
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => Err(ImportError::unsupported(
            "a .tflite file",
            "it has no GRU any more: import the .keras file that it was converted from",
        )),
        _ if onnx::starts(&bytes) => onnx::read(bytes, path.parent().unwrap_or(Path::new("")), options),
        _ => Err(ImportError::UnknownKind { advice: "give a .keras, .h5, .pt, .safetensors or .onnx file" }),
    }
}

/// The bytes of a file that may be too large.
fn read_limited(path: &Path) -> Result<Vec<u8>, ImportError> {
    let failed = |source| FileError::new(path, "read", source);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::with_capacity(length.min(MAX_BYTES) as usize + 1);
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        let (what, bytes) = ("the file".to_owned(), length.max(bytes.len() as u64));
        return Err(ImportError::TooLarge { what, bytes, limit: MAX_BYTES });
    }
    Ok(bytes)
}

/// A model from what a reader has found.
fn build(mut source: Source, path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut card = Card { data: file, metric: "imported".to_owned(), ..Card::default() };
    card.name = match &options.name {
        Some(name) => name.clone(),
        None if source.name.is_empty() => stem,
        None => source.name.clone(),
    };
    let (params, origins, scaling, channels) = match &mut source.graph {
        Graph::Chain(chain) => {
            if options.start.or(options.stop).or(options.longest).is_some() {
                return Err(ImportError::unsupported(
                    "--start, --stop or --longest with a network that is no encoder-decoder",
                    "leave them out",
                ));
            }
            let folded = fold::fold(chain.clone())?;
            card.output = if folded.last { Output::LastStep } else { Output::EveryStep };
            card.window = if folded.last { chain.window as u32 } else { 0 };
            card.layers = folded.layers;
            (card.mean, card.std) = (folded.mean, folded.std);
            (card.target_mean, card.target_std) = (folded.target_mean, folded.target_std);
            (folded.params, folded.origins, folded.scaling, chain.inputs)
        }
        Graph::Pair { encoder, decoder } => {
            take_tokens(decoder);
            let (mut before, after) = (fold::fold(encoder.clone())?, fold::fold(decoder.clone())?);
            if after.last || !after.mean.is_empty() || !before.target_std.is_empty() || !after.target_std.is_empty() {
                return Err(ImportError::unsupported(
                    "an encoder-decoder whose decoder scales its inputs or answers at its last step only",
                    "let it take tokens and return sequences",
                ));
            }
            let said = |value: Option<u16>, what: &str, flag: &str| {
                value.ok_or_else(|| ImportError::Unsaid {
                    what: format!("{what} of its encoder-decoder"),
                    fix: format!("give {flag}"),
                })
            };
            let decoding = Decoding {
                encoder: before.layers.len() as u8,
                start: said(options.start, "the start token", "--start TOKEN")?,
                stop: said(options.stop, "the stop token", "--stop TOKEN")?,
                longest: said(options.longest, "the longest sequence", "--longest TOKENS")?,
            };
            check_decoding(&decoding, &after.layers)?;
            card.output = Output::Sequence(decoding);
            before.layers.extend(after.layers);
            before.origins.extend(after.origins);
            before.params.extend(after.params);
            card.layers = before.layers;
            (card.mean, card.std) = (before.mean, before.std);
            (before.params, before.origins, before.scaling, encoder.inputs)
        }
    };
    card.golden = golden(&card, channels, &source.graph);
    let network = Network::from_params(&card.layers, card.output, params)?;
    let rows = rows(&network, origins, scaling);
    let checkpoint = Checkpoint {
        epoch: 0,
        value: 0.0,
        params: network.params().to_vec(),
        optimizer: Optimizer::none(network.params().len()),
        origin: RunOrigin::default(),
        card,
    };
    Ok(Imported {
        format: source.format,
        checkpoint,
        rows,
        skipped: source.skipped,
        guesses: source.guesses,
        graph: source.graph,
    })
}

/// Refuses tokens that a decoder cannot take, and sequences of none.
fn check_decoding(decoding: &Decoding, decoder: &[LayerSpec]) -> Result<(), ImportError> {
    let vocabulary = decoder.first().and_then(LayerSpec::vocabulary).unwrap_or(0);
    let refuse = |problem: String| Err(ImportError::Description(problem));
    for (flag, token) in [("--start", decoding.start), ("--stop", decoding.stop)] {
        if token >= vocabulary {
            return refuse(format!("{flag} {token}: the decoder takes tokens below {vocabulary}; give one of them"));
        }
    }
    if decoding.start == decoding.stop {
        return refuse(format!("--start and --stop are both {}; they are two tokens", decoding.stop));
    }
    if decoding.longest == 0 {
        return refuse("--longest 0: the model would write nothing; give at least 1".to_owned());
    }
    Ok(())
}

/// Lets a decoder that takes one-hot vectors take tokens: it is given these here.
fn take_tokens(decoder: &mut Chain) {
    if matches!(decoder.steps.first(), Some(Step { op: Op::Embedding { .. } | Op::OneHot { .. }, .. })) {
        return;
    }
    let op = Op::OneHot { vocabulary: decoder.inputs };
    decoder.steps.insert(0, Step { name: "tokens as one-hot vectors".to_owned(), op, tensors: Vec::new() });
    decoder.inputs = 1;
}

/// Inputs for the self-test: normal around what the model takes for the middle, or random tokens.
fn golden(card: &Card, channels: usize, graph: &Graph) -> Vec<f32> {
    let (Graph::Chain(chain) | Graph::Pair { encoder: chain, .. }) = graph;
    let mut rng = Rng::new(1, 0);
    let steps = if chain.window > 0 { chain.window.min(GOLDEN_STEPS) } else { GOLDEN_STEPS };
    samples(chain, card, steps * channels, &mut rng)
}

/// `count` inputs that `chain` takes.
fn samples(chain: &Chain, card: &Card, count: usize, rng: &mut Rng) -> Vec<f32> {
    let vocabulary = match chain.steps.first() {
        Some(Step { op: Op::Embedding { vocabulary, .. } | Op::OneHot { vocabulary }, .. }) => Some(*vocabulary),
        _ => None,
    };
    let sample = |index: usize| match vocabulary {
        Some(tokens) => (rng.uniform() * tokens as f64).floor() as f32,
        None => {
            let of = |values: &[f32], default| values.get(index % chain.inputs).copied().unwrap_or(default);
            of(&card.mean, 0.0) + of(&card.std, 1.0) * rng.normal() as f32
        }
    };
    (0..count).map(sample).collect()
}

/// The table of what went where.
fn rows(network: &Network<f32>, origins: Vec<Vec<Origin>>, scaling: Vec<Origin>) -> Vec<Row> {
    let mut rows: Vec<Row> =
        scaling.into_iter().map(|origin| Row { origin, target: "the scale of inputs or outputs".to_owned() }).collect();
    for (layer, origins) in origins.into_iter().enumerate() {
        let tensors = || network.tensors().iter().filter(|tensor| tensor.layer == layer);
        for origin in origins {
            let part = |name: &str| name.split_once('.').is_some_and(|(_, part)| part == origin.part);
            let named = tensors().find(|tensor| part(&tensor.name));
            let target = match named.or_else(|| tensors().next()) {
                Some(tensor) if origin.part.is_empty() => format!("folded into {}", tensor.name),
                Some(tensor) => tensor.name.clone(),
                None => format!("layer {layer}"),
            };
            rows.push(Row { origin, target });
        }
    }
    rows
}
