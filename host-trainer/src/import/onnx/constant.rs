//! Operators on constants, computed while reading: weights that are cut out of others or put together.

use std::rc::Rc;

use super::call::{Call, Cut};
use super::proto::kind;
use super::tensor::{Array, Elements, walk};
use crate::import::ImportError;
use crate::import::budget::Budget;

/// The outputs of `call` for these inputs; nothing if it is none of the operators that are computed.
///
/// # Errors
/// If the shapes do not fit, or the outputs are too large.
pub fn compute(call: Call<'_>, inputs: &[Rc<Array>], budget: &Budget) -> Result<Option<Vec<Array>>, ImportError> {
    let Some(first) = inputs.first() else { return Ok(None) };
    let name = call.name();
    let rank = first.shape.len();
    let ints = |at: usize| inputs.get(at).and_then(|array| array.ints());
    let reshaped = |shape: Vec<usize>| -> Result<Array, ImportError> {
        budget.take(&shape)?;
        Ok(Array { name: first.name.clone(), shape, data: first.data.clone() })
    };
    let found = match call.op() {
        "Identity" => return Ok(Some(vec![reshaped(first.shape.clone())?])),
        "Cast" => {
            budget.take(&first.shape)?;
            let to = call.int("to", 0) as i32;
            let whole = match to {
                kind::F32 | kind::F64 | kind::F16 | kind::BF16 => false,
                kind::I32 | kind::I64 | kind::BOOL => true,
                other => return Err(call.refuse(&format!("to the element type {other}"), "save the model in float32")),
            };
            let data = match (&first.data, whole) {
                (Elements::Real(data), _) if to == kind::BOOL => {
                    Elements::Whole(data.iter().map(|&value| i64::from(value != 0.0)).collect())
                }
                (Elements::Whole(data), _) if to == kind::BOOL => {
                    Elements::Whole(data.iter().map(|&value| i64::from(value != 0)).collect())
                }
                (_, false) if to == kind::F16 => {
                    Elements::Real(first.reals().into_iter().map(|value| half::f16::from_f32(value).to_f32()).collect())
                }
                (_, false) if to == kind::BF16 => Elements::Real(
                    first.reals().into_iter().map(|value| half::bf16::from_f32(value).to_f32()).collect(),
                ),
                (Elements::Whole(_), false) => Elements::Real(first.reals()),
                (Elements::Real(data), true) => Elements::Whole(data.iter().map(|&value| value as i64).collect()),
                (data, _) => data.clone(),
            };
            Array { name: first.name.clone(), shape: first.shape.clone(), data }
        }
        "Shape" => Array::whole(&name, vec![rank], first.shape.iter().map(|&size| size as i64).collect()),
        "ConstantOfShape" => {
            let sizes: Option<Vec<usize>> =
                first.ints().and_then(|sizes| sizes.iter().map(|&size| usize::try_from(size).ok()).collect());
            let shape = sizes.ok_or_else(|| call.damaged("a shape that is none"))?;
            let count = budget.take(&shape)?;
            let value = call.attribute("value").and_then(|attribute| attribute.t.as_deref());
            let value = match value {
                Some(tensor) => super::tensor::array(tensor, &name, std::path::Path::new(""), budget)?.data,
                None => Elements::Real(vec![0.0]),
            };
            Array { name, shape, data: value.pick(std::iter::repeat_n(0, count)) }
        }
        "Reshape" => {
            let target = ints(1).or_else(|| call.ints("shape")).ok_or_else(|| call.damaged("no shape"))?;
            let keep = call.int("allowzero", 0) == 0;
            let mut shape = Vec::new();
            for (at, &size) in target.iter().enumerate() {
                shape.push(match size {
                    0 if keep => *first.shape.get(at).ok_or_else(|| call.damaged("a 0 beyond the dimensions"))?,
                    // Replaced below.
                    -1 => 1,
                    _ => usize::try_from(size).map_err(|_| call.damaged("a negative size"))?,
                });
            }
            let product = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
            let product = product.ok_or_else(|| call.damaged("a shape without bounds"))?;
            if let Some(open) = target.iter().position(|&size| size == -1) {
                shape[open] = first.data.len().checked_div(product).unwrap_or(0);
            }
            if shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)) != Some(first.data.len()) {
                return Err(call.damaged("a shape of another number of elements"));
            }
            reshaped(shape)?
        }
        "Flatten" => {
            let axis = call.int("axis", 1);
            let axis = if axis == rank as i64 { rank } else { call.axis(axis, rank)? };
            let (before, after) = first.shape.split_at(axis);
            reshaped(vec![before.iter().product(), after.iter().product()])?
        }
        "Squeeze" => {
            let axes = match ints(1).or_else(|| call.ints("axes")) {
                Some(axes) => call.axes(axes, rank)?,
                None => (0..rank).filter(|&axis| first.shape[axis] == 1).collect(),
            };
            if axes.iter().any(|&axis| first.shape[axis] != 1) {
                return Err(call.damaged("an axis that is longer than 1"));
            }
            reshaped((0..rank).filter(|axis| !axes.contains(axis)).map(|axis| first.shape[axis]).collect())?
        }
        "Unsqueeze" => {
            let axes = ints(1).or_else(|| call.ints("axes")).ok_or_else(|| call.damaged("no axes"))?;
            if axes.len() > 8 {
                return Err(call.damaged("too many axes"));
            }
            let axes = call.axes(axes, rank + axes.len())?;
            let mut sizes = first.shape.iter().copied();
            let one = |axis| if axes.contains(&axis) { 1 } else { sizes.next().unwrap_or(1) };
            reshaped((0..rank + axes.len()).map(one).collect())?
        }
        "Transpose" => {
            let order = call.permutation(rank)?;
            let strides = Array::strides(&first.shape);
            let shape: Vec<usize> = order.iter().map(|&axis| first.shape[axis]).collect();
            let strides: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
            budget.take(&shape)?;
            Array { name: first.name.clone(), data: first.data.pick(walk(&shape, &strides, 0)), shape }
        }
        "Slice" => {
            let cuts = cuts(call, &inputs[1..], rank)?;
            let mut lists: Vec<Vec<usize>> = first.shape.iter().map(|&size| (0..size).collect()).collect();
            for cut in cuts {
                lists[cut.axis] = cut.places(first.shape[cut.axis]);
            }
            select(first, &lists, budget)?
        }
        "Gather" => {
            let axis = call.axis(call.int("axis", 0), rank)?;
            let size = first.shape[axis] as i64;
            let places = ints(1).ok_or_else(|| call.damaged("no places"))?;
            let wrap = |&place: &i64| if place < 0 { place.saturating_add(size) } else { place };
            let places: Vec<i64> = places.iter().map(wrap).collect();
            if places.iter().any(|place| !(0..size).contains(place)) {
                return Err(call.damaged("a place beyond the end"));
            }
            let mut lists: Vec<Vec<usize>> = first.shape.iter().map(|&size| (0..size).collect()).collect();
            lists[axis] = places.iter().map(|&place| place as usize).collect();
            let mut found = select(first, &lists, budget)?;
            found.shape.splice(axis..=axis, inputs[1].shape.iter().copied());
            found
        }
        "Concat" => {
            let axis = call.axis(call.int("axis", 0), rank)?;
            let mut shape = first.shape.clone();
            shape[axis] = 0;
            for input in inputs {
                let alike = input.shape.len() == rank
                    && (0..rank).all(|other| other == axis || input.shape[other] == shape[other]);
                if !alike {
                    return Err(call.damaged("shapes that do not fit"));
                }
                shape[axis] = shape[axis].saturating_add(input.shape[axis]);
            }
            budget.take(&shape)?;
            let inner: usize = shape[axis + 1..].iter().product();
            let outer: usize = shape[..axis].iter().product();
            let whole = inputs.iter().all(|input| input.ints().is_some());
            let (mut reals, mut ints) = (Vec::new(), Vec::new());
            let parts: Vec<_> = inputs.iter().map(|input| if whole { Vec::new() } else { input.reals() }).collect();
            for row in 0..outer {
                for (input, part) in inputs.iter().zip(&parts) {
                    let length = input.shape[axis] * inner;
                    let range = row * length..(row + 1) * length;
                    match input.ints() {
                        Some(data) if whole => ints.extend_from_slice(&data[range]),
                        _ => reals.extend_from_slice(&part[range]),
                    }
                }
            }
            let data = if whole { Elements::Whole(ints) } else { Elements::Real(reals) };
            let names: Vec<&str> = inputs.iter().map(|input| &*input.name).collect();
            // Many parts of one tensor are that tensor.
            let name = if names.iter().all(|name| *name == names[0]) { names[0].to_owned() } else { name };
            Array { name, shape, data }
        }
        "Split" => {
            let axis = call.axis(call.int("axis", 0), rank)?;
            let size = first.shape[axis];
            let mut found = Vec::new();
            let mut start = 0;
            for length in lengths(call, ints(1).map(<[i64]>::to_vec), size)? {
                let end = start + length;
                let mut lists: Vec<Vec<usize>> = first.shape.iter().map(|&size| (0..size).collect()).collect();
                lists[axis] = (start..end).collect();
                found.push(select(first, &lists, budget)?);
                start = end;
            }
            return Ok(Some(found));
        }
        "Expand" => {
            let target = ints(1).ok_or_else(|| call.damaged("no shape"))?;
            let target: Option<Vec<usize>> = target.iter().map(|&size| usize::try_from(size).ok()).collect();
            let target = target.ok_or_else(|| call.damaged("a negative size"))?;
            let shape = broadcast(call, &first.shape, &target)?;
            budget.take(&shape)?;
            let data = first.data.pick(walk(&shape, &stretched(&first.shape, &shape), 0));
            Array { name: first.name.clone(), shape, data }
        }
        "Add" | "Sub" | "Mul" | "Div" => {
            let Some(second) = inputs.get(1) else { return Err(call.damaged("one input alone")) };
            let shape = broadcast(call, &first.shape, &second.shape)?;
            budget.take(&shape)?;
            let (a, b) = (stretched(&first.shape, &shape), stretched(&second.shape, &shape));
            let places = walk(&shape, &a, 0).zip(walk(&shape, &b, 0));
            let data = match (&first.data, &second.data) {
                (Elements::Whole(a), Elements::Whole(b)) => {
                    let compute = |(i, j): (usize, usize)| match call.op() {
                        "Add" => a[i].wrapping_add(b[j]),
                        "Sub" => a[i].wrapping_sub(b[j]),
                        "Mul" => a[i].wrapping_mul(b[j]),
                        _ => a[i].checked_div(b[j]).unwrap_or(0),
                    };
                    Elements::Whole(places.map(compute).collect())
                }
                _ => {
                    let (a, b) = (first.reals(), second.reals());
                    let compute = |(i, j): (usize, usize)| match call.op() {
                        "Add" => a[i] + b[j],
                        "Sub" => a[i] - b[j],
                        "Mul" => a[i] * b[j],
                        _ => a[i] / b[j],
                    };
                    Elements::Real(places.map(compute).collect())
                }
            };
            Array { name, shape, data }
        }
        "Neg" | "Sqrt" => {
            budget.take(&first.shape)?;
            let data = match (&first.data, call.op()) {
                (Elements::Whole(data), "Neg") => Elements::Whole(data.iter().map(|x| x.wrapping_neg()).collect()),
                (_, "Neg") => Elements::Real(first.reals().iter().map(|x| -x).collect()),
                _ => Elements::Real(first.reals().iter().map(|x| x.sqrt()).collect()),
            };
            Array { name: first.name.clone(), shape: first.shape.clone(), data }
        }
        _ => return Ok(None),
    };
    Ok(Some(vec![found]))
}

/// What a `Slice` cuts from a value of `rank` dimensions; `inputs` are those after the data.
pub fn cuts(call: Call<'_>, inputs: &[Rc<Array>], rank: usize) -> Result<Vec<Cut>, ImportError> {
    let list = |at: usize, name: &str| inputs.get(at).and_then(|array| array.ints()).or_else(|| call.ints(name));
    let (Some(starts), Some(ends)) = (list(0, "starts"), list(1, "ends")) else {
        return Err(call.damaged("no starts and ends"));
    };
    let all: Vec<i64> = (0..starts.len() as i64).collect();
    let axes = list(2, "axes").unwrap_or(&all);
    let ones = vec![1; starts.len()];
    let steps = inputs.get(3).and_then(|array| array.ints()).unwrap_or(&ones);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || steps.contains(&0) {
        return Err(call.damaged("starts, ends, axes and steps that do not fit"));
    }
    call.axes(axes, rank)?;
    let cut =
        |at: usize| Ok(Cut { axis: call.axis(axes[at], rank)?, start: starts[at], end: ends[at], step: steps[at] });
    (0..starts.len()).map(cut).collect()
}

/// How long each output of a `Split` is, as it is `given` or in equal parts of `size`.
///
/// # Errors
/// If they are not as many as its outputs, or are longer than `size` together.
pub fn lengths(call: Call<'_>, given: Option<Vec<i64>>, size: usize) -> Result<Vec<usize>, ImportError> {
    let parts = call.node.output.len().max(1);
    let lengths: Vec<i64> = given.or_else(|| call.ints("split").map(<[i64]>::to_vec)).unwrap_or_else(|| {
        let each = size.div_ceil(parts);
        (0..parts).map(|part| each.min(size.saturating_sub(part * each)) as i64).collect()
    });
    if lengths.len() != parts {
        return Err(call.damaged("as many parts as it has no outputs for"));
    }
    let lengths: Option<Vec<usize>> = lengths.into_iter().map(|length| usize::try_from(length).ok()).collect();
    let fits = |lengths: &Vec<usize>| lengths.iter().fold(0usize, |sum, &length| sum.saturating_add(length)) <= size;
    lengths.filter(fits).ok_or_else(|| call.damaged("parts that do not fit"))
}

/// The elements at these places of each dimension.
fn select(array: &Array, lists: &[Vec<usize>], budget: &Budget) -> Result<Array, ImportError> {
    let shape: Vec<usize> = lists.iter().map(Vec::len).collect();
    // Looking at a large tensor costs as well, however little is taken from it.
    budget.take(&array.shape)?;
    let count = budget.take(&shape)?;
    let strides = Array::strides(&array.shape);
    let place = |mut index: usize| {
        let mut place = 0;
        for (list, stride) in lists.iter().zip(&strides).rev() {
            place += list[index % list.len()] * stride;
            index /= list.len();
        }
        place
    };
    Ok(Array { name: array.name.clone(), data: array.data.pick((0..count).map(place)), shape })
}

/// The shape that both are stretched to.
fn broadcast(call: Call<'_>, a: &[usize], b: &[usize]) -> Result<Vec<usize>, ImportError> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let both = |axis| match (size(a, axis), size(b, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(call.damaged("shapes that do not fit")),
    };
    (0..rank).map(both).collect()
}

/// The steps that walk `own` as if it had the shape `shape`.
fn stretched(own: &[usize], shape: &[usize]) -> Vec<usize> {
    let strides = Array::strides(own);
    let missing = shape.len() - own.len();
    let stride = |axis: usize| match axis.checked_sub(missing) {
        Some(axis) if own[axis] != 1 => strides[axis],
        _ => 0,
    };
    (0..shape.len()).map(stride).collect()
}
