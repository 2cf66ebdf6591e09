//! Operators on data: those that arrange them anew, and those that become steps.

use std::rc::Rc;

use grulet::spec::Pooling;

use super::directions::runs_through;
use super::{Data, Inputs, Link, Made, Reader, Value, advice};
use crate::import::ImportError;
use crate::import::chain::{Activation, Op, Origin};
use crate::import::onnx::axes::{Axis, Dim, Group, Id, regroup};
use crate::import::onnx::call::{Call, Cut};
use crate::import::onnx::constant::{cuts, lengths};
use crate::import::onnx::proto::kind;
use crate::import::onnx::tensor::Array;

/// What to do in place of other parts of a series.
const LAST: &str = "take the last step (index -1), all steps, or their mean or maximum";

/// Operators that arrange data or take parts, for which directions need not be merged.
pub const ARRANGE: [&str; 14] = [
    "Identity",
    "Dropout",
    "Cast",
    "Shape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Reshape",
    "Flatten",
    "Expand",
    "Slice",
    "Split",
    "Gather",
    "GatherElements",
];

impl<'a> Reader<'a> {
    /// Whether a dimension is that of the channels.
    fn is_channel(&self, data: &Data, dim: usize) -> bool {
        match &data.dims[dim][..] {
            [] => data.width.is_none_or(|width| width == 1),
            [axis] => data.channel == Some(axis.id),
            _ => false,
        }
    }

    pub(super) fn is_time(&self, group: &Group) -> bool {
        matches!((&group[..], self.roles.time), ([axis], Some(time)) if axis.id == time.id)
    }

    /// That dimension `dim` holds `width` channels; what is not known of an input yet is learnt.
    pub(super) fn channels(
        &mut self,
        call: Call<'a>,
        data: &Data,
        dim: usize,
        width: usize,
    ) -> Result<(), ImportError> {
        let group = &data.dims[dim];
        let learning = data.width.is_none() && !self.second;
        let id = match &group[..] {
            [] => None,
            [axis] if axis.size.is_none_or(|size| size == width) => Some(axis.id),
            _ => return Err(call.refuse("its inputs are not the channels alone", "keep steps and channels apart")),
        };
        if learning {
            self.roles.channels.entry(data.root).or_insert((id, width));
            return Ok(());
        }
        if data.width.is_some_and(|found| found != width) {
            let (layer, expected) = (call.name(), data.width.unwrap_or(0));
            return Err(ImportError::Chain { layer, expected, found: width });
        }
        if group.is_empty() && width == 1 || id.is_some() && id == data.channel {
            return Ok(());
        }
        Err(call.refuse("its inputs are another axis than the channels", "transpose the data before it"))
    }

    /// The axes of data with `width` channels in place of those before.
    pub(super) fn outputs_of(width: usize) -> (Group, Option<Id>) {
        let axis = Axis { id: Id::Channel, size: Some(width) };
        if width == 1 { (Vec::new(), None) } else { (vec![axis], Some(Id::Channel)) }
    }

    /// An operator with one input that is data; the `first`, if it says so.
    pub(super) fn on_data(
        &mut self,
        call: Call<'a>,
        inputs: &Inputs,
        data: Data,
        first: bool,
    ) -> Result<Vec<Value>, ImportError> {
        let data = match call.op() {
            op if ARRANGE.contains(&op) => data,
            "Gather" | "OneHot" => self.settle(data)?,
            _ => self.settle(data.uncut(call)?)?,
        };
        let rank = data.dims.len();
        let arranged = |dims: Vec<Group>| Ok(vec![Value::Data(Data { dims, ..data.clone() })]);
        let op = call.op();
        if !first && !matches!(op, "Add" | "Mul" | "Sub" | "Gather") {
            return Err(call.refuse("data as another input than the first", advice(op)));
        }
        let axes = || inputs.ints(1).or_else(|| call.ints("axes").map(<[i64]>::to_vec));
        match op {
            "Identity" | "Dropout" => {
                let training = op == "Dropout" && inputs.ints(2).is_some_and(|mode| mode != [0]);
                if training {
                    return Err(call.refuse("training_mode", "export the model for inference"));
                }
                arranged(data.dims.clone())
            }
            "Cast" => match call.int("to", 0) as i32 {
                kind::F32 | kind::F64 | kind::F16 | kind::BF16 => arranged(data.dims.clone()),
                kind::I32 | kind::I64 if data.is_input() => {
                    let cut = data.cut || self.is_real(data.root);
                    Ok(vec![Value::Data(Data { cut, ..data.clone() })])
                }
                other => Err(call.refuse(&format!("to the element type {other}"), "keep the data in float32")),
            },
            "Shape" => {
                let (start, end) = (call.int("start", 0), call.int("end", i64::MAX));
                let cut = Cut { axis: 0, start, end, step: 1 };
                let dims = cut.places(rank).into_iter().map(|at| Dim::of(&data.dims[at])).collect();
                Ok(vec![Value::Dims { dims, scalar: false }])
            }
            "Transpose" => {
                let order = call.permutation(rank)?;
                arranged(order.into_iter().map(|axis| data.dims[axis].clone()).collect())
            }
            "Squeeze" => {
                let axes = match axes() {
                    Some(axes) => call.axes(&axes, rank)?,
                    None => (0..rank).filter(|&axis| data.dims[axis].is_empty()).collect(),
                };
                if axes.iter().any(|&axis| !data.dims[axis].is_empty()) {
                    return Err(call.refuse("an axis that may be longer than 1", "fix its size at 1 in the export"));
                }
                arranged((0..rank).filter(|axis| !axes.contains(axis)).map(|axis| data.dims[axis].clone()).collect())
            }
            "Unsqueeze" => {
                let axes = axes().ok_or_else(|| call.refuse("axes that are no constant", advice("")))?;
                if axes.len() + rank > 8 {
                    return Err(call.damaged("more than 8 dimensions"));
                }
                let axes = call.axes(&axes, rank + axes.len())?;
                let mut rest = data.dims.iter().cloned();
                let one = |axis| if axes.contains(&axis) { Group::new() } else { rest.next().unwrap_or_default() };
                arranged((0..rank + axes.len()).map(one).collect())
            }
            "Reshape" | "Flatten" => {
                let target = if op == "Flatten" {
                    let axis = call.int("axis", 1);
                    let axis = if axis == rank as i64 { rank } else { call.axis(axis, rank)? };
                    vec![Dim::Of(data.dims[..axis].concat()), Dim::Of(data.dims[axis..].concat())]
                } else {
                    let attribute =
                        call.ints("shape").map(|shape| shape.iter().map(|&size| Dim::Known(size)).collect());
                    let target = inputs.dims(1).map(|(dims, _)| dims).or(attribute);
                    target.ok_or_else(|| call.refuse("a shape that is not known", "export with fixed dimensions"))?
                };
                if target.len() > 8 {
                    return Err(call.damaged("more than 8 dimensions"));
                }
                let dims = regroup(&data.dims, &target, call.int("allowzero", 0) != 0);
                arranged(dims.ok_or_else(|| {
                    call.refuse(
                        "it is not certain that this only arranges the data anew",
                        "export with fixed dimensions, or let the last GRU return its last step in place of a flatten",
                    )
                })?)
            }
            "Expand" => {
                let (target, _) = inputs.dims(1).ok_or_else(|| call.refuse("a shape that is not known", advice("")))?;
                let start = rank.checked_sub(target.len()).filter(|_| target.len() <= rank);
                let same = |(dim, group): (&Dim, &Group)| *dim == Dim::Known(1) || *dim == Dim::of(group);
                match start {
                    Some(start) if target.iter().zip(&data.dims[start..]).all(same) => arranged(data.dims.clone()),
                    _ => Err(call.refuse("data are repeated", "build a chain of layers")),
                }
            }
            "Slice" => self.slice(call, inputs, data),
            "OneHot" => self.one_hot(call, inputs, data),
            "Gather" if !first => self.embedding(call, inputs, data),
            "Gather" => {
                let axis = call.axis(call.int("axis", 0), rank)?;
                let place = inputs.constant(1).ok_or_else(|| call.refuse("places that are no constant", LAST))?;
                if runs_through(&data.dims[axis]) && place.shape.len() == 1 {
                    let Dim::Known(size) = Dim::of(&data.dims[axis]) else { return Err(call.damaged("no directions")) };
                    let places = place.ints().unwrap_or(&[]).iter().map(|&at| call.axis(at, size as usize));
                    let places = places.collect::<Result<Vec<_>, _>>()?;
                    return Ok(vec![Value::Data(data.take(call, axis, &places)?)]);
                }
                let &[at] = place.ints().unwrap_or(&[]) else {
                    return Err(call.refuse("several places", LAST));
                };
                let found = self.one(call, data, axis, at)?;
                let mut dims = found.dims.clone();
                dims.splice(axis..=axis, vec![Group::new(); place.shape.len()]);
                Ok(vec![Value::Data(Data { dims, ..found })])
            }
            "Split" => {
                let axis = call.axis(call.int("axis", 0), rank)?;
                let (Dim::Known(size), true) = (Dim::of(&data.dims[axis]), runs_through(&data.dims[axis])) else {
                    return Err(call.refuse("the data are cut apart, and not into a GRU's directions", LAST));
                };
                let mut start = 0;
                let mut part = |length: usize| {
                    start += length;
                    let places: Vec<usize> = (start - length..start).collect();
                    Ok(Value::Data(data.clone().take(call, axis, &places)?))
                };
                lengths(call, inputs.ints(1), size as usize)?.into_iter().map(&mut part).collect()
            }
            "GatherElements" => {
                let axis = call.axis(call.int("axis", 0), rank)?;
                let places = inputs.constant(1).ok_or_else(|| call.refuse("places that are no constant", LAST))?;
                let fits = |(axis_of, (&size, group)): (usize, (&usize, &Group))| {
                    if axis_of == axis { size == 1 } else { Dim::of(group) == Dim::Known(size as i64) }
                };
                let whole = places.shape.len() == rank && places.shape.iter().zip(&data.dims).enumerate().all(fits);
                match (places.uniform(), places.ints().and_then(|ints| ints.first())) {
                    (Some(_), Some(&at)) if whole => Ok(vec![Value::Data(self.one(call, data, axis, at)?)]),
                    _ => Err(call.refuse("different places", LAST)),
                }
            }
            "MatMul" => {
                let kernel =
                    inputs.constant(1).ok_or_else(|| call.refuse("weights that are no constant", advice("")))?;
                self.dense(call, data, kernel, false, 1.0)
            }
            "Gemm" => {
                let kernel =
                    inputs.constant(1).ok_or_else(|| call.refuse("weights that are no constant", advice("")))?;
                if call.int("transA", 0) != 0 || rank != 2 {
                    return Err(call.refuse("transA, or data of other than two dimensions", "export a plain Gemm"));
                }
                let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
                let found = self.dense(call, data, kernel, call.int("transB", 0) != 0, alpha)?;
                match (&found[..], inputs.values.get(2)) {
                    ([Value::Data(data)], Some(Some(Value::Constant(bias)))) => {
                        self.affine(call, data, bias, |_| 1.0, |bias| f64::from(beta) * bias)
                    }
                    (_, Some(Some(_))) => Err(call.refuse("a bias that is no constant", advice(""))),
                    _ => Ok(found),
                }
            }
            "Add" | "Sub" | "Mul" | "Div" => {
                let Some(other) = inputs.constant(usize::from(first)) else {
                    return Err(call.refuse("a value that is no constant", advice("")));
                };
                match (op, first) {
                    ("Add", _) => self.affine(call, &data, &other, |_| 1.0, |value| value),
                    ("Sub", true) => self.affine(call, &data, &other, |_| 1.0, |value| -value),
                    ("Sub", false) => self.affine(call, &data, &other, |_| -1.0, |value| value),
                    ("Mul", _) => self.affine(call, &data, &other, |value| value, |_| 0.0),
                    _ => self.affine(call, &data, &other, |value| 1.0 / value, |_| 0.0),
                }
            }
            "Neg" => self.affine(call, &data, &Array::whole("", vec![], vec![0]), |_| -1.0, |_| 0.0),
            "Sigmoid" | "Tanh" | "Relu" | "HardSigmoid" => {
                let activation = match op {
                    "Sigmoid" => Activation::Sigmoid,
                    "Tanh" => Activation::Tanh,
                    "Relu" => Activation::Relu,
                    _ => Activation::HardSigmoid {
                        alpha: call.float("alpha", 0.2).into(),
                        beta: call.float("beta", 0.5).into(),
                    },
                };
                Ok(vec![Value::Data(self.push(&data, call, Made::Op(Op::Activation(activation)), Vec::new()))])
            }
            "Softmax" => {
                let axis = call.axis(call.int("axis", if self.opset < 13 { 1 } else { -1 }), rank)?;
                // Before opset 13, all axes from this one on were one.
                if axis + 1 != rank || !self.is_channel(&data, axis) && self.second {
                    return Err(call.refuse("over another axis than the channels", "put it over the last axis"));
                }
                let made = Made::Op(Op::Activation(Activation::Softmax));
                Ok(vec![Value::Data(self.push(&data, call, made, Vec::new()))])
            }
            "BatchNormalization" => self.batch_normalization(call, inputs, data),
            "ReduceMean" | "ReduceMax" | "GlobalAveragePool" | "GlobalMaxPool" => {
                let global = op.starts_with("Global");
                let over = if op.contains("Max") { Pooling::Max } else { Pooling::Mean };
                let axes = match axes() {
                    _ if global => (2..rank).collect(),
                    Some(axes) if !axes.is_empty() => call.axes(&axes, rank)?,
                    _ if call.int("noop_with_empty_axes", 0) != 0 => return arranged(data.dims.clone()),
                    _ => (0..rank).collect(),
                };
                let reduced = axes.iter().flat_map(|&axis| data.dims[axis].clone()).collect::<Group>();
                let keep = global || call.int("keepdims", 1) != 0;
                let left = (0..rank).filter(|axis| keep || !axes.contains(axis));
                let dims = left.map(|axis| if axes.contains(&axis) { Group::new() } else { data.dims[axis].clone() });
                let dims: Vec<Group> = dims.collect();
                if reduced.is_empty() {
                    return arranged(dims);
                }
                if !self.is_time(&reduced) {
                    return Err(call.refuse("over another axis than the steps", "pool over the steps of a series"));
                }
                let found = self.push(&data, call, Made::Op(Op::Pool(over)), Vec::new());
                Ok(vec![Value::Data(Data { dims, ..found })])
            }
            _ => Err(call.refuse("this operator", advice(op))),
        }
    }

    /// The place `at` of `axis`, which becomes 1 long: a direction, the last step, or the only one.
    fn one(&mut self, call: Call<'a>, data: Data, axis: usize, at: i64) -> Result<Data, ImportError> {
        let group = &data.dims[axis];
        if group.is_empty() && (at == 0 || at == -1) {
            return Ok(data);
        }
        if runs_through(group) {
            let size = group.iter().fold(1, |product, axis| axis.size.unwrap_or(1).saturating_mul(product));
            let place = call.axis(at, size)?;
            return data.take(call, axis, &[place]);
        }
        let last = |axis: &Axis| at == -1 || axis.size.is_some_and(|size| at == size as i64 - 1);
        if self.is_time(group) && !data.ways.is_empty() && (at == 0 || group.iter().all(last)) {
            return Ok(data.step(axis, at != 0));
        }
        if !(self.is_time(group) && group.iter().all(last)) {
            return Err(call.refuse("a part of the data that is not the last step", LAST));
        }
        let mut found = self.push(&data, call, Made::Op(Op::LastStep), Vec::new());
        found.dims[axis] = Group::new();
        Ok(found)
    }

    fn slice(&mut self, call: Call<'a>, inputs: &Inputs, mut data: Data) -> Result<Vec<Value>, ImportError> {
        let rest: Option<Vec<_>> = (1..inputs.values.len()).map(|at| inputs.constant(at)).collect();
        let rest = rest.ok_or_else(|| call.refuse("places that are no constant", LAST))?;
        for cut in cuts(call, &rest, data.dims.len())? {
            let group = &data.dims[cut.axis];
            let size = match Dim::of(group) {
                Dim::Known(size) => Some(size as usize),
                _ => None,
            };
            let everything = match size {
                // A size in the file may be anything.
                Some(size) => cut.step == 1 && cut.start <= 0 && cut.end >= size as i64,
                None => cut.step == 1 && cut.start == 0 && cut.end >= i64::from(i32::MAX),
            };
            let last = match size {
                Some(size) => {
                    let start = if cut.start < 0 { cut.start.saturating_add(size as i64) } else { cut.start };
                    cut.step > 0 && start == size as i64 - 1 && (cut.end >= size as i64)
                }
                None => cut.step > 0 && cut.start == -1 && cut.end >= i64::from(i32::MAX),
            };
            if everything && (cut.start == 0 || size.is_some_and(|size| cut.start.saturating_add(size as i64) <= 0)) {
                continue;
            }
            if let (true, Some(size)) = (runs_through(group), size) {
                data = data.take(call, cut.axis, &cut.places(size))?;
                continue;
            }
            if cut.step < 0 && self.is_time(group) {
                return Err(call.refuse("a series is turned round", "feed it from its end, or train it forwards"));
            }
            let first = cut.step > 0 && cut.start == 0 && cut.end == 1;
            if !(last || first) {
                return Err(call.refuse("a part of the data that is not the last step", LAST));
            }
            data = self.one(call, data, cut.axis, if last { -1 } else { 0 })?;
        }
        Ok(vec![Value::Data(data)])
    }

    fn embedding(&mut self, call: Call<'a>, inputs: &Inputs, data: Data) -> Result<Vec<Value>, ImportError> {
        let Some(table) = inputs.constant(0) else {
            return Err(call.refuse("a table that is no constant", "save the model with its weights"));
        };
        let (&[vocabulary, outputs], 0) = (&table.shape[..], call.int("axis", 0)) else {
            return Err(call.refuse("a table that is no matrix", "use one vector for each token"));
        };
        if !data.is_input() || vocabulary == 0 || outputs == 0 {
            return Err(call.refuse("tokens that are computed, or no vectors", "let the input be tokens"));
        }
        self.roles.channels.insert(data.root, (None, 1));
        let vectors = self.push(
            &data,
            call,
            Made::Op(Op::Embedding { vocabulary, outputs, vectors: Vec::new() }),
            vec![Origin::new(&table.tensor(), "embeddings", "")],
        );
        if let Some(Link { made: Made::Op(Op::Embedding { vectors, .. }), .. }) = self.links.last_mut() {
            self.budget.take(&table.shape)?;
            *vectors = table.reals();
        }
        let (group, channel) = Self::outputs_of(outputs);
        let mut dims = data.dims.clone();
        dims.push(group);
        Ok(vec![Value::Data(Data { dims, channel, width: Some(outputs), ..vectors })])
    }

    fn one_hot(&mut self, call: Call<'a>, inputs: &Inputs, data: Data) -> Result<Vec<Value>, ImportError> {
        let depth = inputs.constant(1).and_then(|depth| depth.uniform());
        let Some(vocabulary) = depth.filter(|depth| (1.0..=65_535.0).contains(depth)).map(|depth| depth as usize)
        else {
            return Err(call.refuse("a depth that is no constant, or none", "save the model with its constants"));
        };
        if inputs.constant(2).is_none_or(|values| values.reals() != [0.0, 1.0]) {
            return Err(call.refuse("other values than 0 and 1", "use [0, 1]"));
        }
        let rank = data.dims.len() as i64;
        if !data.is_input() || ![-1, rank].contains(&call.int("axis", -1)) {
            return Err(
                call.refuse("tokens that are computed, or another axis than the last", "let the input be tokens")
            );
        }
        self.roles.channels.insert(data.root, (None, 1));
        let vectors = self.push(&data, call, Made::Op(Op::OneHot { vocabulary }), Vec::new());
        let (group, channel) = Self::outputs_of(vocabulary);
        let mut dims = data.dims.clone();
        dims.push(group);
        Ok(vec![Value::Data(Data { dims, channel, width: Some(vocabulary), ..vectors })])
    }

    fn dense(
        &mut self,
        call: Call<'a>,
        data: Data,
        kernel: Rc<Array>,
        transposed: bool,
        factor: f32,
    ) -> Result<Vec<Value>, ImportError> {
        let leading = kernel.shape.len().saturating_sub(2);
        let (&[rows, columns], true) =
            (&kernel.shape[leading..], kernel.shape[..leading].iter().all(|&size| size == 1))
        else {
            return Err(call.refuse(&format!("weights of the shape {:?}", kernel.shape), "use a matrix"));
        };
        let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        let Some(last) = data.dims.len().checked_sub(1).filter(|_| inputs > 0 && outputs > 0) else {
            return Err(call.damaged("a matrix or data without elements"));
        };
        self.channels(call, &data, last, inputs)?;
        let mut change = String::new();
        if transposed {
            change += "transposed";
        }
        if factor != 1.0 {
            change += &format!("{}× {factor}", if transposed { ", " } else { "" });
        }
        let origin = Origin::new(&kernel.tensor(), "kernel", &change);
        let made = Made::MatMul { kernel, transposed, factor };
        let found = self.push(&data, call, made, vec![origin]);
        let (group, channel) = Self::outputs_of(outputs);
        let mut dims = data.dims;
        dims[last] = group;
        Ok(vec![Value::Data(Data { dims, channel, width: Some(outputs), ..found })])
    }

    /// `scale(c)·x + offset(c)`, with a constant for each channel or for all.
    fn affine(
        &mut self,
        call: Call<'a>,
        data: &Data,
        constant: &Array,
        scale: impl Fn(f64) -> f64,
        offset: impl Fn(f64) -> f64,
    ) -> Result<Vec<Value>, ImportError> {
        let Some(width) = data.width else {
            // The first reading goes on to learn what the channels are.
            if self.second {
                return Err(call.refuse("a constant on tokens, or on data without channels", "let it follow a layer"));
            }
            return Ok(vec![Value::Data(data.clone())]);
        };
        let rank = data.dims.len();
        let mismatch = || {
            let what = format!("a constant of the shape {:?}, not one number per channel", constant.shape);
            call.refuse(&what, "use one number for each channel, or one for all")
        };
        let start = rank.checked_sub(constant.shape.len()).ok_or_else(mismatch)?;
        let long = constant.shape.iter().enumerate().filter(|(_, size)| **size != 1).map(|(at, _)| start + at);
        let spread: Vec<f64> = match long.collect::<Vec<_>>()[..] {
            [] => vec![f64::from(constant.uniform().ok_or_else(mismatch)?); width],
            [dim] if self.is_channel(data, dim) && constant.shape[dim - start] == width => {
                constant.reals().into_iter().map(f64::from).collect()
            }
            _ => return Err(mismatch()),
        };
        let scale: Vec<f64> = spread.iter().map(|&value| scale(value)).collect();
        let offset: Vec<f64> = spread.iter().map(|&value| offset(value)).collect();
        if scale.iter().chain(&offset).any(|value| !value.is_finite()) {
            return Err(call.refuse("a constant that is not finite, or a division by 0", "train the model again"));
        }
        let added = scale.iter().all(|&scale| scale == 1.0);
        let part = if added { "bias" } else { "" };
        let named = (!constant.name.is_empty()).then(|| Origin::new(&constant.tensor(), part, ""));
        let made = if added { Made::Bias { offset } } else { Made::Op(Op::Scale { scale, offset }) };
        Ok(vec![Value::Data(self.push(data, call, made, named.into_iter().collect()))])
    }

    /// `(x - mean) / √(variance + ε) · scale + B`.
    fn batch_normalization(&mut self, call: Call<'a>, inputs: &Inputs, data: Data) -> Result<Vec<Value>, ImportError> {
        if call.int("training_mode", 0) != 0 || call.int("spatial", 1) == 0 {
            return Err(call.refuse("training_mode, or spatial = 0", "export the model for inference"));
        }
        let arrays: Option<Vec<_>> = (1..5).map(|at| inputs.constant(at)).collect();
        let arrays = arrays.ok_or_else(|| call.refuse("averages that are no constants", "export it for inference"))?;
        let width = arrays[0].data.len();
        let rank = data.dims.len();
        if arrays.iter().any(|array| array.shape != [width]) || rank < 2 {
            return Err(call.damaged("vectors of different lengths, or data of one dimension"));
        }
        self.channels(call, &data, 1, width)?;
        let values: Vec<Vec<f64>> =
            arrays.iter().map(|array| array.reals().into_iter().map(f64::from).collect()).collect();
        let epsilon = f64::from(call.float("epsilon", 1e-5));
        let scale: Vec<f64> =
            values[0].iter().zip(&values[3]).map(|(gamma, variance)| gamma / (variance + epsilon).sqrt()).collect();
        let shift = values[1].iter().zip(&values[2]).zip(&scale);
        let offset: Vec<f64> = shift.map(|((beta, mean), scale)| beta - mean * scale).collect();
        if scale.iter().chain(&offset).any(|value| !value.is_finite()) {
            return Err(call.refuse("averages that are not finite", "train the model again"));
        }
        let origins = arrays.iter().map(|array| Origin::new(&array.tensor(), "", "as a scale")).collect();
        Ok(vec![Value::Data(self.push(&data, call, Made::Op(Op::Scale { scale, offset }), origins))])
    }
}
