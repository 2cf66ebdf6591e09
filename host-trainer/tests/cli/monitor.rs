//! What the best epoch is chosen by.

use crate::support::Bench;

/// Series of noise whose class is the sign of the first value: it is learnt little by little.
fn noise() -> String {
    let value = |i: usize| (i * 7919 % 1009) as f64 / 504.5 - 1.0;
    let mut text = "series,label,t,a,b\n".to_owned();
    for i in 0..40 * 8 {
        let label = if value(i - i % 8) > 0.0 { "up" } else { "down" };
        text += &format!("{},{label},{},{:.4},{:.4}\n", i / 8, i % 8, value(i), value(i + 5000));
    }
    text
}

/// The column of the log.
fn column(bench: &Bench, name: &str) -> Vec<f64> {
    let log = bench.text("runs/config/log.csv");
    let at = log.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
    log.lines().skip(1).map(|row| row.split(',').nth(at).unwrap().parse().unwrap()).collect()
}

/// The report, and what is printed.
fn train(bench: &Bench, sets: &[&str]) -> (serde_json::Value, String) {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "config.toml", "--overwrite"].into_iter().chain(sets).collect();
    let out = bench.grulet(&args).ok().stdout;
    (bench.json("runs/config/report.json"), out)
}

/// The epoch, from 1, of the first of the best values.
fn first_of(values: &[f64], better: fn(f64, f64) -> bool) -> usize {
    (0..values.len()).fold(0, |best, at| if better(values[at], values[best]) { at } else { best }) + 1
}

#[test]
fn the_accuracy_chooses_the_epoch_stops_the_training_and_is_told() {
    let bench = Bench::new();
    bench.put("train.csv", noise());
    let config = bench.text("config.toml").replace("fraction = 0.2", "fraction = 0.4");
    bench.put("config.toml", config.replace("learning_rate = 0.02", "learning_rate = 0.03"));
    let accuracy = ["train.monitor=accuracy", "train.epochs=30"];
    let (report, _) = train(&bench, &accuracy);
    let (losses, accuracies) = (column(&bench, "val_loss"), column(&bench, "val_accuracy"));
    let by_accuracy = first_of(&accuracies, |a, b| a > b);
    let by_loss = first_of(&losses, |a, b| a < b);
    assert!(1 < by_accuracy && by_accuracy < by_loss, "else the test tells nothing: {by_accuracy} {by_loss}");
    assert_eq!((&report["best_epoch"], &report["metric"]), (&by_accuracy.into(), &"val_accuracy".into()));
    let provenance = &bench.grulet(&["inspect", "runs/config", "--json"]).ok().json()["provenance"];
    assert_eq!((&provenance["metric"], &provenance["epoch"]), (&"val_accuracy".into(), &by_accuracy.into()));
    assert!((provenance["value"].as_f64().unwrap() - accuracies[by_accuracy - 1]).abs() < 1e-6, "{provenance}");

    // The best one has come, and patience ends.
    let (report, out) = train(&bench, &[&accuracy[..], &["train.patience=5"]].concat());
    let stopped = column(&bench, "val_accuracy").len();
    let best = |epochs: usize| first_of(&accuracies[..epochs], |a, b| a > b);
    let expected = (2..=30).find(|&epochs| epochs - best(epochs) >= 5).unwrap();
    assert_eq!((stopped, &report["stopped_epoch"]), (expected, &expected.into()));
    assert!(out.contains("val_accuracy no longer improves"), "{out}");

    // It goes on to the same bits, and the loss remains what there is by default.
    let (whole, _) = train(&bench, &[accuracy[0], "train.epochs=9"]);
    train(&bench, &[accuracy[0], "train.epochs=4"]);
    bench.grulet(&["train", "--resume", "runs/config", "--set", "train.epochs=9"]).ok();
    assert_eq!(bench.json("runs/config/report.json")["weights_hash"], whole["weights_hash"]);
    let (report, _) = train(&bench, &["train.epochs=30"]);
    assert_eq!(report["metric"], "val_loss");
    assert_eq!(report["best_epoch"], by_loss);
}

#[test]
fn a_plateau_of_the_accuracy_lowers_the_learning_rate() {
    let bench = Bench::new();
    let sets = ["train.monitor=accuracy", "train.schedule=plateau", "train.schedule_patience=1", "train.epochs=6"];
    // Nothing is learnt at this rate, so that the accuracy stays while the loss falls.
    train(&bench, &[&sets[..], &["train.learning_rate=1e-5"]].concat());
    let losses = column(&bench, "val_loss");
    assert!(losses[..3].windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    let rates = column(&bench, "learning_rate");
    assert_eq!(rates[1], 1e-5);
    assert!(rates[2] < 2e-6, "{rates:?}");
}

#[test]
fn real_values_have_no_accuracy() {
    let bench = Bench::new();
    let sets = ["train.loss=mse", "train.monitor=accuracy", "model.layers.1.activation=linear"];
    let args: Vec<&str> =
        ["train", "config.toml"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
    bench.refuses(&args, &["`train.monitor`", "real values", "leave this out"]);
    bench.refuses(&["train", "config.toml", "--set", "train.monitor=f1"], &["`train.monitor`", "f1", "accuracy"]);
}
