//! Runs that are cut off go on to the same bits.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bench, GRULET, Ran, table};

/// A run in which everything has a memory or is drawn anew: schedule, patience, optimiser, noise, masks, order, integers.
const SETS: [&str; 12] = [
    "train.schedule=plateau",
    "train.schedule_patience=2",
    "train.patience=9",
    "train.min_delta=0.01",
    "train.optimizer=adamw",
    "train.ema_momentum=0.9",
    "train.dropout=0.2",
    "train.recurrent_dropout=0.1",
    "train.input_noise=0.1",
    "train.oversample=true",
    "train.qat_epochs=2",
    "train.threads=1",
];

/// `grulet train config.toml` with [`SETS`] and more.
fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let sets = SETS.iter().chain(more).flat_map(|set| ["--set", set]);
    ["train", "config.toml"].into_iter().chain(sets).collect()
}

const RESUME: [&str; 3] = ["train", "--resume", "runs/config"];

/// A bench whose classes are not equally many.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("train.csv", table(0, 21));
    bench
}

/// All files of a run's folder, without the times that epochs took.
fn outcome(bench: &Bench, run: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(bench.path(run)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("{run}/{name}");
        let contents = match name.as_str() {
            "log.csv" => {
                bench.text(&path).lines().map(|row| row.rsplit_once(',').unwrap().0.to_owned() + "\n").collect()
            }
            "report.json" => {
                let mut report = bench.json(&path);
                report["seconds"] = 0.into();
                report["model"]["path"] = "".into();
                report.to_string()
            }
            "config.toml" => bench
                .text(&path)
                .lines()
                .filter(|line| !line.starts_with("run_dir") && !line.starts_with("threads"))
                .collect(),
            _ => {
                files.push((name, bench.read(&path)));
                continue;
            }
        };
        files.push((name, contents.into_bytes()));
    }
    files.sort();
    files
}

#[track_caller]
fn same(bench: &Bench, whole: &[(String, Vec<u8>)], run: &str, what: &str) {
    let found = outcome(bench, run);
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(whole), "{what}");
    for ((name, found), (_, expected)) in found.iter().zip(whole) {
        let text = if name.contains(".c") { String::from_utf8_lossy(found) } else { "".into() };
        assert!(found == expected, "{what}: {name} is another\n{text}");
    }
}

/// A process of `grulet` that has just printed its `lines`th line that begins with `start`; false if it ended before.
pub fn after(bench: &Bench, args: &[&str], start: &str, lines: usize) -> (Child, bool) {
    let mut child = bench.command(GRULET, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let reached = printed.by_ref().filter(|line| line.starts_with(start)).take(lines).count() == lines;
    // Someone must go on reading.
    std::thread::spawn(move || printed.count());
    (child, reached)
}

#[cfg(unix)]
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Killed again and again, in epochs, between files and among the integers.
#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bits() {
    let bench = bench();
    let begin = Instant::now();
    bench.grulet(&train(&["train.epochs=60", "train.patience=59", "train.run_dir=runs/whole"])).ok();
    let epoch = begin.elapsed() / 62;
    let whole = outcome(&bench, "runs/whole");

    let first = train(&["train.epochs=60", "train.patience=59"]);
    let (mut args, mut kills): (&[&str], usize) = (&first, 0);
    let mut kill = |args: &[&str], start: &str, lines: usize, pause: Duration| {
        let (mut child, reached) = after(&bench, args, start, lines);
        std::thread::sleep(pause);
        child.kill().unwrap();
        child.wait().unwrap();
        kills += usize::from(reached);
    };
    for eighth in 0..8 {
        kill(args, "Epoch", 1 + eighth as usize % 3, epoch * eighth / 8);
        args = &RESUME;
    }
    for eighth in [0, 4, 8] {
        kill(args, "Int8", 1 + eighth as usize / 4, epoch * eighth / 8);
    }
    assert!(kills >= 6, "the run came to its end too early: {kills}");
    bench.grulet(&[&RESUME[..], &["--set", "train.threads=2"]].concat()).ok();
    same(&bench, &whole, "runs/config", "killed");
}

/// Every state that a kill between two files can leave, put together from a run of 4 epochs and one of 5.
#[test]
fn a_run_goes_on_from_between_any_two_files() {
    let bench = bench();
    for (epochs, run) in [("4", "four"), ("5", "five"), ("7", "whole")] {
        let sets = [format!("train.epochs={epochs}"), format!("train.run_dir=runs/{run}")];
        bench.grulet(&train(&[&sets[0], &sets[1]])).ok();
    }
    assert_eq!(bench.json("runs/five/report.json")["best_epoch"], 5, "else the states do not differ");
    let whole = outcome(&bench, "runs/whole");
    let log = bench.text("runs/five/log.csv");
    let file = |run: &str, name: &str| bench.read(&format!("runs/{run}/{name}"));
    // What there is of log.csv, whose are best.ckpt and last.ckpt, and what of the results is there.
    let results = ["model.gru", "best_int8.ckpt", "model_int8.gru", "report.json"];
    let states = [
        (log.len() - 20, "four", "four", 0),
        (log.len(), "four", "four", 0),
        (log.len(), "five", "four", 0),
        (log.len(), "five", "five", 0),
    ];
    let finished = (1..=4).map(|count| (log.len(), "five", "five", count));
    for state in states.into_iter().chain(finished) {
        let (length, best, last, count) = state;
        let _ = std::fs::remove_dir_all(bench.path("runs/config"));
        std::fs::create_dir(bench.path("runs/config")).unwrap();
        bench.put("runs/config/config.toml", bench.text("runs/five/config.toml"));
        bench.put("runs/config/log.csv", &log[..length]);
        bench.put("runs/config/best.ckpt", file(best, "best.ckpt"));
        bench.put("runs/config/last.ckpt", file(last, "last.ckpt"));
        // The next file was being written.
        bench.put("runs/config/.grulet-x7Zq", &file("five", "last.ckpt")[..100]);
        results[..count].iter().for_each(|name| bench.put(&format!("runs/config/{name}"), file("five", name)));
        bench.grulet(&[&RESUME[..], &["--set", "train.epochs=7"]].concat()).ok();
        same(&bench, &whole, "runs/config", &format!("{state:?}"));
    }
}

/// Patience has ended the training, but what follows is not there yet.
#[test]
fn a_run_that_was_stopped_stays_so() {
    let bench = bench();
    let stopped = ["train.epochs=40", "train.patience=3", "train.min_delta=0.1"];
    let stdout = bench.grulet(&train(&stopped)).ok().stdout;
    let line = stdout.lines().find(|line| line.starts_with("Stopped after epoch")).unwrap();
    let whole = outcome(&bench, "runs/config");
    for name in ["report.json", "model_int8.gru", "model.gru"] {
        std::fs::remove_file(bench.path(&format!("runs/config/{name}"))).unwrap();
    }
    let resumed = bench.grulet(&RESUME).ok().stdout;
    assert!(resumed.contains(line) && !resumed.lines().any(|line| line.starts_with("Epoch")), "{resumed}");
    same(&bench, &whole, "runs/config", "stopped");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_between_epochs_and_says_how_to_go_on() {
    let bench = bench();
    bench.grulet(&train(&["train.epochs=300", "train.patience=299", "train.run_dir=runs/whole"])).ok();
    let args = train(&["train.epochs=300", "train.patience=299"]);
    for (name, code, args) in [("-INT", 130, &args[..]), ("-TERM", 143, &RESUME)] {
        let (child, reached) = after(&bench, args, "Epoch", 3);
        signal(&child, name);
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert!(reached && ran.code == code, "{name}: exit code {}\n{}", ran.code, ran.stderr);
        assert!(ran.stderr.starts_with("interrupted in ") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("go on with `grulet train --resume runs/config`"), "{}", ran.stderr);
        let files = bench.contents();
        assert!(!files.iter().any(|(path, _)| path.to_string_lossy().contains(".grulet-")), "a file is half written");
    }
    bench.grulet(&RESUME).ok();
    same(&bench, &outcome(&bench, "runs/whole"), "runs/config", "interrupted");
}

#[cfg(unix)]
#[test]
fn a_signal_in_quantisation_aware_training_leaves_the_training_before_it() {
    let bench = bench();
    let whole = train(&["train.qat_epochs=200", "train.run_dir=runs/whole"]);
    bench.grulet(&whole).ok();
    let (child, reached) = after(&bench, &train(&["train.qat_epochs=200"]), "Int8, ", 2);
    signal(&child, "-INT");
    let ran = Ran::of(child.wait_with_output().unwrap());
    let expected =
        "interrupted in what comes after the last epoch: all before it is kept; go on with `grulet train --resume ";
    assert!(reached && ran.code == 130 && ran.stderr.starts_with(expected), "exit code {}\n{}", ran.code, ran.stderr);
    bench.grulet(&RESUME).ok();
    same(&bench, &outcome(&bench, "runs/whole"), "runs/config", "interrupted");
}

#[cfg(unix)]
#[test]
fn a_signal_in_the_first_epoch_leaves_nothing() {
    let bench = Bench::new();
    bench.put("train.csv", table(0, 400));
    let before = bench.contents();
    let args = ["train", "config.toml", "--set", "model.layers.0.units=256", "--set", "train.batch_size=1"];
    let (child, _) = after(&bench, &args, "320 examples to train on", 1);
    signal(&child, "-INT");
    let begin = Instant::now();
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!((ran.code, ran.stderr.as_str()), (130, "interrupted in epoch 1: nothing is left of the run\n"));
    assert!(before == bench.contents());
}

#[test]
fn a_finished_run_has_nothing_to_do_or_trains_longer() {
    let bench = bench();
    bench.grulet(&train(&["train.epochs=3"])).ok();
    let before = bench.contents();
    let ran = bench.grulet(&RESUME).ok();
    assert!(ran.stdout.contains("nothing to do") && ran.stderr.is_empty(), "{}", ran.stdout);
    let ran = bench.grulet(&[&RESUME[..], &["--json"]].concat()).ok();
    assert_eq!(ran.json(), bench.json("runs/config/report.json"));
    assert!(before == bench.contents());
    let report = bench.read("runs/config/report.json");
    bench.put("runs/config/report.json", &report[..report.len() / 2]);
    bench.grulet(&[&RESUME[..], &["--json"]].concat()).failed(&["report.json", "damaged"]);
    bench.put("runs/config/report.json", &report);

    bench.grulet(&train(&["train.epochs=6", "train.run_dir=runs/whole"])).ok();
    let longer = [&RESUME[..], &["--set", "train.epochs=6"]].concat();
    let (mut child, reached) = after(&bench, &longer, "Going on after epoch 3", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    // Else the run would pass for finished as soon as its last epoch is trained.
    for name in ["report.json", "model.gru", "model_int8.gru", "best_int8.ckpt"] {
        assert!(reached && !bench.path(&format!("runs/config/{name}")).exists(), "{name} is of the shorter run");
    }
    let ran = bench.grulet(&RESUME).ok();
    assert!(ran.stdout.contains("Going on after epoch ") && ran.stdout.contains("\nEpoch 6/6 - "), "{}", ran.stdout);
    same(&bench, &outcome(&bench, "runs/whole"), "runs/config", "longer");

    let shorter = [&RESUME[..], &["--set", "train.epochs=4"]].concat();
    bench.refuses(&shorter, &["`train.epochs` is 4, but 6 are trained", "give as many or more"]);
    bench
        .refuses(&[&RESUME[..], &["--set", "seed=3"]].concat(), &["--set seed", "only train.epochs and train.threads"]);
}

#[test]
fn a_cosine_cannot_become_longer() {
    let bench = Bench::new();
    bench.grulet(&["train", "config.toml", "--set", "train.schedule=cosine"]).ok();
    let longer = [&RESUME[..], &["--set", "train.epochs=6"]].concat();
    bench.refuses(&longer, &["last.ckpt: the run cannot go on", "a cosine schedule makes `train.epochs` one"]);
}

#[test]
fn a_folder_that_has_been_moved_goes_on() {
    let bench = bench();
    bench.grulet(&train(&["train.epochs=5"])).ok();
    let whole = outcome(&bench, "runs/config");
    bench.grulet(&train(&["train.epochs=2", "train.run_dir=a"])).ok();
    std::fs::rename(bench.path("a"), bench.path("b")).unwrap();
    bench.grulet(&["train", "--resume", "b", "--set", "train.epochs=5"]).ok();
    same(&bench, &whole, "b", "moved");
    assert!(!bench.path("a").exists() && bench.text("b/config.toml").contains("/b\"\n"));
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_best_can_take_its_place() {
    let bench = bench();
    // So large a step that the loss soon jumps about: patience ends the training some epochs behind the best.
    bench.grulet(&train(&["train.epochs=90", "train.learning_rate=0.5", "train.min_delta=0.0"])).ok();
    let whole = outcome(&bench, "runs/config");
    std::fs::remove_file(bench.path("runs/config/report.json")).unwrap();
    let good = bench.read("runs/config/last.ckpt");
    for (name, other) in [("last.ckpt", "best.ckpt"), ("best.ckpt", "last.ckpt")] {
        let path = format!("runs/config/{name}");
        let (good, other) = (bench.read(&path), bench.read(&format!("runs/config/{other}")));
        for length in [0, 10, 20, 100, good.len() - 1] {
            bench.put(&path, &good[..length]);
            bench.refuses(
                &RESUME,
                &[name, if length < 24 { "not a checkpoint" } else { "damaged: its checksum is wrong" }],
            );
        }
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 4;
        bench.put(&path, &flipped);
        bench.refuses(&RESUME, &[name, "damaged: its checksum is wrong"]);
        std::fs::remove_file(bench.path(&path)).unwrap();
        bench.refuses(&RESUME, &[if name == "last.ckpt" { "there is no last.ckpt" } else { "best.ckpt: cannot read" }]);
        bench.put(&path, &good);
        assert!(other != good, "best and last are the same: nothing is shown");
    }
    bench.put("runs/config/best.ckpt", &good);
    bench.refuses(&RESUME, &["best.ckpt: the run cannot go on: is not that of epoch ", "in log.csv"]);
    let best = &whole.iter().find(|(name, _)| name == "best.ckpt").unwrap().1;
    bench.put("runs/config/best.ckpt", best);
    bench.put("runs/config/last.ckpt", best);
    bench.grulet(&RESUME).ok();
    same(&bench, &whole, "runs/config", "from the best");
}

#[test]
fn changed_data_and_settings_are_refused() {
    let bench = bench();
    bench.grulet(&train(&["train.epochs=3"])).ok();
    std::fs::remove_file(bench.path("runs/config/report.json")).unwrap();
    let config = bench.text("runs/config/config.toml");
    for (from, to, phrases) in [
        ("units = 4\n", "units = 5\n", &["its layers (94 parameters)", "and the data (132)", "put back"][..]),
        ("reset = \"before\"", "reset = \"after\"", &["its layers (94 parameters)"]),
        (
            "weight_decay = 0.004",
            "weight_decay = 0.005",
            &["its optimiser is AdamW", "0.004", "config.toml is AdamW", "0.005"],
        ),
        ("learning_rate = 0.02", "learning_rate = 0.03", &["the settings are not those"]),
        ("min_delta = 0.01", "min_delta = 0.02", &["the settings are not those"]),
        ("fraction = 0.2", "fraction = 0.3", &["the training or validation data are not those"]),
    ] {
        assert!(config.contains(from), "no {from} in {config}");
        bench.put("runs/config/config.toml", config.replace(from, to));
        bench.refuses(&RESUME, &[&["last.ckpt: the run cannot go on"], phrases].concat());
    }
    bench.put("runs/config/config.toml", &config);

    let data = bench.text("train.csv");
    // A value, a label, and the order of two series.
    let cut = data.find("\n5,").unwrap() + 1;
    let (header, rows) = data.split_once('\n').unwrap();
    let turned = format!("{header}\n{}{}", &data[cut..], &rows[..cut - header.len() - 1]);
    for other in [data.replacen("2.6216", "2.6217", 1), data.replace("\n3,down", "\n3,up"), turned] {
        assert_ne!(other, data);
        bench.put("train.csv", other);
        bench.refuses(&RESUME, &["the training or validation data are not those", "train.csv"]);
    }
    bench.put("train.csv", &data);

    let log = bench.text("runs/config/log.csv");
    let rows: Vec<&str> = log.lines().collect();
    for other in [String::new(), rows[..3].join("\n") + "\n", log.replace("\n3,", "\n4,"), log.replacen("0.", "1.", 99)]
    {
        bench.put("runs/config/log.csv", other);
        bench.refuses(&RESUME, &["log.csv: the run cannot go on: its first 3 rows are not those of last.ckpt"]);
    }
    bench.put("runs/config/log.csv", &log);
    bench.grulet(&RESUME).ok();
}

#[test]
fn a_folder_without_a_run_is_refused() {
    let bench = Bench::trained();
    bench.refuses(&["train", "--resume", "runs"], &["runs: there is no config.toml", "the folder of a run"]);
    bench.refuses(&["train", "--resume", "config.toml"], &["config.toml: there is no config.toml"]);
    for name in ["last.ckpt", "best.ckpt", "log.csv"] {
        std::fs::remove_file(bench.path(&format!("runs/config/{name}"))).unwrap();
    }
    bench.refuses(&RESUME, &["runs/config: the run cannot go on", "no last.ckpt", "start it again"]);
    bench.grulet(&["train", "config.toml", "--resume"]).wrong_usage("--resume <RUN_FOLDER>");
    bench.grulet(&["train", "config.toml", "--resume", "runs/config"]).wrong_usage("cannot be used with");
}
