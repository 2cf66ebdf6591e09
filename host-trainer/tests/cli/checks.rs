//! Training that is only a check.

use crate::support::Bench;

#[test]
fn a_dry_run_shows_the_plan_and_leaves_nothing() {
    let bench = Bench::trained();
    let before = bench.contents();
    let ran = bench.grulet(&["train", "config.toml", "--dry-run", "--set", "name=new"]).ok();
    for part in [
        "Total params: 94 (376 B)",
        "0 (GRU, reset before)",
        "16 examples to train on, 4 for validation, 6 for the test\n",
        "Epochs: 3 of 2 steps; nothing is trained or written\n",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    // Whether there is a run or not.
    let json = bench.grulet(&["train", "config.toml", "--dry-run", "--json"]).ok().json();
    let expected = serde_json::json!({
        "name": "config", "parameters": 94, "training": 16, "validation": 4, "test": 6, "epochs": 3, "steps_per_epoch": 2
    });
    assert_eq!(json, expected);
    assert!(before == bench.contents(), "a dry run has written something");

    bench.refuses(&["train", "config.toml", "--dry-run", "--set", "model.layers.1.units=3"], &["there are 2 classes"]);
    bench.refuses(&["train", "config.toml", "--dry-run", "--set", "data.test=none.csv"], &["none.csv"]);
    let warm = ["train.schedule=cosine", "train.warmup_steps=6"];
    let args = ["train", "config.toml", "--dry-run", "--set", warm[0], "--set", warm[1]];
    let ran = bench.grulet(&args);
    ran.failed(&["`train.warmup_steps` is 6, but the run has only 6 steps"]);
}

#[test]
fn an_overfit_check_learns_a_few_examples_by_heart() {
    let bench = Bench::trained();
    let before = bench.read("runs/config/model.gru");
    // All of these would keep it from that.
    let sets = [
        "train.epochs=200",
        "train.dropout=0.5",
        "train.recurrent_dropout=0.5",
        "train.input_noise=2.0",
        "train.l2=0.1",
        "train.label_smoothing=0.3",
        "train.class_weights=[0.0, 1.0]",
        "train.patience=2",
        "train.optimizer=adamw",
        "train.weight_decay=5.0",
    ];
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "config.toml", "--overfit", "4"].into_iter().chain(sets).collect();
    let ran = bench.grulet(&args).ok();
    for part in
        ["\n4 examples to train on\n", "Overfit check: on these examples", "\noverfit check: loss ", " on 4 examples"]
    {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    assert_eq!(bench.read("runs/config/model.gru"), before, "the real run stays");
    let report = bench.json("runs/config-overfit/report.json");
    assert_eq!((&report["overfit"], &report["name"]), (&4.into(), &"config-overfit".into()));
    assert!(report["validation"].is_null() && report["test"].is_null(), "{report}");
    assert!(report["training"]["loss"].as_f64().unwrap() < 0.01 && report["training"]["accuracy"] == 1.0, "{report}");
    assert!(bench.json("runs/config/report.json")["overfit"].is_null());

    // Not a bit of what would keep it from that is left.
    let plain = ["--overfit", "4", "--set", "train.epochs=200", "--set", "train.run_dir=plain", "--json"];
    let plain = bench.grulet(&[&["train", "config.toml"], &plain[..]].concat()).ok().json();
    assert_eq!(plain["weights_hash"], report["weights_hash"]);

    // The folder's own configuration is the same check, and a run like any.
    let again = ["train", "runs/config-overfit/config.toml", "--json", "--set", "train.run_dir=again"];
    assert_eq!(bench.grulet(&again).ok().json()["weights_hash"], report["weights_hash"]);
    bench.refuses(&args, &["runs/config-overfit: holds an earlier run", "--overwrite"]);
    bench.grulet(&[&args[..], &["--set", "train.run_dir=runs/slash/"]].concat()).ok();
    assert!(bench.path("runs/slash-overfit/model.gru").exists());
    bench.grulet(&["train", "--resume", "runs/config-overfit", "--set", "train.epochs=201"]).ok();
    assert_eq!(bench.json("runs/config-overfit/report.json")["overfit"], 4);

    bench.refuses(&["train", "config.toml", "--set", "train.overfit=4"], &["`train.overfit`", "--overfit N"]);
    bench.grulet(&["train", "config.toml", "--overfit", "0"]).wrong_usage("--overfit <N>");
}
