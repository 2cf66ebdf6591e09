//! Sweeps.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::Value;

#[cfg(unix)]
use crate::resume::{after, signal};
#[cfg(unix)]
use crate::support::Ran;
use crate::support::{Bench, CONFIG, GRULET, table};

const GRID: [&str; 4] = ["--vary", "train.learning_rate=[0.002, 2e-2]", "--vary", "model.layers.0.units=[3,4]"];

fn bench() -> Bench {
    let bench = Bench::new();
    // Not a table at all: whoever reads the test part fails.
    bench.put("test.csv", "nothing");
    bench
}

fn sweep<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    [&["sweep", "config.toml"][..], &parts.concat()].concat()
}

fn combinations(all: &Value) -> &Vec<Value> {
    all["combinations"].as_array().unwrap()
}

fn loss(combination: &Value) -> f64 {
    combination["mean"]["loss"].as_f64().unwrap_or_else(|| panic!("{combination}"))
}

/// When each of the runs below `runs/config` was finished.
fn finished(bench: &Bench) -> BTreeMap<String, SystemTime> {
    let run = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let time = std::fs::metadata(path.join("report.json")).ok()?.modified().unwrap();
        Some((path.file_name().unwrap().to_str().unwrap().to_owned(), time))
    };
    std::fs::read_dir(bench.path("runs/config")).unwrap().filter_map(run).collect()
}

#[test]
fn the_table_says_what_repeats_a_run_and_where_losses_are_over_other_steps() {
    let bench = bench();
    let ran = bench.grulet(&sweep(&[&["--vary", "data.window=[3,4]", "--set", "train.epochs=1"]])).ok();
    assert!(ran.stdout.contains("note: other values of `data.window` score other steps"), "{}", ran.stdout);
    // Beside JSON too, which it is no part of.
    let again = bench.grulet(&sweep(&[&["--vary", "data.window=[3,4]", "--set", "train.epochs=1", "--json"]])).ok();
    assert!(
        again.stderr.contains("note: other values of `data.window`") && again.json().is_object(),
        "{}",
        again.stderr
    );
    let ran = bench.grulet(&sweep(&[&["--vary", "train.epochs=[1,2]", "--set", "train.run_dir=here"]])).ok();
    assert!(!ran.stdout.contains("note:"), "{}", ran.stdout);
    // What repeats a run does not do so in the folder of the sweep.
    assert!(bench.path("here/sweep.csv").exists() && !ran.stdout.contains("run_dir"), "{}", ran.stdout);
}

#[test]
fn a_grid_is_ranked_by_the_validation_loss_whatever_the_jobs() {
    let bench = bench();
    let ran = bench.grulet(&sweep(&[&GRID, &["--jobs", "2", "--json"]])).ok();
    let all = ran.json();
    assert_eq!(ran.stderr.lines().filter(|line| line.contains(" - val_loss: ")).count(), 4, "{}", ran.stderr);
    let two = (all.clone(), bench.text("runs/config/sweep.csv"));
    let one = bench.grulet(&sweep(&[&GRID, &["--jobs", "1", "--json", "--overwrite"]])).ok().json();
    assert_eq!((one, bench.text("runs/config/sweep.csv")), two);

    let ranked = combinations(&all);
    assert_eq!(ranked.len(), 4);
    assert!(ranked.windows(2).all(|pair| loss(&pair[0]) < loss(&pair[1])), "{all}");
    // Each is the run that its settings give, and has not seen the test part.
    bench.put("test.csv", table(20, 6));
    for combination in ranked {
        let run = &combination["runs"][0];
        let report = bench.json(&format!("{}/report.json", run["folder"].as_str().unwrap()));
        assert!(report["test"].is_null(), "{report}");
        let line = format!("exec \"$0\" train config.toml --overwrite {} --json", combination["set"].as_str().unwrap());
        let output = bench.command("sh", &["-c", &line, GRULET]).output().unwrap();
        let again: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(again["weights_hash"], report["weights_hash"], "{combination}");
        assert_eq!((&combination["mean"], &combination["failed"]), (&run["best"], &Value::Null));
    }
    let best = &ranked[0];
    let csv = &two.1;
    let rows: Vec<&str> = csv.lines().collect();
    let head = "rank,train.learning_rate,model.layers.0.units,val_loss,val_loss_std,val_accuracy,val_accuracy_std,runs,failed,set";
    assert_eq!((rows[0], rows.len()), (head, 5));
    let cells: Vec<&str> = rows[1].split(',').collect();
    assert_eq!(cells[0], "1");
    assert_eq!(best["settings"][0], format!("train.learning_rate={}", cells[1]));
    assert!((cells[3].parse::<f64>().unwrap() - loss(best)).abs() < 1e-12, "{csv}");

    let text = bench.grulet(&sweep(&[&GRID])).ok().stdout;
    let first = text.lines().find(|line| line.starts_with("   1  ")).unwrap_or_else(|| panic!("{text}"));
    assert!(first.ends_with(best["set"].as_str().unwrap()), "{first}");
}

#[test]
fn what_is_finished_is_not_run_again() {
    let bench = bench();
    let args = sweep(&[&GRID]);
    let stdout = bench.grulet(&args).ok().stdout;
    assert!(!stdout.contains("finished earlier"), "{stdout}");
    let before = finished(&bench);
    assert_eq!(before.len(), 4);
    let again = bench.grulet(&args).ok().stdout;
    assert_eq!(again.matches("(finished earlier)").count(), 4, "{again}");
    assert_eq!(finished(&bench), before);
    let table = |text: &str| text.split_once("rank").unwrap().1.to_owned();
    assert_eq!(table(&again), table(&stdout));

    // An interrupted one is, and one of other settings, and a new one.
    let interrupted = "model.layers.0.units=3,train.learning_rate=2e-2,seed=1";
    std::fs::remove_file(bench.path(&format!("runs/config/{interrupted}/report.json"))).unwrap();
    bench.grulet(&args).ok();
    let changed = |after: &BTreeMap<String, SystemTime>, before: &BTreeMap<String, SystemTime>| -> Vec<String> {
        after.iter().filter(|(name, time)| before.get(*name) != Some(time)).map(|(name, _)| name.clone()).collect()
    };
    let after = finished(&bench);
    assert_eq!(changed(&after, &before), [interrupted]);
    let more = ["--vary", "model.layers.0.units=[3,5]", "--vary", "train.learning_rate=[2e-2]"];
    bench.grulet(&sweep(&[&more])).ok();
    let last = finished(&bench);
    assert_eq!(changed(&last, &after), ["model.layers.0.units=5,train.learning_rate=2e-2,seed=1"]);
    bench.grulet(&sweep(&[&GRID, &["--set", "train.batch_size=4"]])).ok();
    assert_eq!(changed(&finished(&bench), &last).len(), 4);
    // Nor are results mixed with those of an earlier configuration.
    let log = bench.text("runs/config/model.layers.0.units=3,train.learning_rate=2e-2,seed=1/config.toml");
    assert!(log.contains("batch_size = 4\n"), "{log}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_sweep_and_the_same_command_goes_on() {
    let bench = bench();
    let long = ["--set", "train.epochs=300", "--jobs", "1"];
    let args = sweep(&[&GRID, &long]);
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let (child, reached) = after(&bench, &args, if code == 130 { "1/4" } else { "2/4" }, 1);
        signal(&child, name);
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert!(reached && ran.code == code, "{name}: exit code {}\n{}", ran.code, ran.stderr);
        assert!(ran.stderr.starts_with("interrupted: ") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("of 4 runs are finished and kept; the same command goes on"), "{}", ran.stderr);
        assert!(!bench.path("runs/config/sweep.csv").exists());
    }
    let stdout = bench.grulet(&args).ok().stdout;
    let kept = stdout.matches("(finished earlier)").count();
    assert!((2..4).contains(&kept) && stdout.contains("\n   4  "), "{stdout}");

    // Nothing of before may pass for finished afterwards.
    let (child, reached) = after(&bench, &[&args[..], &["--overwrite"]].concat(), "1/4", 1);
    signal(&child, "-INT");
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert!(reached && ran.code == 130 && finished(&bench).len() < 3, "exit code {}\n{}", ran.code, ran.stderr);
}

#[test]
fn seeds_and_folds_are_runs_of_one_combination() {
    let bench = bench();
    bench.put("config.toml", CONFIG.replace("[data.validation]\nfraction = 0.2\n", ""));
    let vary = ["--vary", "train.learning_rate=[0.002,0.02]", "--set", "train.epochs=1"];
    let all = bench.grulet(&sweep(&[&vary, &["--seeds", "5,4", "--folds", "3", "--json"]])).ok().json();
    assert_eq!(combinations(&all).len(), 2);
    for combination in combinations(&all) {
        let runs = combination["runs"].as_array().unwrap();
        let numbers: Vec<(u64, u64)> =
            runs.iter().map(|run| (run["seed"].as_u64().unwrap(), run["fold"].as_u64().unwrap())).collect();
        assert_eq!(numbers, [(4, 1), (4, 2), (4, 3), (5, 1), (5, 2), (5, 3)]);
        let losses: Vec<f64> = runs.iter().map(|run| run["best"]["loss"].as_f64().unwrap()).collect();
        let mean = losses.iter().sum::<f64>() / 6.0;
        let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 5.0;
        assert!((loss(combination) - mean).abs() < 1e-12, "{combination}");
        assert!((combination["std"]["loss"].as_f64().unwrap() - variance.sqrt()).abs() < 1e-12, "{combination}");
        for run in runs {
            let kept = bench.text(&format!("{}/config.toml", run["folder"].as_str().unwrap()));
            assert!(kept.contains(&format!("seed = {}\n", run["seed"])), "{kept}");
            assert!(kept.contains(&format!("fold = [{}, 3]\n", run["fold"])), "{kept}");
        }
    }
    // The folds of a sweep are those of a training.
    let train = ["train", "config.toml", "--folds", "3", "--set", "train.learning_rate=0.02", "--json"];
    let args = [&train[..], &["--set", "train.epochs=1", "--set", "seed=4"]].concat();
    let folds = bench.grulet(&args).ok().json();
    let combination = combinations(&all).iter().find(|one| one["settings"][0] == "train.learning_rate=0.02").unwrap();
    assert_eq!(combination["runs"][1]["best"], folds["folds"][1]["best"]);
}

#[test]
fn a_combination_that_fails_does_not_stop_the_others() {
    let bench = bench();
    // The first diverges, the second cannot be had, the third is fine.
    let vary = ["--vary", "train.learning_rate=[1e38,-1.0,0.02]", "--jobs", "1"];
    let set = ["--set", "model.layers.0.candidate=relu", "--set", "train.epochs=1", "--set", "train.batch_size=2"];
    let ran = bench.grulet(&sweep(&[&vary, &set, &["--json"]])).ok();
    let all = ran.json();
    let ranked = combinations(&all);
    let rates: Vec<&str> = ranked.iter().map(|one| one["settings"][0].as_str().unwrap()).collect();
    assert_eq!(rates, ["train.learning_rate=0.02", "train.learning_rate=1e38", "train.learning_rate=-1.0"]);
    assert!(ranked[0]["failed"].is_null() && loss(&ranked[0]) > 0.0, "{all}");
    let reason = ranked[1]["failed"].as_str().unwrap();
    assert!(reason.contains("seed 1: epoch 1, batch ") && reason.contains("training diverged"), "{reason}");
    assert!(ranked[2]["failed"].as_str().unwrap().contains("is -1, but must be a number above 0"), "{all}");
    assert!(bench.text("runs/config/sweep.csv").lines().nth(2).unwrap().contains("training diverged"));
    let text = bench.grulet(&sweep(&[&vary, &set])).ok().stdout;
    assert!(
        text.contains("   -  --set model.layers.0.candidate=relu") && text.contains("failed: seed 1: epoch 1"),
        "{text}"
    );

    // Where all fail there is no ranking.
    let args = sweep(&[&["--vary", "train.learning_rate=[1e38,2e38]", "--json"], &set]);
    let ran = bench.grulet(&args);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let last = ran.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: all 2 combinations failed; the first: seed 1: epoch 1"), "{last}");
}

#[test]
fn draws_are_repeated_by_the_seed_and_lie_in_their_ranges() {
    let bench = bench();
    let vary = ["--vary", "train.learning_rate=1e-3..1e-1", "--vary", "model.layers.0.units=2..5"];
    let set = ["--set", "train.epochs=1", "--json", "--random"];
    let draw = |more: &[&str]| {
        let all = bench.grulet(&sweep(&[&vary, &set, more])).ok().json();
        let mut settings: Vec<(String, String)> =
            combinations(&all).iter().map(|one| serde_json::from_value(one["settings"].clone()).unwrap()).collect();
        settings.sort();
        settings
    };
    let first = draw(&["4"]);
    assert_eq!(first.len(), 4);
    for (rate, units) in &first {
        let value = |text: &str| text.split_once('=').unwrap().1.parse::<f64>().unwrap();
        assert!((1e-3..=1e-1).contains(&value(rate)) && (2.0..=5.0).contains(&value(units)), "{first:?}");
    }
    let before = finished(&bench);
    // More draws begin with the same ones, which are finished.
    let more = draw(&["6"]);
    assert!(more.len() == 6 && first.iter().all(|settings| more.contains(settings)), "{more:?}");
    assert!(before.iter().all(|(name, time)| finished(&bench).get(name) == Some(time)));
    assert_ne!(draw(&["4", "--set", "seed=2"]), first);
}

#[test]
fn sweeps_that_cannot_be_had() {
    let bench = bench();
    bench.put("none.toml", CONFIG.replace("[data.validation]\nfraction = 0.2\n", ""));
    let units = ["--vary", "model.layers.0.units=[3,4]"];
    for (more, phrases) in [
        (&["--vary", "train.epochs=3"][..], &["--vary train.epochs=3: ", "neither a list nor a range", "--random"][..]),
        (&["--vary", "train.epoch=[3]"], &["--set train.epoch=3", "did you mean `train.epochs`?"]),
        (&["--vary", "train.epochs=[0]"], &["`train.epochs`", "at least 1"]),
        (&["--vary", "train.epochs=2..3"], &["--vary train.epochs", "--random 20"]),
        (&["--vary", "train.epochs=[2]", "--vary", "train.epochs=[3]"], &["train.epochs", "twice", "one list"]),
        (&["--vary", "seed=[1,2]"], &["--vary seed", "--seeds 1,2,3"]),
        (&["--vary", "train.threads=[1,2]"], &["--vary train.threads", "--jobs"]),
        (&["--vary", "train.loss=[mse,mae]"], &["--vary train.loss", "cannot be compared"]),
        (&["--vary", "data.validation.fraction=[0.1,0.2]"], &["--vary data.validation.fraction", "cannot be compared"]),
        (&["--vary", "train.init=[a.ckpt,b.ckpt]"], &["--vary train.init", "cannot be compared"]),
        (&["--vary", "data.csv.weight=[a,b]"], &["--vary data.csv.weight", "cannot be compared"]),
        (&["--vary", "data.csv.group=[a,b]", "--folds", "2"], &["--vary data.csv.group", "cannot be compared"]),
        (&["--vary", "data.csv.target=[a,b]"], &["--vary data.csv.target", "cannot be compared"]),
        (&["--vary", "train.epochs=[2]", "--set", "train.epochs=3"], &["train.epochs", "given by --set too"]),
        (&["--vary", "data.csv.features=[[a],[b]"], &["the list cannot be read", "words need quotes"]),
        (&[units[0], units[1], "--folds", "2"], &["config.toml", "[data.validation]", "--folds"]),
    ] {
        bench.refuses(&sweep(&[more]), phrases);
    }
    let none = ["sweep", "none.toml", units[0], units[1]];
    bench.refuses(&none, &["none.toml", "`data.validation.fraction = 0.1`", "--folds 5"]);
    bench.refuses(&[&none[..], &["--folds", "21"]].concat(), &["21 folds", "only 20 series"]);
    bench.refuses(&[&none[..], &["--folds", "1"]].concat(), &["--folds 1", "at least 2"]);
    bench.refuses(&["sweep", "nothing.toml", units[0], units[1]], &["nothing.toml", "check the path"]);
    bench.grulet(&["sweep", "config.toml"]).wrong_usage("--vary");
    bench.grulet(&sweep(&[&units, &["--jobs", "0"]])).wrong_usage("--jobs");
    bench.grulet(&sweep(&[&units, &["--seeds", "1,x"]])).wrong_usage("--seeds");
}
