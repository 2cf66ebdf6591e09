//! ONNX, opset 17: a `GRU` for each GRU, `MatMul`, `Add` and an activation for each dense layer, `Gather` for an embedding,
//! `ReduceMean` or `ReduceMax` for a pool. Input `x (batch, time, I)`, or `x (batch, time)` of tokens; output `out (batch,
//! time, O)`, or `(batch, O)` at the last step. Scales between real units and the network's are part of the graph.

use std::mem;
use std::path::Path;

use grulet::blob::{Contents, LayerWeights};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Pooling, Reset};
use prost::Message;
use prost::bytes::Bytes;

use super::model::{ModelError, load};
use crate::export::{ExportError, with_contents};
use crate::import::chain::transpose;
use crate::import::onnx::proto::{
    Attribute, Dimension, Graph, Model, Node, Opset, Shape, Tensor, TensorType, Type, ValueInfo, attribute, kind,
};

/// The format's version that opset 17 belongs to.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Why a model cannot be written as ONNX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// There is no model with weights in `f32`.
    #[error(transparent)]
    Load(#[from] ModelError),
    /// The checkpoint is inconsistent.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// ONNX has no counterpart.
    #[error("{what} cannot be written as ONNX; {instead}")]
    Unsupported {
        /// What.
        what: String,
        /// What can.
        instead: &'static str,
    },
}

/// What `writer` makes of the model at `path`, see [`load`].
///
/// # Errors
/// If it cannot be read, or the writer fails.
pub fn convert<T>(path: &Path, writer: impl FnOnce(&Contents<'_>) -> Result<T, OnnxError>) -> Result<T, OnnxError> {
    with_contents(&load(path)?, |contents| Ok(writer(contents)))?
}

/// The model as an ONNX file.
///
/// # Errors
/// If it has a layer or an output that ONNX has no operators for.
pub fn write(contents: &Contents<'_>) -> Result<Vec<u8>, OnnxError> {
    let header = &contents.header;
    let layers = &header.layers;
    let (inputs, outputs) = (header.inputs(), header.outputs());
    let unsupported =
        |what: &str, instead: &'static str| Err(OnnxError::Unsupported { what: what.to_owned(), instead });
    let last = match header.output {
        Output::EveryStep => false,
        Output::LastStep => true,
        Output::Sequence(_) => return unsupported("an encoder-decoder", "export it as .gru"),
    };
    let is_gru = |layer: &LayerSpec| matches!(layer, LayerSpec::Gru { .. });
    let last_gru = layers.iter().rposition(is_gru);
    let pool = layers.iter().position(|layer| matches!(layer, LayerSpec::Pool { .. }));
    if pool.is_some_and(|pool| !last || last_gru > Some(pool)) {
        return unsupported("a pool of the steps so far", "pool once, at the last step, after all GRUs");
    }

    let mut graph =
        Builder { graph: Graph { name: header.name.to_owned(), ..Graph::default() }, value: "x".to_owned() };
    let tokens = matches!(layers.first(), Some(LayerSpec::Embedding { .. }));
    if !tokens {
        if contents.mean.iter().any(|&mean| mean != 0.0) {
            graph.binary("Sub", "input_mean", &[inputs], contents.mean.to_vec());
        }
        if contents.scale.iter().any(|&scale| scale != 1.0) {
            graph.binary("Mul", "input_scale", &[inputs], contents.scale.to_vec());
        }
    }
    // A GRU takes (T, B, I); tokens have no channels before they are looked up.
    let swap = |graph: &mut Builder| graph.node("Transpose", vec![ints("perm", &[1, 0, 2])], &[]);
    if !tokens {
        swap(&mut graph);
    }
    for (index, (layer, weights)) in layers.iter().zip(contents.layers).enumerate() {
        let named = |part: &str| format!("layer{index}.{part}");
        match *layer {
            LayerSpec::Gru { hidden, .. } => {
                let ends = last && pool.is_none() && last_gru == Some(index);
                graph.gru(layer, weights, usize::from(hidden), &named, ends)?;
            }
            LayerSpec::Dense { inputs, outputs, activation } => {
                let (i, o) = (usize::from(inputs), usize::from(outputs));
                graph.binary("MatMul", &named("kernel"), &[i, o], weights.kernel.to_vec());
                graph.binary("Add", &named("bias"), &[o], weights.bias.to_vec());
                let (op, attributes) = match activation {
                    Activation::Linear => continue,
                    Activation::Sigmoid => ("Sigmoid", vec![]),
                    Activation::HardSigmoid => ("HardSigmoid", vec![float("alpha", 0.2), float("beta", 0.5)]),
                    Activation::Tanh => ("Tanh", vec![]),
                    Activation::Relu => ("Relu", vec![]),
                    Activation::Softmax => ("Softmax", vec![int("axis", -1)]),
                };
                graph.node(op, attributes, &[]);
            }
            LayerSpec::Embedding { vocabulary, outputs } if index == 0 => {
                let shape = [usize::from(vocabulary), usize::from(outputs)];
                let table = graph.constant(&named("embeddings"), &shape, weights.kernel.to_vec());
                let indices = mem::replace(&mut graph.value, table);
                graph.node("Gather", vec![int("axis", 0)], &[indices]);
                swap(&mut graph);
            }
            LayerSpec::Pool { over, .. } => {
                let op = match over {
                    Pooling::Mean => "ReduceMean",
                    Pooling::Max => "ReduceMax",
                };
                graph.node(op, vec![ints("axes", &[0]), int("keepdims", 0)], &[]);
            }
            _ => return unsupported(&format!("layer {index}, {layer:?},"), "export it as .gru"),
        }
    }
    match (last, pool.is_some() || last_gru.is_some()) {
        (true, false) => {
            let place = graph.whole("last", &[], -1);
            graph.node("Gather", vec![int("axis", 0)], &[place]);
        }
        (true, true) => {}
        (false, _) => swap(&mut graph),
    }
    if contents.output_scale.iter().any(|&scale| scale != 1.0) {
        graph.binary("Mul", "output_scale", &[outputs], contents.output_scale.to_vec());
    }
    if contents.output_offset.iter().any(|&offset| offset != 0.0) {
        graph.binary("Add", "output_offset", &[outputs], contents.output_offset.to_vec());
    }
    if let Some(node) = graph.graph.node.last_mut() {
        node.output = vec!["out".to_owned()];
    }

    let free = |name: &str| Dimension { dim_value: None, dim_param: name.to_owned() };
    let fixed = |size: usize| Dimension { dim_value: Some(size as i64), dim_param: String::new() };
    let mut x = vec![free("batch"), free("time")];
    if !tokens {
        x.push(fixed(inputs));
    }
    let mut out = vec![free("batch"), free("time"), fixed(outputs)];
    if last {
        out.remove(1);
    }
    graph.graph.input = vec![info("x", if tokens { kind::I64 } else { kind::F32 }, x)];
    graph.graph.output = vec![info("out", kind::F32, out)];
    let model = Model {
        ir_version: IR_VERSION,
        opset_import: vec![Opset { domain: String::new(), version: OPSET }],
        producer_name: "grulet".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph.graph),
        functions: Vec::new(),
    };
    Ok(model.encode_to_vec())
}

/// A graph that grows operator by operator.
struct Builder {
    graph: Graph,
    /// The value that the next operator takes.
    value: String,
}

impl Builder {
    /// A tensor of this name; its name.
    fn constant(&mut self, name: &str, shape: &[usize], data: Vec<f32>) -> String {
        let raw: Vec<u8> = data.into_iter().flat_map(f32::to_le_bytes).collect();
        self.tensor(name, shape, kind::F32, raw)
    }

    /// The same of one whole number.
    fn whole(&mut self, name: &str, shape: &[usize], value: i64) -> String {
        self.tensor(name, shape, kind::I64, value.to_le_bytes().to_vec())
    }

    fn tensor(&mut self, name: &str, shape: &[usize], data_type: i32, raw: Vec<u8>) -> String {
        let dims = shape.iter().map(|&size| size as i64).collect();
        let raw_data = Some(Bytes::from(raw));
        self.graph.initializer.push(Tensor { name: name.to_owned(), dims, data_type, raw_data, ..Tensor::default() });
        name.to_owned()
    }

    /// An operator on the value at hand, and further inputs.
    fn node(&mut self, op: &str, attribute: Vec<Attribute>, inputs: &[String]) {
        let output = format!("value{}", self.graph.node.len());
        let input = [&[mem::replace(&mut self.value, output.clone())], inputs].concat();
        let name = format!("{op}{}", self.graph.node.len());
        let op_type = op.to_owned();
        self.graph.node.push(Node { input, output: vec![output], name, op_type, attribute, ..Node::default() });
    }

    /// An operator on the value at hand and a tensor.
    fn binary(&mut self, op: &str, name: &str, shape: &[usize], data: Vec<f32>) {
        let constant = self.constant(name, shape, data);
        self.node(op, Vec::new(), &[constant]);
    }

    /// A GRU; if the data `end` with it, its last state alone.
    fn gru(
        &mut self,
        layer: &LayerSpec,
        weights: &LayerWeights<'_>,
        hidden: usize,
        named: &dyn Fn(&str) -> String,
        ends: bool,
    ) -> Result<(), OnnxError> {
        let LayerSpec::Gru { inputs, reset, gate, candidate, .. } = *layer else { return Ok(()) };
        let (inputs, three) = (usize::from(inputs), 3 * hidden);
        let w = self.constant(&named("W"), &[1, three, inputs], transpose(weights.kernel, three));
        let r = self.constant(&named("R"), &[1, three, hidden], transpose(weights.recurrent, three));
        let mut bias = weights.bias.to_vec();
        bias.resize(2 * three, 0.0);
        let b = self.constant(&named("B"), &[1, 2 * three], bias);
        let mut attributes =
            vec![int("hidden_size", hidden as i64), int("linear_before_reset", i64::from(reset == Reset::After))];
        let (mut alpha, mut beta) = (Vec::new(), Vec::new());
        let gate = match gate {
            Gate::Sigmoid => "Sigmoid",
            Gate::HardSigmoid => {
                alpha.push(0.2);
                beta.push(0.5);
                "HardSigmoid"
            }
        };
        let candidate = match candidate {
            Candidate::Tanh => "Tanh",
            Candidate::Relu => "Relu",
            Candidate::Linear => {
                alpha.push(1.0);
                beta.push(0.0);
                "Affine"
            }
        };
        if (gate, candidate) != ("Sigmoid", "Tanh") {
            let strings = [gate, candidate].map(|name| Bytes::from_static(name.as_bytes())).to_vec();
            let name = "activations".to_owned();
            attributes.push(Attribute { name, r#type: attribute::STRINGS, strings, ..Attribute::default() });
            for (name, floats) in [("activation_alpha", alpha), ("activation_beta", beta)] {
                let (name, kind) = (name.to_owned(), attribute::FLOATS);
                if !floats.is_empty() {
                    attributes.push(Attribute { name, r#type: kind, floats, ..Attribute::default() });
                }
            }
        }
        self.node("GRU", attributes, &[w, r, b]);
        // Y is (T, 1, B, H), Y_h (1, B, H).
        if ends && let Some(node) = self.graph.node.last_mut() {
            node.output.insert(0, String::new());
        }
        let axes = self.whole(&named("direction"), &[1], i64::from(!ends));
        self.node("Squeeze", Vec::new(), &[axes]);
        Ok(())
    }
}

fn int(name: &str, i: i64) -> Attribute {
    Attribute { name: name.to_owned(), r#type: attribute::INT, i, ..Attribute::default() }
}

fn ints(name: &str, ints: &[i64]) -> Attribute {
    Attribute { name: name.to_owned(), r#type: attribute::INTS, ints: ints.to_vec(), ..Attribute::default() }
}

fn float(name: &str, f: f32) -> Attribute {
    Attribute { name: name.to_owned(), r#type: attribute::FLOAT, f, ..Attribute::default() }
}

fn info(name: &str, elem_type: i32, dim: Vec<Dimension>) -> ValueInfo {
    let shape = Some(Shape { dim });
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type: Some(TensorType { elem_type, shape }) }) }
}
