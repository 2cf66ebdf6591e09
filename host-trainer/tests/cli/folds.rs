//! Cross-validation.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::npz::{Array, npz};
#[cfg(unix)]
use crate::resume::{after, signal};
#[cfg(unix)]
use crate::support::Ran;
use crate::support::{Bench, CONFIG, table};

/// Without a validation part, and with a column `person` of ten groups of two series.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("config.toml", CONFIG.replace("[data.validation]\nfraction = 0.2\n", ""));
    let grouped = |text: String| -> String {
        let person = |line: &str| match line.split(',').next().unwrap().parse::<usize>() {
            Ok(series) => format!("{line},p{}\n", series / 2 % 10),
            Err(_) => format!("{line},person\n"),
        };
        text.lines().map(person).collect()
    };
    bench.put("train.csv", grouped(table(0, 20)));
    // Not a table at all: whoever reads the test part fails.
    bench.put("test.csv", "nothing");
    bench
}

const FEATURES: [&str; 2] = ["--set", "data.csv.features=[\"a\",\"b\"]"];

fn train(args: &[&str]) -> Vec<String> {
    ["train", "config.toml"].iter().chain(&FEATURES).chain(args).map(ToString::to_string).collect()
}

fn args(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn folds_are_runs_and_the_table_is_of_their_logs() {
    let bench = bench();
    // So large a step that the last epoch is not the best.
    let rate = ["--set", "train.learning_rate=0.5", "--set", "train.epochs=9"];
    let ran = bench.grulet(&args(&train(&[&rate[..], &["--folds", "3", "--json"]].concat()))).ok();
    let all = ran.json();
    assert_eq!(all, bench.json("runs/config/folds.json"));
    assert!(ran.stderr.contains("Fold 3/3\n"), "{}", ran.stderr);
    let folds = all["folds"].as_array().unwrap();
    assert_eq!((folds.len(), &all["seed"]), (3, &1.into()));

    // JSON is read to within a unit in the last place.
    let close = |value: &Value, to: f64| (value.as_f64().unwrap() - to).abs() < 1e-12;
    // Each fold is the run that its own configuration gives again.
    let mut best = Vec::new();
    for (number, fold) in (1..).zip(folds) {
        let folder = format!("runs/config/fold_{number}");
        assert!(fold["folder"].as_str().unwrap().ends_with(&folder) && fold["groups"].is_null(), "{fold}");
        assert!(bench.text(&format!("{folder}/config.toml")).contains(&format!("fold = [{number}, 3]")));
        let report = bench.json(&format!("{folder}/report.json"));
        assert!(report["test"].is_null() && report["seed"] == 1, "{report}");
        assert_eq!((&fold["epochs"], &fold["best_epoch"]), (&report["epochs"], &report["best_epoch"]));
        assert_eq!(fold["best"], report["validation"]);
        let log = bench.text(&format!("{folder}/log.csv"));
        let row = |epoch: &str| log.lines().nth(fold[epoch].as_u64().unwrap() as usize).unwrap().split(',');
        let loss = |epoch: &str| -> f64 { row(epoch).nth(3).unwrap().parse().unwrap() };
        assert!(close(&fold["last"]["loss"], loss("epochs")), "{fold}");
        assert!(close(&report["training"]["loss"], row("best_epoch").nth(1).unwrap().parse().unwrap()), "{report}");
        let loss = loss("best_epoch");
        assert!(close(&fold["best"]["loss"], loss), "{fold}");
        best.push(loss);
    }
    assert!(folds.iter().any(|fold| fold["best"]["loss"] != fold["last"]["loss"]), "{all}");
    let hash = |report: &str| bench.json(report)["weights_hash"].clone();
    bench.grulet(&["train", "runs/config/fold_2/config.toml", "--set", "train.run_dir=again"]).ok();
    let second = hash("runs/config/fold_2/report.json");
    assert_eq!(hash("runs/config/fold_2/again/report.json"), second);
    assert_ne!(hash("runs/config/fold_1/report.json"), second);

    let mean = best.iter().sum::<f64>() / 3.0;
    let variance = best.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 2.0;
    assert!(close(&all["best"]["mean"]["loss"], mean), "{all}");
    assert!(close(&all["best"]["std"]["loss"], variance.sqrt()), "{all}");
    let last: f64 = folds.iter().map(|fold| fold["last"]["accuracy"].as_f64().unwrap()).sum();
    assert!(close(&all["last"]["mean"]["accuracy"], last / 3.0), "{all}");

    bench.refuses(&args(&train(&["--folds", "2"])), &["fold 1", "holds an earlier run", "--overwrite"]);
    // Before any other fold is trained.
    std::fs::remove_dir_all(bench.path("runs/config/fold_1")).unwrap();
    bench.refuses(&args(&train(&["--folds", "2"])), &["fold 2", "holds an earlier run", "--overwrite"]);
    let again = train(&[&rate[..], &["--folds", "3", "--overwrite"]].concat());
    let text = bench.grulet(&args(&again)).ok().stdout;
    let line = text.lines().find(|line| line.starts_with("mean")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(&format!(" {mean:.4}")), "{text}");
}

#[test]
fn whole_groups_are_held_out() {
    let bench = bench();
    let set = ["--set", "train.epochs=1"];
    let held_out = |all: &Value| -> Vec<Vec<String>> {
        let groups = |fold: &Value| serde_json::from_value(fold["groups"].clone()).unwrap();
        all["folds"].as_array().unwrap().iter().map(groups).collect()
    };
    let run = |more: &[&str]| bench.grulet(&args(&train(&[&set, more].concat()))).ok().json();
    let all = held_out(&run(&["--folds", "4", "--group", "person", "--json"]));
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 2, 2]);
    let different: BTreeSet<&String> = all.iter().flatten().collect();
    assert_eq!(different.len(), 10, "{all:?}");
    let kept = bench.text("runs/config/fold_1/config.toml");
    assert!(kept.contains("group = \"person\"") && kept.contains("groups = [\"p0\", \"p4\", \"p8\"]"), "{kept}");

    // As many folds as groups leave one out; the configuration's own column serves as well.
    let one = run(&["--folds", "10", "--set", "data.csv.group=person", "--overwrite", "--json"]);
    assert_eq!(held_out(&one), (0..10).map(|group| vec![format!("p{group}")]).collect::<Vec<_>>());

    let text =
        bench.grulet(&args(&train(&[&set[..], &["--folds", "10", "--group", "person", "--overwrite"]].concat())));
    assert!(text.ok().stdout.lines().any(|line| line.starts_with("10 ") && line.ends_with("  p9")));
}

#[test]
fn groups_of_an_archive_are_an_array() {
    let bench = bench();
    let x = (0..12 * 4 * 2).map(|i| (i * i % 17) as f32);
    let arrays = [
        Array::f32("x", &[12, 4, 2], x),
        Array::i32("y", &[0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]),
        Array::i32("who", &[7, 7, 7, 7, 10, 10, 10, 10, 9, 9, 9, 9]),
    ];
    bench.put("train.npz", npz(&arrays));
    let sets = ["--set", "data.train=train.npz", "--set", "train.epochs=1", "--set", "data.test=test.csv"];
    let folds = ["--folds", "3", "--group", "who", "--json"];
    let all = bench.grulet(&args(&train(&[&sets[..], &folds].concat()))).ok().json();
    let groups: Vec<&Value> = all["folds"].as_array().unwrap().iter().map(|fold| &fold["groups"]).collect();
    assert_eq!(groups, [&serde_json::json!([7]), &serde_json::json!([9]), &serde_json::json!([10])]);
}

/// A row of a table of texts is a series.
#[test]
fn groups_of_texts_are_a_column() {
    let bench = crate::sequence::bench();
    let rows = bench.text("train.csv");
    let people = |name: fn(usize) -> String| -> String {
        let row =
            |(index, row): (usize, &str)| format!("{row},{}\n", if index == 0 { "who".into() } else { name(index) });
        rows.lines().enumerate().map(row).collect()
    };
    bench.put("train.csv", people(|index| format!("p{}", index % 3)));
    let train = ["train", "config.toml", "--set", "train.epochs=1", "--overwrite"];
    let all = bench.grulet(&[&train[..], &["--folds", "3", "--group", "who", "--json"]].concat()).ok().json();
    let groups: Vec<&Value> = all["folds"].as_array().unwrap().iter().map(|fold| &fold["groups"]).collect();
    assert_eq!(groups, [&serde_json::json!(["p0"]), &serde_json::json!(["p1"]), &serde_json::json!(["p2"])]);

    let groups = ["--set", "data.csv.group=who", "--set", "data.validation.groups=[\"p2\"]"];
    bench.grulet(&[&train[..], &groups].concat()).ok();
    let log = bench.text("runs/config/log.csv");
    assert!(log.starts_with("epoch,") && log.contains("val_loss"), "{log}");
    let none = [&train[..], &groups[..2], &["--set", "data.validation.groups=[\"p3\"]"]].concat();
    bench.grulet(&none).failed(&["train.csv", "no series is of group \"p3\"", "`data.validation.groups`"]);
    let none = [&train[..], &["--folds", "3", "--group", "whom"]].concat();
    bench.grulet(&none).failed(&["train.csv", "no column \"whom\"", "did you mean \"who\"?", "`data.csv.group`"]);
    bench.put("train.csv", people(|index| if index == 4 { String::new() } else { "p".into() }));
    let none = [&train[..], &["--folds", "2", "--group", "who"]].concat();
    bench.grulet(&none).failed(&["train.csv: line 5, column \"who\"", "the group is missing"]);
}

/// `train.patience` needs a validation part, which the folds are.
#[test]
fn settings_that_need_a_validation_part_have_one() {
    let bench = bench();
    let sets = ["--folds", "2", "--set", "train.patience=1", "--set", "train.min_delta=9", "--json"];
    let all = bench.grulet(&args(&train(&sets))).ok().json();
    assert_eq!(all["folds"][1]["epochs"], 2, "{all}");
}

#[test]
fn folds_that_cannot_be_had() {
    let bench = bench();
    for (more, phrases) in [
        (&["--folds", "0"][..], &["--folds 0", "at least 2"][..]),
        (&["--folds", "1"], &["--folds 1", "at least 2"]),
        (&["--folds", "21"], &["train.csv", "21 folds", "only 20 series"]),
        (&["--folds", "11", "--group", "person"], &["train.csv", "11 folds", "only 10 groups"]),
        (
            &["--folds", "2", "--group", "persons"],
            &["no column \"persons\"", "did you mean \"person\"", "data.csv.group"],
        ),
        (&["--folds", "2", "--set", "data.validation.fraction=0.2"], &["config.toml", "[data.validation]", "--folds"]),
        (&["--folds", "2", "--set", "data.validation.fold=[1, 3]"], &["config.toml", "[data.validation]", "--folds"]),
        (&["--folds", "2", "--set", "train.epoch=3"], &["did you mean `train.epochs`?"]),
        (&["--folds", "2", "--set", "data.classes=[\"up\"]"], &["fold 1: ", "none of the classes"]),
        (&["--set", "data.validation.fold=[3, 2]"], &["`data.validation.fold`", "is [3, 2]", "such as [1, 5]"]),
        (&["--set", "data.validation.fold=[0, 2]"], &["`data.validation.fold`", "is [0, 2]"]),
        (&["--set", "data.validation.fold=[1, 1]"], &["`data.validation.fold`", "is [1, 1]"]),
        (&["--set", "data.validation.fold=[1]"], &["`data.validation.fold`"]),
    ] {
        bench.refuses(&args(&train(more)), phrases);
    }
    bench.grulet(&["train", "config.toml", "--group", "person"]).wrong_usage("--folds");
}

#[cfg(unix)]
#[test]
fn the_same_command_goes_on_after_an_interruption() {
    let bench = bench();
    let long = ["--set", "train.epochs=400", "--folds", "3"];
    let end = |stdout: &str| stdout.split_once("validation parts").unwrap().1.to_owned();
    let whole = train(&[&long[..], &["--set", "train.run_dir=runs/whole"]].concat());
    let whole = end(&bench.grulet(&args(&whole)).ok().stdout);
    let interrupt = |args: &[&str], epochs: usize| {
        let (child, reached) = after(&bench, args, "Epoch", epochs);
        signal(&child, "-INT");
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert!(reached && ran.code == 130, "exit code {}\n{}", ran.code, ran.stderr);
        ran.stderr
    };

    let long = train(&long);
    let long = args(&long);
    let told = interrupt(&long, 420);
    // The second, unless the signal comes late.
    let fold: usize =
        told.strip_prefix("fold ").unwrap().split_once(": interrupted in epoch ").unwrap().0.parse().unwrap();
    assert!(fold > 1 && told.lines().count() == 1, "{told}");
    assert!(told.contains("the same command goes on") && !told.contains("--resume"), "{told}");
    bench.refuses(&[&long[..], &["--set", "train.epochs=399"]].concat(), &["fold 1", "holds an earlier run"]);
    let written =
        |name: &str| std::fs::metadata(bench.path(&format!("runs/config/{name}"))).unwrap().modified().unwrap();
    let first = written("fold_1/report.json");
    let ran = bench.grulet(&long).ok();
    assert_eq!(ran.stdout.matches("(finished earlier)").count(), fold - 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("Fold 1/3 (finished earlier)\n") && ran.stdout.contains("Going on after epoch "));
    assert_eq!((end(&ran.stdout), written("fold_1/report.json")), (whole.clone(), first));
    let hash =
        |run: &str, fold: usize| bench.json(&format!("runs/{run}/fold_{fold}/report.json"))["weights_hash"].clone();
    for fold in 1..=3 {
        assert_eq!(hash("config", fold), hash("whole", fold));
    }
    let ran = bench.grulet(&long).ok();
    assert_eq!((ran.stdout.matches("(finished earlier)").count(), end(&ran.stdout)), (3, whole.clone()));

    // Nothing of before may pass for finished afterwards.
    interrupt(&[&long[..], &["--overwrite"]].concat(), 20);
    assert!(!bench.path("runs/config/fold_3/report.json").exists());
    let ran = bench.grulet(&[&long[..], &["--overwrite"]].concat()).ok();
    assert!(!ran.stdout.contains("finished earlier") && !ran.stdout.contains("Going on"), "{}", ran.stdout);
    assert_eq!(end(&ran.stdout), whole);
}

#[test]
fn all_folds_are_checked_before_the_first_is_trained() {
    let bench = bench();
    let rare = bench.text("train.csv").replace("\n3,down,", "\n3,rare,");
    bench.put("train.csv", rare);
    let sets = ["--set", "model.layers.1.units=3", "--folds", "4"];
    let phrases = ["fold 2: ", "train.csv", "class \"rare\"", "add examples", "--folds", "--group", "--set seed="];
    bench.refuses(&args(&train(&sets)), &phrases);
    let vary = ["sweep", "config.toml", "--vary", "train.learning_rate=[0.01,0.02]"];
    bench.refuses(&[&vary[..], &FEATURES, &sets].concat(), &phrases);
}
