//! What operators of others do to numbers, in graphs that are written here and changed.

use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset};
use prost::Message;
use prost::bytes::Bytes;

use super::proto::{self, Attribute, Node, Tensor, kind};
use super::*;
use crate::checkpoint::{Card, Checkpoint, Origin};
use crate::export::with_contents;
use crate::import::import_bytes;
use crate::interop::onnx;
use crate::nn::{Network, Optimizer};

/// Imports the graph of a GRU from 2 to 3 and a dense layer, after `edit` has changed it. Its series have 5 steps.
fn edited(edit: impl FnOnce(&mut proto::Graph)) -> Result<crate::import::Imported, ImportError> {
    let gru =
        LayerSpec::Gru { inputs: 2, hidden: 3, reset: Reset::After, gate: Gate::Sigmoid, candidate: Candidate::Tanh };
    let layers = vec![gru, LayerSpec::Dense { inputs: 3, outputs: 1, activation: Activation::Linear }];
    let network = Network::<f32>::new(&layers, Output::EveryStep, 1).unwrap();
    let params = network.params().to_vec();
    let card = Card { layers, output: Output::EveryStep, golden: vec![0.0; 4], ..Card::default() };
    let optimizer = Optimizer::none(params.len());
    let checkpoint = Checkpoint { card, epoch: 0, value: 0.0, params, optimizer, origin: Origin::default() };
    let bytes = with_contents(&checkpoint, |contents| Ok(onnx::write(contents))).unwrap().unwrap();
    let mut model = proto::Model::decode(&bytes[..]).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let shape = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
    shape.dim[1].dim_value = Some(5);
    edit(graph);
    import_bytes(model.encode_to_vec(), Path::new("m.onnx"), &Options::default())
}

fn node(op: &str, input: &[&str], output: &str, attribute: Vec<Attribute>) -> Node {
    let input = input.iter().map(|name| (*name).to_owned()).collect();
    Node { op_type: op.to_owned(), input, output: vec![output.to_owned()], attribute, ..Node::default() }
}

fn cast(input: &str, output: &str, to: i32) -> Node {
    let to = Attribute { name: "to".to_owned(), r#type: 2, i: to.into(), ..Attribute::default() };
    node("Cast", &[input], output, vec![to])
}

/// What the GRU takes as its input `at` becomes `name`.
fn rewire(graph: &mut proto::Graph, at: usize, name: &str) {
    let gru = graph.node.iter_mut().find(|node| node.op_type == "GRU").unwrap();
    gru.input.resize(gru.input.len().max(at + 1), String::new());
    gru.input[at] = name.to_owned();
}

#[test]
fn fixed_lengths_are_those_of_whole_series() {
    let with = |lengths: [i32; 3]| {
        edited(|graph| {
            let raw = lengths.iter().flat_map(|length| length.to_le_bytes()).collect::<Vec<_>>();
            let raw_data = Some(Bytes::from(raw));
            let name = "lengths".to_owned();
            graph.initializer.push(Tensor { name, dims: vec![3], data_type: kind::I32, raw_data, ..Tensor::default() });
            rewire(graph, 4, "lengths");
        })
    };
    with([5, 5, 5]).unwrap();
    for lengths in [[3, 3, 3], [5, 4, 5]] {
        let error = with(lengths).unwrap_err().to_string();
        assert!(error.contains("sequence_lens that are fixed and not the number of steps"), "{lengths:?}: {error}");
    }
}

#[test]
fn real_numbers_are_not_cut_to_whole_ones() {
    let with = |to: i32| {
        edited(|graph| {
            let gru = graph.node.iter().position(|node| node.op_type == "GRU").unwrap();
            let x = graph.node[gru].input[0].clone();
            graph.node.insert(gru, cast("cut", "again", kind::F32));
            graph.node.insert(gru, cast(&x, "cut", to));
            rewire(graph, 0, "again");
        })
    };
    with(kind::F64).unwrap();
    for to in [kind::I32, kind::I64] {
        let error = with(to).unwrap_err().to_string();
        assert!(error.contains("real numbers that are cut to whole ones"), "{error}");
    }
}

/// The bias of the dense layer goes through other types on its way.
#[test]
fn constants_become_what_a_type_makes_of_them() {
    let through = |value: f32, to: i32| {
        let imported = edited(|graph| {
            let add = graph.node.iter().position(|node| node.op_type == "Add").unwrap();
            let bias = graph.node[add].input[1].clone();
            let tensor = graph.initializer.iter_mut().find(|tensor| tensor.name == bias).unwrap();
            tensor.raw_data = Some(Bytes::from(value.to_le_bytes().to_vec()));
            graph.node[add].input[1] = "again".to_owned();
            graph.node.insert(add, cast("other", "again", kind::F32));
            graph.node.insert(add, cast(&bias, "other", to));
        });
        *imported.unwrap().checkpoint.params.last().unwrap()
    };
    assert_eq!(through(0.3, kind::F64), 0.3);
    assert_eq!([through(0.3, kind::BOOL), through(2.0, kind::BOOL), through(0.0, kind::BOOL)], [1.0, 1.0, 0.0]);
    assert_eq!([through(2.7, kind::I64), through(-2.7, kind::I32)], [2.0, -2.0]);
    assert_eq!(through(0.3, kind::F16), half::f16::from_f32(0.3).to_f32());
    assert_eq!(through(0.3, kind::BF16), half::bf16::from_f32(0.3).to_f32());
}

#[test]
fn a_branch_that_the_output_does_not_need_may_be_of_other_sizes() {
    let imported = edited(|graph| {
        let kernel = vec![0; 4 * 28];
        let raw_data = Some(Bytes::from(kernel));
        let name = "other".to_owned();
        graph.initializer.push(Tensor { name, dims: vec![7, 4], data_type: kind::F32, raw_data, ..Tensor::default() });
        let y = graph.node.last().unwrap().output[0].clone();
        graph.node.push(node("MatMul", &[&y, "other"], "unused", Vec::new()));
    });
    imported.unwrap();
}
