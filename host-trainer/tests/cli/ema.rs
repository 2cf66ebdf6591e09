//! The moving average of the weights.

use grulet_trainer::checkpoint::Checkpoint;

use crate::support::{Bench, table};

/// Every epoch is one step.
const ONE_STEP: [&str; 2] = ["train.batch_size=100", "train.dropout=0.2"];
const AVERAGE: &str = "train.ema_momentum=0.8";

/// Trains with some settings; the report.
fn train(bench: &Bench, sets: &[&str]) -> serde_json::Value {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "config.toml", "--overwrite", "--json"].into_iter().chain(sets).collect();
    bench.grulet(&args).ok().json()
}

fn checkpoint(bench: &Bench, name: &str) -> Checkpoint {
    Checkpoint::load(&bench.path(&format!("runs/config/{name}.ckpt"))).unwrap()
}

/// The column of the log.
fn column(bench: &Bench, name: &str) -> Vec<f64> {
    let log = bench.text("runs/config/log.csv");
    let at = log.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
    log.lines().skip(1).map(|row| row.split(',').nth(at).unwrap().parse().unwrap()).collect()
}

/// After one to six epochs of one step, with `AVERAGE` and without.
#[test]
fn checkpoints_have_the_average_of_a_textbook_loop() {
    let bench = Bench::new();
    let mut expected: Vec<f64> = Vec::new();
    let (mut plain_losses, mut furthest) = (Vec::new(), 0.0_f64);
    for step in 1..=6 {
        let epochs = format!("train.epochs={step}");
        train(&bench, &[&ONE_STEP[..], &[&epochs]].concat());
        let weights = checkpoint(&bench, "last").params;
        plain_losses = column(&bench, "loss");
        if step == 1 {
            expected = weights.iter().map(|&w| w.into()).collect();
        }
        for (average, &w) in expected.iter_mut().zip(&weights) {
            *average = 0.8 * *average + (1.0 - 0.8) * f64::from(w);
            furthest = furthest.max((*average - f64::from(w)).abs());
        }
        train(&bench, &[&ONE_STEP[..], &[&epochs, AVERAGE]].concat());
        let found = checkpoint(&bench, "last");
        assert_eq!(found.epoch, step);
        for (found, expected) in found.params.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "step {step}: {found} but {expected}");
        }
    }
    assert!(furthest > 0.01, "the average is the weights: {furthest}");
    // Training goes on from the weights themselves.
    assert_eq!(column(&bench, "loss"), plain_losses);
}

/// The validation part has the same series as the test part, which the exported model is scored on.
#[test]
fn the_average_is_validated_and_is_the_model() {
    let bench = Bench::new();
    bench.put("validation.csv", bench.read("test.csv"));
    bench.put("config.toml", bench.text("config.toml").replace("fraction = 0.2", "file = \"validation.csv\""));
    let report = train(&bench, &["train.epochs=5", AVERAGE]);
    let losses = column(&bench, "val_loss");
    train(&bench, &["train.epochs=5"]);
    let plain = column(&bench, "val_loss");
    let best = report["best_epoch"].as_u64().unwrap() as usize;
    assert!(losses.iter().all(|&loss| loss >= losses[best - 1]), "{best} of {losses:?}");
    assert!((losses[best - 1] - plain[best - 1]).abs() > 1e-3, "{losses:?} {plain:?}: else the test tells nothing");
    let tested = report["test"]["loss"].as_f64().unwrap();
    assert!((losses[best - 1] - tested).abs() < 2e-6, "{losses:?}, but {tested}");
}

/// Batches of one epoch and the next, on any number of threads, and from the checkpoint of either.
#[test]
fn it_goes_on_to_the_same_bits_with_the_state_kept_too() {
    let bench = Bench::new();
    let mut config = bench.text("config.toml").replace("last_step", "every_step");
    bench.put("config.toml", &config);
    let sets = [AVERAGE, "train.stateful=true", "data.window=3", "train.ignore_steps=2", "train.recurrent_dropout=0.1"];
    let whole = train(&bench, &[&sets[..], &["train.threads=1", "train.epochs=4"]].concat());
    let ends = checkpoint(&bench, "last");
    let threads = train(&bench, &[&sets[..], &["train.threads=3", "train.epochs=4"]].concat());
    assert_eq!(threads["weights_hash"], whole["weights_hash"]);
    train(&bench, &[&sets[..], &["train.threads=2", "train.epochs=2"]].concat());
    bench.grulet(&["train", "--resume", "runs/config", "--set", "train.epochs=4"]).ok();
    assert_eq!(bench.json("runs/config/report.json")["weights_hash"], whole["weights_hash"]);
    assert_eq!(checkpoint(&bench, "last").params, ends.params);
    assert_eq!(checkpoint(&bench, "last").optimizer, ends.optimizer);
    // Another average is another run.
    config = bench.text("runs/config/config.toml").replace("ema_momentum = 0.8", "ema_momentum = 0.7");
    bench.put("runs/config/config.toml", config);
    bench
        .grulet(&["train", "--resume", "runs/config", "--set", "train.epochs=5"])
        .failed(&["last.ckpt", "settings are not those"]);
}

#[test]
fn the_integers_begin_at_the_average_and_keep_none() {
    let bench = Bench::new();
    let sets = ["train.qat_epochs=2", "train.epochs=4", "train.learning_rate=1e-9"];
    // The first average is the first weights, and these hardly move: with and without, the integers are the same.
    train(&bench, &sets);
    let (float, int8) = (checkpoint(&bench, "best").params, checkpoint(&bench, "best_int8").params);
    train(&bench, &[&sets[..], &[AVERAGE]].concat());
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(&float, &checkpoint(&bench, "best").params));
    assert!(close(&int8, &checkpoint(&bench, "best_int8").params));
    // With a learning rate that counts, they are near the average and not near the weights.
    let wide = ["train.qat_epochs=1", "train.epochs=6", "train.learning_rate=0.05", "train.ema_momentum=0.98"];
    train(&bench, &wide);
    let (best, int8) = (checkpoint(&bench, "best"), checkpoint(&bench, "best_int8"));
    let mut weights = best.params.clone();
    best.optimizer.clone().swap_average(&mut weights);
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let (to_average, to_weights) = (distance(&int8.params, &best.params), distance(&int8.params, &weights));
    assert!(3.0 * to_average < to_weights, "{to_average} {to_weights}");
}

#[test]
fn a_momentum_that_is_none_is_refused() {
    let bench = Bench::new();
    for momentum in ["0", "1", "-0.5", "nan"] {
        let set = format!("train.ema_momentum={momentum}");
        bench.refuses(&["train", "config.toml", "--set", &set], &["`train.ema_momentum`", "such as 0.99"]);
    }
}

/// A sweep compares averages, fold by fold.
#[test]
fn it_can_be_swept_over_folds() {
    let bench = Bench::new();
    bench.put("train.csv", table(0, 12));
    bench.put("config.toml", bench.text("config.toml").replace("[data.validation]\nfraction = 0.2\n", ""));
    let args = ["sweep", "config.toml", "--vary", "train.ema_momentum=[0.5, 0.9]", "--folds", "2", "--json"];
    let ranking = bench.grulet(&args).ok().json();
    let loss = |rank: usize| ranking["combinations"][rank]["mean"]["loss"].as_f64().unwrap();
    assert!(loss(0) < loss(1), "{ranking}");
}
