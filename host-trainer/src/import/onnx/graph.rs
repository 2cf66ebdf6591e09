//! From a graph of operators to a chain of steps.
//!
//! Every value is a constant, a shape, or the data at some point of the chain with its axes. An operator that is not
//! understood fails only if the model's output depends on it: exporters leave much behind that nothing uses.

mod data;
mod directions;
mod path;
mod recurrent;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use super::axes::{Axis, Dim, Group, Id};
use super::call::Call;
use super::constant::{compute, cuts};
use super::proto::{self, kind};
use super::tensor::{Array, MAX_ELEMENTS, array};
use crate::import::budget::Budget;
use crate::import::chain::{Chain, Op, Origin};
use crate::import::{ImportError, Options};

/// Steps of the longest chain, before anything is folded.
const MAX_STEPS: usize = 64;

/// What was found beside the chain.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// What was left out, and why that changes nothing.
    pub skipped: Vec<String>,
    /// What is uncertain.
    pub guesses: Vec<String>,
}

/// A value of the graph.
#[derive(Clone)]
enum Value {
    Constant(Rc<Array>),
    /// The same number everywhere, in a shape that need not be known.
    Fill(f32),
    /// A shape, or one size of it, that depends on the data's.
    Dims {
        dims: Vec<Dim>,
        scalar: bool,
    },
    Data(Data),
    /// Last states put together, which a model may give as well as its output.
    States,
    /// Something that is not understood.
    Refused(Rc<(String, String)>),
}

/// The data at some point of the chain.
#[derive(Clone)]
struct Data {
    /// The last step before; none for an input of the graph as it is.
    link: Option<usize>,
    /// The input of the graph.
    root: usize,
    /// Real numbers were cut to whole ones, which tokens are anyway.
    cut: bool,
    dims: Vec<Group>,
    /// The axis of the channels, if it is known and longer than 1.
    channel: Option<Id>,
    /// Channels, if known.
    width: Option<usize>,
    /// A GRU's last state, as it is.
    state: bool,
    /// What directions of GRUs give, as long as it is neither merged nor computed with.
    ways: Vec<directions::Way>,
}

/// What a step is made of; weights are taken when the chain is known.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a graph has a handful of them")]
enum Made {
    Op(Op),
    /// `x·W`, times a factor.
    MatMul {
        kernel: Rc<Array>,
        transposed: bool,
        factor: f32,
    },
    /// Something for each channel is added.
    Bias {
        offset: Vec<f64>,
    },
    Gru(directions::Merged),
}

/// A step, and what is before it.
struct Link {
    before: Option<usize>,
    name: String,
    made: Made,
    origins: Vec<Origin>,
    notes: Notes,
}

/// What the axes of the graph's inputs are. The first reading finds it out, the second uses it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Roles {
    /// The steps; nothing if every series has one.
    time: Option<Axis>,
    /// The channels of each input, and how many.
    channels: HashMap<usize, (Option<Id>, usize)>,
}

/// What reads a graph.
struct Reader<'a> {
    graph: &'a proto::Graph,
    opset: i64,
    folder: &'a Path,
    pytorch: Option<&'a str>,
    linear_before_reset: Option<bool>,
    budget: Budget,
    initializers: HashMap<&'a str, &'a proto::Tensor>,
    values: HashMap<&'a str, Value>,
    /// Values that are an input of the graph, at most arranged anew.
    fed: HashMap<&'a str, usize>,
    links: Vec<Link>,
    roles: Roles,
    /// Whether the axes are known already.
    second: bool,
}

/// The chain of `graph`.
pub fn read(
    model: &proto::Model,
    graph: &proto::Graph,
    opset: i64,
    folder: &Path,
    options: &Options,
) -> Result<(Chain, Notes), ImportError> {
    let mut roles = Roles::default();
    for second in [false, true] {
        let mut reader = Reader {
            graph,
            opset,
            folder,
            pytorch: (model.producer_name == "pytorch").then_some(&*model.producer_version),
            linear_before_reset: options.linear_before_reset,
            budget: Budget::of(MAX_ELEMENTS),
            initializers: HashMap::new(),
            values: HashMap::new(),
            fed: HashMap::new(),
            links: Vec::new(),
            roles,
            second,
        };
        reader.inputs()?;
        for node in &graph.node {
            reader.node(node)?;
        }
        if second {
            return reader.chain();
        }
        roles = reader.roles;
    }
    Err(ImportError::Damaged("the graph was not read".to_owned()))
}

fn refused(error: &ImportError) -> Option<Value> {
    match error {
        ImportError::Unsupported { what, instead } => Some(Value::Refused(Rc::new((what.clone(), instead.clone())))),
        ImportError::Chain { layer, expected, found } => {
            let what = format!("{layer}, with {found} inputs after {expected} channels,");
            Some(Value::Refused(Rc::new((what, "its weights are of another model".to_owned()))))
        }
        _ => None,
    }
}

/// What to do about an operator that is not known.
fn advice(op: &str) -> &'static str {
    match op {
        "Loop" | "Scan" | "If" | "SequenceAt" => {
            "the GRU has been taken apart into a loop, as tf2onnx does: import the .keras file that it was made from, or \
             export it again with a real GRU operator"
        }
        "LSTM" | "RNN" => "train it with a GRU, which is smaller and mostly as good",
        "Conv" | "MaxPool" | "AveragePool" => {
            "compute that before the model, and let it begin with a GRU or a dense layer"
        }
        "LogSoftmax" => "end the model with Softmax, whose largest output is the same",
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" => {
            "train with batch normalization, which is folded into the weights"
        }
        "DequantizeLinear" | "QuantizeLinear" | "DynamicQuantizeLinear" | "MatMulInteger" | "QLinearMatMul" => {
            "import the float model; `grulet quantize` makes integers of it"
        }
        "LeakyRelu" | "Elu" | "Selu" | "Gelu" | "Clip" | "HardSwish" | "Softplus" | "PRelu" | "Erf" => {
            "use Relu, Tanh, Sigmoid or HardSigmoid"
        }
        _ => "docs/IMPORT.md names the operators that are read",
    }
}

impl<'a> Reader<'a> {
    fn inputs(&mut self) -> Result<(), ImportError> {
        if !self.graph.sparse_initializer.is_empty() {
            return Err(ImportError::unsupported("a sparse tensor", "save the model with dense tensors"));
        }
        for tensor in &self.graph.initializer {
            if self.initializers.insert(&tensor.name, tensor).is_some() {
                return Err(ImportError::Damaged(format!("the tensor {:?} is there twice", tensor.name)));
            }
        }
        for (input, value) in self.graph.input.iter().enumerate() {
            if self.initializers.contains_key(&*value.name) {
                continue;
            }
            let name = &value.name;
            let shape = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.as_ref());
            let shape = shape.ok_or_else(|| ImportError::Unsaid {
                what: format!("how many dimensions its input {name:?} has"),
                fix: "export it with the shapes of its inputs, free dimensions by name".to_owned(),
            })?;
            let mut dims = Vec::new();
            for (dim, size) in shape.dim.iter().enumerate() {
                let size = match size.dim_value {
                    // Some writers leave free dimensions at 0 or -1.
                    Some(size) if size > 0 => usize::try_from(size).ok(),
                    _ => None,
                };
                let axis = Axis { id: Id::Input { input, dim }, size };
                dims.push(if size == Some(1) { Vec::new() } else { vec![axis] });
            }
            if dims.len() > 8 {
                return Err(ImportError::Damaged(format!("the input {name:?} has {} dimensions", dims.len())));
            }
            let (channel, width) = match self.roles.channels.get(&input) {
                Some(&(channel, width)) => (channel, Some(width)),
                None => (None, None),
            };
            let data =
                Data { link: None, root: input, cut: false, dims, channel, width, state: false, ways: Vec::new() };
            self.define(name, Value::Data(data))?;
            self.fed.insert(name, input);
        }
        Ok(())
    }

    /// Whether an input of the graph is of real numbers.
    fn is_real(&self, input: usize) -> bool {
        let kind = self.graph.input.get(input).and_then(|value| value.r#type.as_ref()?.tensor_type.as_ref());
        kind.is_none_or(|found| [kind::F32, kind::F64, kind::F16, kind::BF16].contains(&found.elem_type))
    }

    fn define(&mut self, name: &'a str, value: Value) -> Result<(), ImportError> {
        if self.values.insert(name, value).is_some() {
            return Err(ImportError::Damaged(format!("the value {name:?} is computed twice")));
        }
        Ok(())
    }

    /// A value by its name; constants are read when they are first used.
    fn value(&mut self, name: &'a str) -> Result<Value, ImportError> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        let tensor = self.initializers.get(name).ok_or_else(|| {
            ImportError::Damaged(format!("the value {name:?} is used before it is computed, or in a circle"))
        })?;
        let value = match array(tensor, name, self.folder, &self.budget) {
            Ok(array) => Value::Constant(Rc::new(array)),
            Err(error) => refused(&error).ok_or(error)?,
        };
        self.values.insert(name, value.clone());
        Ok(value)
    }

    fn node(&mut self, node: &'a proto::Node) -> Result<(), ImportError> {
        let call = Call { node };
        let result = self.outputs(call);
        let values = match result {
            Ok(values) => values,
            Err(error) => vec![refused(&error).ok_or(error)?; node.output.len()],
        };
        let missing = Value::Refused(Rc::new((
            format!("a further output of {} ({})", call.name(), call.op()),
            "use its first output alone".to_owned(),
        )));
        for (at, output) in node.output.iter().enumerate().filter(|(_, output)| !output.is_empty()) {
            self.define(output, values.get(at).unwrap_or(&missing).clone())?;
        }
        self.feed(node);
        Ok(())
    }

    /// Follows inputs of the graph that are states or lengths, and may be arranged in ways that data may not.
    fn feed(&mut self, node: &'a proto::Node) {
        let first = node.input.first().and_then(|input| self.fed.get(&**input)).copied();
        if let Some(input) = first.filter(|_| node.op_type != "Shape" && data::ARRANGE.contains(&&*node.op_type)) {
            self.fed.extend(node.output.iter().map(|output| (&**output, input)));
        }
    }

    /// The outputs of an operator.
    fn outputs(&mut self, call: Call<'a>) -> Result<Vec<Value>, ImportError> {
        let node = call.node;
        if !(node.domain.is_empty() || node.domain == "ai.onnx") {
            return Err(call.refuse(&format!("an operator of {:?}", node.domain), advice("")));
        }
        if node.input.len() > 1000 || node.output.len() > 1000 {
            return Err(call.damaged("more than 1000 inputs or outputs"));
        }
        if call.op() == "GRU" {
            return self.gru(call);
        }
        let mut inputs = Vec::new();
        let mut constants = Vec::new();
        for name in &node.input {
            let value = if name.is_empty() { None } else { Some(self.value(name)?) };
            if let Some(Value::Constant(array)) = &value {
                constants.push(Rc::clone(array));
            }
            inputs.push(value);
        }
        if call.op() == "Constant" {
            return Ok(vec![self.constant(call)?]);
        }
        if constants.len() == inputs.len()
            && let Some(found) = compute(call, &constants, &self.budget)?
        {
            return Ok(found.into_iter().map(|array| Value::Constant(Rc::new(array))).collect());
        }
        if !(data::ARRANGE.contains(&call.op()) || KNOWN.contains(&call.op())) {
            return Err(call.refuse("this operator", advice(call.op())));
        }
        if let Some(Value::Refused(reason)) = inputs.iter().flatten().find(|value| matches!(value, Value::Refused(_))) {
            return Ok(vec![Value::Refused(Rc::clone(reason)); node.output.len()]);
        }
        let data = inputs.iter().flatten().filter(|value| matches!(value, Value::Data(_) | Value::States)).count();
        let dims = inputs.iter().flatten().any(|value| matches!(value, Value::Dims { .. }));
        let inputs = Inputs { values: inputs };
        match inputs.values.first() {
            Some(Some(Value::States)) if FILLED.contains(&call.op()) || call.op() == "Gather" => {
                return Ok(vec![Value::States; node.output.len()]);
            }
            Some(Some(Value::States)) => {
                return Err(call.refuse("last states of several GRUs as its input", "take the last GRU's alone"));
            }
            Some(Some(Value::Fill(value))) if FILLED.contains(&call.op()) => {
                let all = inputs.values.iter().flatten().all(|other| match other {
                    Value::Fill(other) => other == value,
                    _ => call.op() != "Concat",
                });
                if all {
                    return Ok(vec![Value::Fill(*value); node.output.len()]);
                }
            }
            _ => {}
        }
        if let Some(found) = self.directions(call, &inputs)? {
            return Ok(found);
        }
        match (call.op(), data) {
            ("ConstantOfShape", 0) => {
                let tensor = call.attribute("value").and_then(|attribute| attribute.t.as_deref());
                let value = match tensor {
                    Some(tensor) => array(tensor, &call.name(), self.folder, &self.budget)?.uniform().unwrap_or(0.0),
                    None => 0.0,
                };
                return Ok(vec![Value::Fill(value)]);
            }
            ("Expand", 0) => {
                if let Some(value) = inputs.constant(0).and_then(|array| array.uniform()) {
                    return Ok(vec![Value::Fill(value)]);
                }
            }
            (_, 0) if dims => return self.dims(call, &inputs),
            ("Concat", count) if count > 1 || count == inputs.values.len() => return self.join(call, &inputs),
            (_, 2..) => {
                return Err(call.refuse(
                    "two branches of the data meet",
                    "build a chain of layers; layers can be wired by hand in the firmware",
                ));
            }
            _ => {}
        }
        let at = inputs.values.iter().position(|value| matches!(value, Some(Value::Data(_))));
        match at.and_then(|at| Some((at, inputs.data(at)?))) {
            Some((at, data)) => {
                let states = data.state && data.ways.len() > 1;
                match self.on_data(call, &inputs, data, at == 0) {
                    // They may still be outputs beside the model's own.
                    Err(error) if states && refused(&error).is_some() && FILLED.contains(&call.op()) => {
                        Ok(vec![Value::States; node.output.len()])
                    }
                    other => other,
                }
            }
            None => Err(call.refuse("a value that is neither data nor a constant", advice(""))),
        }
    }

    /// Data put together: nothing if there is one input alone, and states may be.
    fn join(&self, call: Call<'a>, inputs: &Inputs) -> Result<Vec<Value>, ImportError> {
        if let [Some(value)] = &inputs.values[..] {
            return Ok(vec![value.clone()]);
        }
        let state = |value: &Option<Value>| match value {
            Some(Value::Data(data)) => data.state,
            Some(Value::States) => true,
            _ => false,
        };
        if inputs.values.iter().all(state) {
            return Ok(vec![Value::States]);
        }
        Err(call.refuse("several branches of the data are put together", "build a chain of layers"))
    }

    fn constant(&self, call: Call<'a>) -> Result<Value, ImportError> {
        let name = call.name();
        let list = |name| call.attribute(name);
        if let Some(tensor) = list("value").and_then(|attribute| attribute.t.as_deref()) {
            return Ok(Value::Constant(Rc::new(array(tensor, &name, self.folder, &self.budget)?)));
        }
        let found = if let Some(attribute) = list("value_int") {
            Array::whole(&name, vec![], vec![attribute.i])
        } else if let Some(attribute) = list("value_ints") {
            Array::whole(&name, vec![attribute.ints.len()], attribute.ints.clone())
        } else if let Some(attribute) = list("value_float") {
            Array { name, shape: vec![], data: super::tensor::Elements::Real(vec![attribute.f]) }
        } else if let Some(attribute) = list("value_floats") {
            let (shape, data) = (vec![attribute.floats.len()], attribute.floats.clone());
            Array { name, shape, data: super::tensor::Elements::Real(data) }
        } else {
            return Err(call.refuse("a constant that is no tensor of numbers", "save it as a dense tensor"));
        };
        self.budget.take(&found.shape)?;
        Ok(Value::Constant(Rc::new(found)))
    }

    /// Operators on shapes that depend on the data's.
    fn dims(&self, call: Call<'a>, inputs: &Inputs) -> Result<Vec<Value>, ImportError> {
        let unknown = || call.refuse("a shape that is computed like this", advice(""));
        let of = |at: usize| inputs.dims(at).ok_or_else(unknown);
        let (first, scalar) = of(0)?;
        let list = |at: usize, name: &str| inputs.ints(at).or_else(|| call.ints(name).map(<[i64]>::to_vec));
        let (dims, scalar) = match call.op() {
            "Identity" | "Cast" => (first, scalar),
            "Squeeze" if first.len() == 1 => (first, true),
            "Unsqueeze" if scalar => (first, false),
            "Reshape" if first.len() == 1 => match list(1, "shape").as_deref() {
                Some([]) => (first, true),
                Some([1 | -1]) => (first, false),
                _ => return Err(unknown()),
            },
            "Gather" if !scalar => {
                let places = list(1, "").ok_or_else(unknown)?;
                let single = inputs.constant(1).is_some_and(|array| array.shape.is_empty());
                let pick = |&place: &i64| Ok(first[call.axis(place, first.len())?].clone());
                (places.iter().take(64).map(pick).collect::<Result<_, ImportError>>()?, single)
            }
            "Slice" if !scalar => {
                let rest: Option<Vec<_>> = (1..inputs.values.len()).map(|at| inputs.constant(at)).collect();
                match cuts(call, &rest.ok_or_else(unknown)?, 1)?[..] {
                    [cut] => (cut.places(first.len()).into_iter().map(|at| first[at].clone()).collect(), false),
                    _ => return Err(unknown()),
                }
            }
            "Concat" => {
                let mut dims = Vec::new();
                for at in 0..inputs.values.len() {
                    dims.extend(of(at)?.0);
                    if dims.len() > 64 {
                        return Err(unknown());
                    }
                }
                (dims, false)
            }
            "Mul" => {
                let (second, other) = of(1)?;
                if first.len() != 1 || second.len() != 1 {
                    return Err(unknown());
                }
                (vec![first[0].times(&second[0])], scalar && other)
            }
            _ => return Err(unknown()),
        };
        Ok(vec![Value::Dims { dims, scalar }])
    }

    fn push(&mut self, before: &Data, call: Call<'a>, made: Made, origins: Vec<Origin>) -> Data {
        self.links.push(Link { before: before.link, name: call.name(), made, origins, notes: Notes::default() });
        Data { link: Some(self.links.len() - 1), state: false, ..before.clone() }
    }
}

/// Operators that are understood on some values, besides those that [arrange](data::ARRANGE) them.
const KNOWN: [&str; 27] = [
    "OneHot",
    "MatMul",
    "Gemm",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Neg",
    "Sigmoid",
    "Tanh",
    "Relu",
    "HardSigmoid",
    "Softmax",
    "BatchNormalization",
    "ReduceMean",
    "ReduceMax",
    "ReduceSum",
    "ReduceProd",
    "Sum",
    "Mean",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Concat",
    "ConstantOfShape",
    "Constant",
    "Sqrt",
    "GRU",
];

/// Operators that leave a value which is the same everywhere as it is.
const FILLED: [&str; 10] =
    ["Identity", "Cast", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Expand", "Slice", "Split", "Concat"];

/// The inputs of an operator; none where it leaves one out.
struct Inputs {
    values: Vec<Option<Value>>,
}

impl Inputs {
    fn constant(&self, at: usize) -> Option<Rc<Array>> {
        match self.values.get(at) {
            Some(Some(Value::Constant(array))) => Some(Rc::clone(array)),
            _ => None,
        }
    }

    fn ints(&self, at: usize) -> Option<Vec<i64>> {
        self.constant(at).and_then(|array| Some(array.ints()?.to_vec()))
    }

    fn data(&self, at: usize) -> Option<Data> {
        match self.values.get(at) {
            Some(Some(Value::Data(data))) => Some(data.clone()),
            _ => None,
        }
    }

    /// A shape, and whether it is a single size.
    fn dims(&self, at: usize) -> Option<(Vec<Dim>, bool)> {
        match self.values.get(at) {
            Some(Some(Value::Dims { dims, scalar })) => Some((dims.clone(), *scalar)),
            Some(Some(Value::Constant(array))) if array.data.len() <= 64 => {
                let dims = array.ints()?.iter().map(|&size| Dim::Known(size)).collect();
                Some((dims, array.shape.is_empty()))
            }
            _ => None,
        }
    }
}
