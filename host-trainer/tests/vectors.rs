//! The trainer's numerics against Keras and PyTorch: forward, loss, gradients, Adam, in `f64` and in `f32`.

mod common;

use common::assert_close;
use common::reference::{FILES, Reference, time_major};
use common::tolerances::{F32, F64, Tolerances};
use grulet::spec::Reset;
use grulet_trainer::nn::{Epsilon, Optimizer, Real, Rule, Trainer};

/// The learning rate that the vectors were made with.
const LEARNING_RATE: f64 = 0.001;

fn to_f64<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

fn agrees<R: Real>(file: (&str, &str, Reset), number: &str, tolerances: Tolerances) {
    let name = format!("{file:?} {number}");
    let mut reference = Reference::open(file, number);
    // Keras's own `f32` gradients are up to 1.1e-6 from its `f64` ones (reg2, reset after, second bias), so that those of
    // an equally good `f32` may be twice as far from them: the measure is the `f64` file, of the same weights.
    let mut exact = Reference::open(file, "f64");
    let batch = reference.batch::<R>();
    let mut trainer = Trainer::new(reference.network::<R>(), reference.loss, 1).unwrap();
    trainer.keep_d_x(true);
    let tensors = trainer.network().tensors().to_vec();

    let outputs = trainer.forward(&batch).unwrap();
    assert_close(&format!("{name}: outputs"), &to_f64(&outputs), &reference.outputs(), tolerances.outputs);

    let loss = trainer.gradient(&batch).unwrap().loss();
    assert_close(&format!("{name}: loss"), &[loss], &reference.array("loss").values, tolerances.loss);
    for (tensor, expected) in tensors.iter().zip(exact.tensors("d")) {
        let found = to_f64(&trainer.gradients()[tensor.range.clone()]);
        assert_close(&format!("{name}: gradient of {}", tensor.name), &found, &expected, tolerances.gradients);
    }
    let d_x = to_f64(&trainer.d_x().unwrap());
    let expected = time_major(&exact.array("d_x"));
    assert_close(&format!("{name}: gradient of x"), &d_x, &expected, tolerances.gradients);

    let epsilon = if reference.torch { Epsilon::PyTorch } else { Epsilon::Keras };
    let mut optimizer = Optimizer::new(trainer.network().params().len(), Rule::Adam(epsilon));
    let mut losses = Vec::new();
    for step in 1..=10 {
        losses.push(trainer.gradient(&batch).unwrap().loss());
        let (params, gradients) = trainer.params_and_gradients();
        optimizer.step(params, gradients, LEARNING_RATE);
        let tolerance = match step {
            1 => tolerances.adam_1,
            10 => tolerances.adam_10,
            _ => continue,
        };
        for (tensor, expected) in tensors.iter().zip(reference.tensors(&format!("adam{step}"))) {
            let found = to_f64(&trainer.network().params()[tensor.range.clone()]);
            assert_close(&format!("{name}: {} after {step} steps", tensor.name), &found, &expected, tolerance);
        }
    }
    assert_close(&format!("{name}: losses"), &losses, &reference.array("losses10").values, tolerances.adam_10);
}

#[test]
fn f64_agrees() {
    for file in FILES {
        agrees::<f64>(file, "f64", F64);
    }
}

#[test]
fn f32_agrees() {
    for file in FILES {
        agrees::<f32>(file, "f32", F32);
    }
}
