//! ONNX, opset 17: a `GRU` for each GRU and each bidirectional layer, `MatMul`, `Add` and an activation for each dense layer, `Gather` for an embedding, `OneHot` for a one-hot layer,
//! `ReduceMean` or `ReduceMax` for a pool. Input `x (batch, time, I)`, or `x (batch, time)` of tokens; output `out (batch,
//! time, O)`, or `(batch, O)` at the last step. Scales between real units and the network's are part of the graph.

use std::mem;
use std::path::Path;

use grulet::blob::{Contents, LayerWeights};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Merge, Output, Pooling, Reset};
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
    let is_gru = |layer: &LayerSpec| matches!(layer, LayerSpec::Gru { .. } | LayerSpec::Bidirectional { .. });
    let last_gru = layers.iter().rposition(is_gru);
    let is_pool = |layer: &LayerSpec| matches!(layer, LayerSpec::Pool { .. });
    let (pool, last_pool) = (layers.iter().position(is_pool), layers.iter().rposition(is_pool));
    if pool.is_some_and(|pool| !last || last_gru > Some(pool)) || pool != last_pool {
        return unsupported("a pool of the steps so far", "pool once, at the last step, after all GRUs");
    }

    let mut graph =
        Builder { graph: Graph { name: header.name.to_owned(), ..Graph::default() }, value: "x".to_owned() };
    let tokens = layers.first().is_some_and(|layer| layer.vocabulary().is_some());
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
            LayerSpec::Gru { .. } | LayerSpec::Bidirectional { .. } => {
                let ends = last && pool.is_none() && last_gru == Some(index);
                graph.gru(layer, weights, &named, ends);
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
            LayerSpec::OneHot { vocabulary } if index == 0 => {
                let depth = graph.whole(&named("depth"), &[], &[vocabulary.into()]);
                let values = graph.constant(&named("values"), &[2], vec![0.0, 1.0]);
                graph.node("OneHot", vec![int("axis", -1)], &[depth, values]);
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
            let place = graph.whole("last", &[], &[-1]);
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

    /// The same of whole numbers.
    fn whole(&mut self, name: &str, shape: &[usize], values: &[i64]) -> String {
        self.tensor(name, shape, kind::I64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
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

    /// A GRU, or both of a bidirectional layer; if the data `end` with it, its last states alone.
    fn gru(&mut self, layer: &LayerSpec, weights: &LayerWeights<'_>, named: &dyn Fn(&str) -> String, ends: bool) {
        let (mut w, mut r, mut b) = (Vec::new(), Vec::new(), Vec::new());
        let mut parts = weights.parts(layer).peekable();
        let Some((LayerSpec::Gru { inputs, hidden, reset, gate, candidate }, _)) = parts.peek().cloned() else {
            return;
        };
        let (inputs, hidden) = (usize::from(inputs), usize::from(hidden));
        let three = 3 * hidden;
        let mut directions = 0;
        for (_, weights) in parts {
            directions += 1;
            w.extend(transpose(weights.kernel, three));
            r.extend(transpose(weights.recurrent, three));
            b.extend_from_slice(weights.bias);
            b.resize(directions * 2 * three, 0.0);
        }
        let w = self.constant(&named("W"), &[directions, three, inputs], w);
        let r = self.constant(&named("R"), &[directions, three, hidden], r);
        let b = self.constant(&named("B"), &[directions, 2 * three], b);
        let mut attributes =
            vec![int("hidden_size", hidden as i64), int("linear_before_reset", i64::from(reset == Reset::After))];
        if directions == 2 {
            let (name, s) = ("direction".to_owned(), Bytes::from_static(b"bidirectional"));
            attributes.push(Attribute { name, r#type: attribute::STRING, s, ..Attribute::default() });
        }
        attributes.extend(activations(gate, candidate, directions));
        self.node("GRU", attributes, &[w, r, b]);
        // Y is (T, D, B, H), Y_h (D, B, H).
        if ends && let Some(node) = self.graph.node.last_mut() {
            node.output.insert(0, String::new());
        }
        let axis = i64::from(!ends);
        let reduce = |graph: &mut Self, op: &str| graph.node(op, vec![ints("axes", &[axis]), int("keepdims", 0)], &[]);
        match layer {
            LayerSpec::Bidirectional { merge: Merge::Concat, .. } => {
                let (order, shape): (&[i64], &[i64]) =
                    if ends { (&[1, 0, 2], &[0, -1]) } else { (&[0, 2, 1, 3], &[0, 0, -1]) };
                self.node("Transpose", vec![ints("perm", order)], &[]);
                let shape = self.whole(&named("merged"), &[shape.len()], shape);
                self.node("Reshape", Vec::new(), &[shape]);
            }
            LayerSpec::Bidirectional { merge: Merge::Sum, .. } => {
                let axes = self.whole(&named("directions"), &[1], &[axis]);
                self.node("ReduceSum", vec![int("keepdims", 0)], &[axes]);
            }
            LayerSpec::Bidirectional { merge: Merge::Mul, .. } => reduce(self, "ReduceProd"),
            LayerSpec::Bidirectional { merge: Merge::Ave, .. } => reduce(self, "ReduceMean"),
            _ => {
                let axes = self.whole(&named("direction"), &[1], &[axis]);
                self.node("Squeeze", Vec::new(), &[axes]);
            }
        }
    }
}

/// What a `GRU` says of its activations, where they are not the usual ones: the same for each direction.
fn activations(gate: Gate, candidate: Candidate, directions: usize) -> Vec<Attribute> {
    if (gate, candidate) == (Gate::Sigmoid, Candidate::Tanh) {
        return Vec::new();
    }
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
    let names = [gate, candidate].map(str::as_bytes).repeat(directions);
    let strings = names.into_iter().map(Bytes::from_static).collect();
    let name = "activations".to_owned();
    let mut attributes = vec![Attribute { name, r#type: attribute::STRINGS, strings, ..Attribute::default() }];
    for (name, floats) in [("activation_alpha", alpha), ("activation_beta", beta)] {
        let (name, floats) = (name.to_owned(), floats.repeat(directions));
        if !floats.is_empty() {
            attributes.push(Attribute { name, r#type: attribute::FLOATS, floats, ..Attribute::default() });
        }
    }
    attributes
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
