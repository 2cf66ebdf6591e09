//! ONNX: models with the operator `GRU`.
//!
//! In the order that things pass: [`proto`] (bytes to messages) → [`tensor`] (constants, also from files beside the model) →
//! [`graph`], which goes through the operators in the order of the file: those on constants are computed ([`constant`]),
//! those that only arrange the data are followed ([`axes`]), the others become steps ([`gru`] one of them).

mod axes;
mod call;
mod constant;
mod graph;
mod gru;
pub(crate) mod proto;
mod tensor;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::chain::{Graph, Source};
use super::{ImportError, Options};

/// The largest file that is read, in bytes. Data beside it have their own limit.
const MAX_BYTES: u64 = 32 << 20;
/// Operators of the largest graph that is read.
const MAX_NODES: usize = 10_000;
/// The oldest set of operators that is read: before it, shapes were stretched by an attribute.
const OLDEST: i64 = 7;

/// Whether `bytes` may be an ONNX file. It has no magic, but its first field is nearly always the version of the format.
pub(super) fn starts(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, version, ..] if *version < 0x80)
}

/// Reads an ONNX file, with the data that lie in `folder` beside it.
pub(super) fn read(bytes: Vec<u8>, folder: &Path, options: &Options) -> Result<Source, ImportError> {
    if bytes.len() as u64 > MAX_BYTES {
        let bytes = bytes.len() as u64;
        return Err(ImportError::TooLarge { what: "the file".to_owned(), bytes, limit: MAX_BYTES });
    }
    let model = proto::decode(bytes)?;
    let Some(graph) = &model.graph else {
        return Err(ImportError::UnknownKind { advice: "as an ONNX file it would have a graph" });
    };
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let opset = model.opset_import.iter().find(|opset| standard(&opset.domain)).map(|opset| opset.version);
    let opset = opset.ok_or_else(|| ImportError::Damaged("the ONNX model names no opset".to_owned()))?;
    if opset < OLDEST {
        return Err(ImportError::unsupported(
            format!("opset {opset}"),
            format!("convert it to {OLDEST} or newer with onnx.version_converter"),
        ));
    }
    if !model.functions.is_empty() {
        return Err(ImportError::unsupported(
            "a model with functions of its own",
            "put them into its graph with onnx.inliner.inline_local_functions",
        ));
    }
    if graph.node.len() > MAX_NODES {
        return Err(ImportError::TooMany {
            what: "operators of the graph".to_owned(),
            found: graph.node.len(),
            max: MAX_NODES,
            fix: "simplify it, for example with onnxsim",
        });
    }
    let writer = [&*model.producer_name, &model.producer_version].join(" ");
    let by = if writer.trim().is_empty() { String::new() } else { format!(", written by {}", writer.trim()) };
    let (chain, notes) = graph::read(&model, graph, opset, folder, options)?;
    // What exporters call every graph says nothing.
    let plain = ["main_graph", "torch_jit", "torch-jit-export", "tf2onnx", "graph"];
    let name = if plain.contains(&&*graph.name) { String::new() } else { graph.name.clone() };
    Ok(Source {
        format: format!("ONNX, opset {opset}{by}"),
        name,
        graph: Graph::Chain(chain),
        skipped: notes.skipped,
        guesses: notes.guesses,
    })
}
