//! Graphs of a few operators around GRUs of one direction and of two. Their numbers are onnxruntime's in `tests/interop`.

use std::path::Path;

use grulet::spec::Merge::{self, Ave, Concat, Mul, Sum};
use prost::bytes::Bytes;

use crate::import::Options;
use crate::import::chain::{Gru, Op, Step, transpose};
use crate::import::onnx::graph::read;
use crate::import::onnx::proto::{
    Attribute, Dimension, Graph, Model, Node, Shape, Tensor, TensorType, Type, ValueInfo, kind,
};

const INPUTS: usize = 2;
const HIDDEN: usize = 3;

/// `op(inputs) -> outputs`, as in `Squeeze(Y, one) -> y`, and attributes of whole numbers.
fn node(call: &str, attributes: &[(&str, &[i64])]) -> Node {
    let (op, rest) = call.split_once('(').unwrap();
    let (inputs, outputs) = rest.split_once(") -> ").unwrap();
    let list = |names: &str| names.split(", ").map(str::to_owned).collect();
    let of = |&(name, ints): &(&str, &[i64])| Attribute {
        name: name.to_owned(),
        i: ints[0],
        ints: ints.to_vec(),
        ..Attribute::default()
    };
    Node {
        input: list(inputs),
        output: list(outputs),
        op_type: op.to_owned(),
        attribute: attributes.iter().map(of).collect(),
        ..Node::default()
    }
}

fn gru(call: &str, direction: &'static str) -> Node {
    let mut node = node(call, &[("linear_before_reset", &[1])]);
    let s = Bytes::from_static(direction.as_bytes());
    node.attribute.push(Attribute { name: "direction".to_owned(), s, ..Attribute::default() });
    node
}

/// Weights that are all different, from `start` on.
fn weights(start: usize, count: usize) -> Vec<f32> {
    (start..start + count).map(|value| value as f32 / 64.0).collect()
}

fn tensor(name: &str, dims: &[usize], values: Vec<f32>) -> Tensor {
    let raw: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    let dims = dims.iter().map(|&size| size as i64).collect();
    Tensor { name: name.to_owned(), dims, data_type: kind::F32, raw_data: Some(raw.into()), ..Tensor::default() }
}

fn whole(name: &str, values: &[i64]) -> Tensor {
    let dims = if values.len() == 1 && name.starts_with("at") { vec![] } else { vec![values.len() as i64] };
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { name: name.to_owned(), dims, data_type: kind::I64, raw_data: Some(raw.into()), ..Tensor::default() }
}

/// The steps of a graph of `x (T, B, I)`, with the output `out`; or the error.
fn steps(nodes: Vec<Node>) -> Result<Vec<Step>, String> {
    let three = 3 * HIDDEN;
    let mut initializer = Vec::new();
    // W1 is the weights of one direction, W2 of two, of which the second one is V1; L2 is a second layer's.
    for (name, start, directions, inputs) in [
        ("1", 0, 1, INPUTS),
        ("V1", 1000, 1, INPUTS),
        ("2", 0, 2, INPUTS),
        ("L2", 500, 2, 2 * HIDDEN),
        ("H2", 500, 2, HIDDEN),
    ] {
        let of = |part: usize, size: usize| {
            let one = |direction: usize| weights(start + 1000 * direction + 100 * part, size);
            (0..directions).flat_map(one).collect::<Vec<f32>>()
        };
        let named = |letter: &str| format!("{letter}{name}");
        initializer.push(tensor(&named("W"), &[directions, three, inputs], of(0, three * inputs)));
        initializer.push(tensor(&named("R"), &[directions, three, HIDDEN], of(1, three * HIDDEN)));
        initializer.push(tensor(&named("B"), &[directions, 2 * three], of(2, 2 * three)));
    }
    let hidden = HIDDEN as i64;
    for (name, values) in [
        ("at0", &[0][..]),
        ("at1", &[1]),
        ("at-1", &[-1]),
        ("0", &[0]),
        ("1", &[1]),
        ("2", &[2]),
        ("3", &[3]),
        ("-1", &[-1]),
        ("end", &[i64::MAX]),
        ("half", &[hidden]),
        ("one,zero", &[1, 0]),
        ("0,0,-1", &[0, 0, -1]),
        ("0,-1", &[0, -1]),
        ("0,0,2,-1", &[0, 0, 2, -1]),
    ] {
        initializer.push(whole(name, values));
    }
    let info = |name: &str, dim: Vec<Option<i64>>| {
        let dim = dim.into_iter().map(|dim_value| Dimension { dim_value, dim_param: String::new() }).collect();
        let tensor_type = Some(TensorType { elem_type: kind::F32, shape: Some(Shape { dim }) });
        ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type }) }
    };
    let graph = Graph {
        node: nodes,
        initializer,
        input: vec![info("x", vec![None, None, Some(INPUTS as i64)]), info("h0", vec![Some(2), None, Some(hidden)])],
        output: vec![info("out", vec![])],
        ..Graph::default()
    };
    let (chain, _) =
        read(&Model::default(), &graph, 17, Path::new(""), &Options::default()).map_err(|error| error.to_string())?;
    Ok(chain.steps)
}

/// What a bidirectional GRU's outputs become, up to `out`.
fn of_both(after: Vec<Node>) -> Result<Vec<Step>, String> {
    steps([vec![gru("GRU(x, W2, R2, B2) -> Y, Yh", "bidirectional")], after].concat())
}

/// Whether these are the weights of the GRU with the weights from `start` on.
fn is(gru: &Gru, start: usize) -> bool {
    gru.kernel == transpose(&weights(start, 3 * HIDDEN * INPUTS), INPUTS)
        && gru.recurrent == transpose(&weights(start + 100, 3 * HIDDEN * HIDDEN), HIDDEN)
        && gru.bias == weights(start + 200, 6 * HIDDEN)
}

#[track_caller]
fn assert_both(steps: &Result<Vec<Step>, String>, expected: (Merge, bool)) {
    let Ok([Step { op: Op::Bidirectional { forward, backward, merge, last }, .. }, ..]) = steps.as_deref() else {
        panic!("{steps:?}")
    };
    assert!(is(forward, 0) && is(backward, 1000), "{steps:?}");
    assert_eq!((*merge, *last), expected);
}

/// Alone, and forwards in time.
#[track_caller]
fn assert_forward(steps: &Result<Vec<Step>, String>, last: bool) {
    match (steps.as_deref(), last) {
        (Ok([Step { op: Op::Gru(gru), .. }]), false) => assert!(is(gru, 0)),
        (Ok([Step { op: Op::Gru(gru), .. }, Step { op: Op::LastStep, .. }]), true) => assert!(is(gru, 0)),
        _ => panic!("{steps:?}"),
    }
}

/// Alone, from the end.
#[track_caller]
fn assert_backward(steps: &Result<Vec<Step>, String>, start: usize, last: bool) {
    let Ok([Step { op: Op::Bidirectional { backward, .. }, tensors, .. }]) = steps.as_deref() else {
        panic!("{steps:?}")
    };
    assert!(is(backward, start), "{steps:?}");
    assert_eq!(steps.as_ref().unwrap()[0].op, Op::backwards(backward.clone(), last));
    assert!(tensors.iter().all(|origin| origin.part.starts_with("backward.")), "{tensors:?}");
}

#[track_caller]
fn assert_refused(steps: &Result<Vec<Step>, String>, why: &str) {
    let error = steps.as_ref().unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn outputs_side_by_side_are_a_concat() {
    let swap = || node("Transpose(Y) -> yt", &[("perm", &[0, 2, 1, 3])]);
    assert_both(&of_both(vec![swap(), node("Reshape(yt, 0,0,-1) -> out", &[])]), (Concat, false));
    let apart = || node("Split(Y) -> a, b", &[("axis", &[1])]);
    let joined = |inputs: &str| node(&format!("Concat({inputs}) -> out"), &[("axis", &[3])]);
    assert_both(&of_both(vec![apart(), joined("a, b")]), (Concat, false));
    assert_refused(&of_both(vec![apart(), joined("b, a")]), "put forward first");
    assert_refused(&of_both(vec![apart(), joined("a, a")]), "outputs that meet those of");
    assert_refused(&of_both(vec![apart(), joined("a, b, a")]), "several layers");
    // Each unit's two directions side by side.
    let other = node("Transpose(Y) -> yt", &[("perm", &[0, 2, 3, 1])]);
    assert_refused(&of_both(vec![other, node("Reshape(yt, 0,0,-1) -> out", &[])]), "neither merged nor");
    assert_refused(&of_both(vec![node("Tanh(Y) -> out", &[])]), "neither merged nor");
}

#[test]
fn outputs_are_added_multiplied_and_averaged() {
    for (op, merge) in [("Add", Sum), ("Sum", Sum), ("Mul", Mul), ("Mean", Ave)] {
        for inputs in ["a, b", "b, a"] {
            let after = vec![
                node("Gather(Y, at0) -> a", &[("axis", &[1])]),
                node("Gather(Y, at1) -> b", &[("axis", &[1])]),
                node(&format!("{op}({inputs}) -> out"), &[]),
            ];
            assert_both(&of_both(after), (merge, false));
        }
    }
    for (op, merge) in [("ReduceSum", Sum), ("ReduceProd", Mul), ("ReduceMean", Ave)] {
        assert_both(&of_both(vec![node(&format!("{op}(Yh, 0) -> out"), &[("keepdims", &[0])])]), (merge, true));
        assert_both(&of_both(vec![node(&format!("{op}(Y) -> out"), &[("axes", &[1])])]), (merge, false));
    }
    assert_refused(&of_both(vec![node("ReduceMax(Y, 1) -> out", &[])]), "neither merged nor");
    assert_refused(&of_both(vec![node("ReduceSum(Y, 3) -> out", &[])]), "neither merged nor");
    let cut = |from: &str, to: &str, name: &str| node(&format!("Slice(Y, {from}, {to}, 1) -> {name}"), &[]);
    let after = vec![cut("0", "1", "a"), cut("1", "2", "b"), node("Add(a, b) -> out", &[])];
    assert_both(&of_both(after), (Sum, false));
    let after = vec![cut("0", "1", "a"), cut("1", "2", "b"), node("Sub(a, b) -> out", &[])];
    assert_refused(&of_both(after), "two branches");
}

#[test]
fn halves_of_the_outputs_are_the_directions() {
    let joined = || {
        vec![
            node("Transpose(Y) -> yt", &[("perm", &[0, 2, 1, 3])]),
            node("Reshape(yt, 0,0,-1) -> y", &[]),
            node("Slice(y, 0, half, 2) -> a", &[]),
            node("Slice(y, half, end, 2) -> b", &[]),
        ]
    };
    let then = |more: Vec<Node>| of_both([joined(), more].concat());
    assert_both(&then(vec![node("Add(b, a) -> out", &[])]), (Sum, false));
    assert_forward(&then(vec![node("Identity(a) -> out", &[])]), false);
    assert_backward(&then(vec![node("Identity(b) -> out", &[])]), 1000, false);
    assert_refused(&then(vec![node("Slice(y, 0, 1, 2) -> out", &[])]), "some outputs of a direction");
    assert_refused(&then(vec![node("Slice(y, 1, end, 2) -> out", &[])]), "some outputs of a direction");
    let apart = vec![node("Reshape(y, 0,0,2,-1) -> w", &[]), node("ReduceMean(w, 2) -> out", &[])];
    assert_both(&then(apart), (Ave, false));
    // Where each direction has read everything.
    let place = |name: &str, at: &str| node(&format!("Gather({name}, {at}) -> {name}_"), &[("axis", &[0])]);
    let ends = |a: &str, b: &str| vec![place("a", a), place("b", b), node("Concat(a_, b_) -> out", &[("axis", &[1])])];
    assert_both(&then(ends("at-1", "at0")), (Concat, true));
    assert_refused(
        &then(ends("at-1", "at-1")),
        "it has read one step, is not supported; take the states that its directions end in",
    );
    assert_refused(&then(ends("at0", "at0")), "the first step of the forward direction");
    assert_refused(&then(vec![place("y", "at-1"), node("Tanh(y_) -> out", &[])]), "it has read one step");
    assert_refused(&then(ends("at1", "at0")), "not the last step");
    let one = |name: &str, at: &str| then(vec![place(name, at), node(&format!("Identity({name}_) -> out"), &[])]);
    assert_forward(&one("a", "at-1"), true);
    assert_backward(&one("b", "at0"), 1000, true);
    assert_refused(&one("b", "at-1"), "it has read one step");
}

#[test]
fn last_states_are_merged_or_alone() {
    let swap = || node("Transpose(Yh) -> ht", &[("perm", &[1, 0, 2])]);
    assert_both(&of_both(vec![swap(), node("Reshape(ht, 0,-1) -> out", &[])]), (Concat, true));
    let pick =
        || vec![node("Gather(Yh, at0) -> a", &[("axis", &[0])]), node("Gather(Yh, at-1) -> b", &[("axis", &[0])])];
    let then = |more: Node| of_both([pick(), vec![more]].concat());
    assert_both(&then(node("Concat(a, b) -> out", &[("axis", &[-1])])), (Concat, true));
    assert_refused(&then(node("Concat(b, a) -> out", &[("axis", &[1])])), "put forward first");
    assert_both(&then(node("Mul(a, b) -> out", &[])), (Mul, true));
    assert_forward(&then(node("Identity(a) -> out", &[])), true);
    assert_backward(&then(node("Identity(b) -> out", &[])), 1000, true);
    // All steps of one and the last state of the other are no layer.
    let after =
        [pick(), vec![node("Gather(Y, at0) -> y", &[("axis", &[1])]), node("Concat(y, b) -> out", &[("axis", &[0])])]];
    assert_refused(&of_both(after.concat()), "several branches");
    // Turned round and back again.
    let after = vec![
        node("Gather(Yh, one,zero) -> h", &[]),
        node("Gather(h, one,zero) -> g", &[]),
        node("ReduceSum(g, 0) -> out", &[]),
    ];
    assert_both(&of_both(after), (Sum, true));
}

#[test]
fn states_of_several_layers_are_taken_apart() {
    let layers = |more: Vec<Node>| {
        let second = vec![
            node("Transpose(Y) -> yt", &[("perm", &[0, 2, 1, 3])]),
            node("Reshape(yt, 0,0,-1) -> y", &[]),
            gru("GRU(y, WL2, RL2, BL2) -> Z, Zh", "bidirectional"),
            node("Concat(Yh, Zh) -> h", &[("axis", &[0])]),
        ];
        of_both([second, more].concat())
    };
    let pick = |at: &str, name: &str| node(&format!("Slice(h, {at}) -> {name}"), &[]);
    let after = vec![pick("2, 3", "a"), pick("3, end", "b"), node("Concat(a, b) -> out", &[("axis", &[2])])];
    let found = layers(after);
    assert_both(&found, (Concat, false));
    let [_, Step { op: Op::Bidirectional { forward, backward, merge: Concat, last: true }, .. }] = &found.unwrap()[..]
    else {
        panic!()
    };
    assert_eq!((forward.kernel[0], backward.kernel[0]), (500.0 / 64.0, 1500.0 / 64.0));
    // The first layer's is a model without the second.
    let after = vec![pick("0, 1", "a"), pick("1, 2", "b"), node("Concat(a, b) -> out", &[("axis", &[2])])];
    assert_both(&layers(after), (Concat, true));
    let after = vec![pick("0, 1", "a"), pick("3, end", "b"), node("Concat(a, b) -> out", &[("axis", &[2])])];
    assert_refused(&layers(after), "outputs that meet those of");
    let after = vec![node("Transpose(h) -> g", &[("perm", &[1, 0, 2])]), node("Reshape(g, 0,-1) -> out", &[])];
    assert_refused(&layers(after), "several layers");
}

#[test]
fn a_reverse_gru_reads_from_the_end() {
    let reverse = |more: Vec<Node>| steps([vec![gru("GRU(x, W1, R1, B1) -> Y, Yh", "reverse")], more].concat());
    assert_backward(&reverse(vec![node("Squeeze(Y, 1) -> out", &[])]), 0, false);
    assert_backward(&reverse(vec![node("Squeeze(Yh, 0) -> out", &[])]), 0, true);
    assert_backward(&reverse(vec![node("Gather(Y, at0) -> out", &[("axis", &[0])])]), 0, true);
    assert_refused(&reverse(vec![node("Gather(Y, at-1) -> out", &[("axis", &[0])])]), "it has read one step");
    assert_refused(&reverse(vec![node("Slice(Y, -1, end) -> out", &[])]), "it has read one step");
    // Once it is a layer's output, it is refused with the layer: both directions are known there alone.
    let after = vec![node("Tanh(Y) -> y", &[]), node("Gather(y, at0) -> out", &[("axis", &[0])])];
    assert_refused(&reverse(after), "not the last step");
}

#[test]
fn two_grus_over_the_same_series_are_one_layer() {
    let two = |first: &'static str, second: &'static str, more: Vec<Node>| {
        let grus = vec![gru("GRU(x, W1, R1, B1) -> Y, Yh", first), gru("GRU(x, WV1, RV1, BV1) -> Z, Zh", second)];
        steps([grus, more].concat())
    };
    let join = |call: &str| vec![node(call, &[("axis", &[-1])])];
    for (call, expected) in [
        ("Concat(Y, Z) -> out", (Concat, false)),
        ("Concat(Yh, Zh) -> out", (Concat, true)),
        ("Add(Z, Y) -> out", (Sum, false)),
        ("Mul(Yh, Zh) -> out", (Mul, true)),
    ] {
        assert_both(&two("forward", "reverse", join(call)), expected);
        assert_refused(&two("forward", "forward", join(call)), "outputs that meet those of");
    }
    let after = vec![
        node("Concat(Y, Z) -> y", &[("axis", &[3])]),
        node("Tanh(Y) -> t", &[]),
        node("Concat(y, t) -> out", &[("axis", &[3])]),
    ];
    assert_refused(&two("forward", "reverse", after), "several branches");
    // The second one reads what the first one gives.
    let chain = vec![
        gru("GRU(x, W1, R1, B1) -> Y, Yh", "forward"),
        node("Squeeze(Y, 1) -> y", &[]),
        node("Concat(y, y) -> yy", &[("axis", &[2])]),
    ];
    let after = vec![gru("GRU(yy, WL2, RL2, BL2) -> Z, Zh", "bidirectional"), node("Identity(Zh) -> out", &[])];
    assert_refused(&steps([chain, after].concat()), "outputs that meet those of");
}

#[test]
fn the_same_layer_below_is_the_same_series() {
    // Each of two GRUs joins the layer below by itself.
    let join = |name: &str| {
        vec![
            node(&format!("Transpose(Y) -> {name}t"), &[("perm", &[0, 2, 1, 3])]),
            node(&format!("Reshape({name}t, 0,0,-1) -> {name}"), &[]),
        ]
    };
    let apart = vec![
        node("Split(WL2) -> wa, wb", &[("axis", &[0])]),
        node("Split(RL2) -> ra, rb", &[("axis", &[0])]),
        gru("GRU(p, wa, ra) -> P, Ph", "forward"),
        gru("GRU(q, wb, rb) -> Q, Qh", "reverse"),
        node("Concat(Ph, Qh) -> out", &[("axis", &[2])]),
    ];
    let found = of_both([join("p"), join("q"), apart].concat());
    assert_both(&found, (Concat, false));
    let [_, Step { op: Op::Bidirectional { last: true, .. }, .. }] = &found.unwrap()[..] else { panic!() };
}

#[test]
fn a_state_that_is_given_belongs_to_a_stream() {
    let split = node("Split(h0) -> ha, hb", &[("axis", &[0])]);
    let both = vec![gru("GRU(x, W2, R2, B2, , h0) -> Y, Yh", "bidirectional"), node("Identity(Yh) -> out", &[])];
    assert_refused(&steps(both), "from a state that is given");
    let chain = vec![
        split,
        gru("GRU(x, W1, R1, B1, , ha) -> Y, Yh", "forward"),
        node("Squeeze(Y, 1) -> y", &[]),
        gru("GRU(y, WH2, RH2, BH2) -> Z, Zh", "bidirectional"),
        node("ReduceSum(Zh, 0) -> out", &[]),
    ];
    assert_refused(&steps(chain), "beside one whose state is given");
}
