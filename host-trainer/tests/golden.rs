//! The runtime against Keras and PyTorch: their weights in a blob, their inputs, their outputs.

mod common;

use common::reference::{FILES, Reference};
use common::tolerances::{RUNTIME, RUNTIME_FAST};
use grulet::blob::{AlignedBytes, Contents, LayerWeights, write};
use grulet::format::Format;
use grulet::spec::{LayerSpec, Output, Reset, Storage};
use grulet::{AnyModel, Dense, Exact, Fast, Gru, Header, Model, ResetAfter, ResetBefore, Sigmoid, Softmax};

/// A blob of layers and, for each, the tensors that it has in Keras.
fn blob(layers: &[LayerSpec], output: Output, tensors: &[Vec<f32>]) -> AlignedBytes {
    let mut tensors = tensors.iter();
    let mut next = || tensors.next().unwrap().as_slice();
    let weights: Vec<LayerWeights<'_>> = layers
        .iter()
        .map(|layer| {
            let kernel = next();
            let recurrent = if layer.state() > 0 { next() } else { &[] };
            LayerWeights { kernel, recurrent, bias: next() }
        })
        .collect();
    let header = Header::new(Storage::F32, layers.iter().copied().collect(), output);
    write(&Contents {
        header,
        layers: &weights,
        mean: &[],
        scale: &[],
        output_scale: &[],
        output_offset: &[],
        golden: &[],
    })
    .unwrap()
}

fn tensors(reference: &mut Reference) -> Vec<Vec<f32>> {
    reference.tensors("w").into_iter().map(|tensor| tensor.into_iter().map(|w| w as f32).collect()).collect()
}

/// The largest difference of the outputs of `step`, which is given a sample and whether its series begins.
fn difference(reference: &mut Reference, mut step: impl FnMut(bool, &[f32]) -> Vec<f32>) -> f64 {
    let (x, out) = (reference.array("x"), reference.array("out"));
    let (rows, steps, inputs) = (x.shape[0], x.shape[1], x.shape[2]);
    let mut found = Vec::new();
    for row in 0..rows {
        for t in 0..steps {
            let sample = &x.values[(row * steps + t) * inputs..][..inputs];
            let sample: Vec<f32> = sample.iter().map(|&x| x as f32).collect();
            let outputs = step(t == 0, &sample);
            if reference.output == Output::EveryStep || t + 1 == steps {
                found.extend(outputs);
            }
        }
    }
    assert_eq!(found.len(), out.values.len());
    found.iter().zip(&out.values).fold(0.0, |max, (&y, expected)| f64::max(max, (f64::from(y) - expected).abs()))
}

fn any<F: Format>(reference: &mut Reference, blob: &AlignedBytes) -> f64 {
    let model = AnyModel::<F>::from_blob(blob).unwrap();
    let mut stream = model.heap_stream();
    difference(reference, |begins, sample| {
        if begins {
            stream.reset();
        }
        stream.step(sample).unwrap().to_vec()
    })
}

#[test]
fn any_model_gives_the_outputs_of_keras_and_pytorch() {
    for file in FILES {
        let mut reference = Reference::open(file, "f32");
        let tensors = tensors(&mut reference);
        let blob = blob(&reference.layers, reference.output, &tensors);
        let exact = any::<Exact>(&mut reference, &blob);
        assert!(exact <= RUNTIME, "{file:?}: {exact:e}");
        let fast = any::<Fast>(&mut reference, &blob);
        assert!(fast <= RUNTIME_FAST && fast > exact, "{file:?}: {fast:e}");
    }
}

#[test]
fn typed_models_give_the_outputs_of_keras_and_pytorch() {
    fn check<const I: usize, const O: usize, N>(file: (&str, &str, Reset))
    where
        N: grulet::Network<Format = Exact, Input = [f32; I], Output = [f32; O]>,
    {
        let mut reference = Reference::open(file, "f32");
        let tensors = tensors(&mut reference);
        let blob = blob(&reference.layers, reference.output, &tensors);
        let model = Model::<N>::from_blob(&blob).unwrap();
        let mut stream = model.stream();
        let found = difference(&mut reference, |begins, sample| {
            if begins {
                stream.reset();
            }
            stream.step_raw(sample.try_into().unwrap()).to_vec()
        });
        assert!(found <= RUNTIME, "{file:?}: {found:e}");
    }
    type Classes<R> = (Gru<3, 8, Exact, R>, Dense<8, 4, Softmax>);
    type Sequence<R> = (Gru<1, 8, Exact, R>, Dense<8, 1, Sigmoid>);
    type Regression<R> = (Gru<5, 7, Exact, R>, Gru<7, 6, Exact, R>, Dense<6, 2>);
    for framework in ["keras", "torch"] {
        if framework == "keras" {
            check::<3, 4, Classes<ResetBefore>>((framework, "cls", Reset::Before));
            check::<3, 4, Classes<ResetAfter>>((framework, "cls", Reset::After));
            check::<1, 1, Sequence<ResetBefore>>((framework, "seq", Reset::Before));
            check::<5, 2, Regression<ResetBefore>>((framework, "reg2", Reset::Before));
        }
        check::<1, 1, Sequence<ResetAfter>>((framework, "seq", Reset::After));
        check::<5, 2, Regression<ResetAfter>>((framework, "reg2", Reset::After));
    }
}

#[test]
fn the_other_reset_variant_gives_other_outputs() {
    for file in FILES {
        let mut reference = Reference::open(file, "f32");
        let mut tensors = tensors(&mut reference);
        let mut layers = reference.layers.clone();
        let mut first = 0;
        for layer in &mut layers {
            let LayerSpec::Gru { hidden, reset, .. } = layer else { continue };
            let gates = 3 * usize::from(*hidden);
            // The bias that comes nearest: both halves together, or a recurrent half of zeros.
            let bias = &mut tensors[first + 2];
            *reset = match reset {
                Reset::Before => {
                    bias.resize(2 * gates, 0.0);
                    Reset::After
                }
                Reset::After => {
                    *bias = bias[..gates].iter().zip(&bias[gates..]).map(|(a, b)| a + b).collect();
                    Reset::Before
                }
            };
            first += 3;
        }
        let blob = blob(&layers, reference.output, &tensors);
        let found = any::<Exact>(&mut reference, &blob);
        assert!(found > 100.0 * RUNTIME, "{file:?}: {found:e}");
    }
}
