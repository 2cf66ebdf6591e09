//! What the commands write and print where all is well.

use std::process::Stdio;

use grulet::Blob;
use grulet::blob::AlignedBytes;

use crate::npz::{Array, npz};
use crate::support::{Bench, CONFIG, GRULET, table};

const FILES: [&str; 6] = ["best.ckpt", "config.toml", "last.ckpt", "log.csv", "model.gru", "report.json"];

#[test]
fn train_fills_the_run_folder_and_prints_a_line_per_epoch() {
    let bench = Bench::new();
    let ran = bench.grulet(&["train", "config.toml"]).ok();
    let mut files: Vec<String> = std::fs::read_dir(bench.path("runs/config"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, FILES);

    assert_eq!(ran.stderr, "");
    assert!(!ran.stdout.contains(['\r', '\x1b']), "no bar and no colours outside a terminal: {}", ran.stdout);
    let epochs: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("Epoch ")).collect();
    assert_eq!(epochs.len(), 3, "{}", ran.stdout);
    for (number, line) in epochs.iter().enumerate() {
        assert!(line.starts_with(&format!("Epoch {}/3 - 2/2 - ", number + 1)), "{line}");
        for score in [" - loss: ", " - accuracy: ", " - val_loss: ", " - val_accuracy: "] {
            assert!(line.contains(score), "{line}");
        }
        assert!(line.ends_with(" - learning_rate: 2.00e-2"), "{line}");
    }
    for part in [
        "Total params: 94 (376 B)",
        "type Net = (Gru<2, 4>, Dense<4, 2, Softmax>);",
        "majority class",
        "logistic regression on mean",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }

    let log = bench.text("runs/config/log.csv");
    let rows: Vec<&str> = log.lines().collect();
    assert_eq!(rows[0], "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds");
    assert_eq!(rows.len(), 4);
    assert!(rows[3].starts_with("3,") && rows[3].split(',').count() == 7, "{log}");

    let report = bench.json("runs/config/report.json");
    assert_eq!((&report["parameters"], &report["epochs"], &report["name"]), (&94.into(), &3.into(), &"config".into()));
    assert!(report["test"]["accuracy"].is_f64() && report["baselines"][0]["scores"]["accuracy"] == 0.5, "{report}");
    let hash = report["weights_hash"].as_str().unwrap();
    assert!(hash.len() == 16 && ran.stdout.contains(hash));
}

#[test]
fn json_leaves_nothing_but_json_on_standard_output() {
    let bench = Bench::new();
    let ran = bench.grulet(&["train", "config.toml", "--json"]).ok();
    assert_eq!(ran.json(), bench.json("runs/config/report.json"));
    assert!(ran.stderr.contains("Epoch 3/3 - "), "{}", ran.stderr);

    for args in [&["evaluate", "runs/config"][..], &["predict", "runs/config"], &["inspect", "runs/config"]] {
        let ran = bench.grulet(&[args, &["--json"]].concat()).ok();
        ran.json();
        assert_eq!(ran.stderr, "");
    }
    let exported = bench.grulet(&["export", "runs/config", "-o", "other.gru", "--json"]).ok().json();
    assert_eq!(exported["bytes"], bench.read("other.gru").len());
}

#[test]
fn a_run_is_the_same_whatever_the_threads_and_another_for_another_seed() {
    let bench = Bench::new();
    let run = |folder: &str, set: &str| {
        let run_dir = format!("train.run_dir={folder}");
        let args =
            ["train", "config.toml", "--json", "--set", &run_dir, "--set", set, "--set", "train.input_noise=0.1"];
        let report = bench.grulet(&args).ok().json();
        (report["weights_hash"].clone(), bench.read(&format!("{folder}/model.gru")))
    };
    let first = run("a", "train.threads=1");
    assert_eq!(first, run("b", "train.threads=1"));
    assert_eq!(first, run("c", "train.threads=2"));
    assert_ne!(first.0, run("d", "seed=2").0);
}

#[test]
fn the_log_tells_the_learning_rate_of_each_epochs_last_step() {
    let bench = Bench::new();
    // Two steps per epoch. The loss never falls by 1, so that every epoch after the first is a plateau.
    for (sets, expected) in [
        (&["train.schedule=constant"][..], [0.02, 0.02, 0.02, 0.02]),
        (&["train.schedule=step", "train.schedule_factor=0.5", "train.schedule_every=2"], [0.02, 0.02, 0.01, 0.01]),
        (
            &["train.schedule=cosine", "train.warmup_steps=4"],
            [0.005, 0.015, 0.01 + 0.01 * 0.5f64.sqrt(), 0.01 - 0.01 * 0.5f64.sqrt()],
        ),
        (&["train.schedule=plateau", "train.schedule_patience=1", "train.min_delta=1"], [0.02, 0.02, 0.002, 0.0002]),
    ] {
        let sets = ["train.epochs=4"].iter().chain(sets).flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "config.toml", "--overwrite"].into_iter().chain(sets).collect();
        let ran = bench.grulet(&args).ok();
        let log = bench.text("runs/config/log.csv");
        for ((row, line), expected) in
            log.lines().skip(1).zip(ran.stdout.lines().filter(|l| l.starts_with("Epoch"))).zip(expected)
        {
            let rate: f64 = row.split(',').nth(5).unwrap().parse().unwrap();
            assert!((rate - expected).abs() < 1e-15, "{args:?}: {rate} but {expected}");
            assert!(line.ends_with(&format!(" - learning_rate: {rate:.2e}")), "{line}");
        }
        assert_eq!(log.lines().count(), 5);
    }
}

#[test]
fn patience_ends_the_training_and_the_model_is_the_best() {
    let bench = Bench::new();
    let train = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "config.toml", "--overwrite"].into_iter().chain(sets).collect();
        (bench.grulet(&args).ok().stdout, bench.json("runs/config/report.json"))
    };
    // So large a step that the loss soon jumps about.
    let (rate, epochs) = ("train.learning_rate=0.5", "train.epochs=300");
    let (stdout, report) = train(&[rate, epochs, "train.patience=3", "train.qat_epochs=1"]);
    let losses: Vec<f64> = bench
        .text("runs/config/log.csv")
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(3).unwrap().parse().unwrap())
        .collect();
    // Only the last three epochs in a row are without a new minimum.
    let mut minima = vec![0];
    (1..losses.len())
        .filter(|&i| losses[i] < losses[..i].iter().copied().fold(f64::MAX, f64::min))
        .for_each(|i| minima.push(i));
    assert!(minima.windows(2).all(|pair| pair[1] - pair[0] <= 3), "{losses:?}");
    let best = minima[minima.len() - 1] + 1;
    assert_eq!(losses.len(), best + 3, "{losses:?}");

    assert_eq!((&report["best_epoch"], &report["epochs"]), (&best.into(), &(best + 3).into()));
    assert_eq!(report["stopped_epoch"], best + 3);
    let line =
        format!("Stopped after epoch {}: val_loss no longer improves; the model is that of epoch {best}\n", best + 3);
    assert!(stdout.contains(&line) && stdout.contains("Int8, with the integers' outputs, epoch 1"), "{stdout}");
    let stopped = (report["weights_hash"].clone(), bench.read("runs/config/model.gru"));
    // Training that ends with the best epoch gives the same model, and is not stopped, nor is one in whose last epoch
    // patience ends.
    let epochs = format!("train.epochs={best}");
    let (stdout, report) = train(&[rate, &epochs, "train.patience=3"]);
    assert!(report["stopped_epoch"].is_null() && !stdout.contains("Stopped"), "{report}");
    assert!(stopped == (report["weights_hash"].clone(), bench.read("runs/config/model.gru")));
    let epochs = format!("train.epochs={}", best + 3);
    assert!(train(&[rate, &epochs, "train.patience=3"]).1["stopped_epoch"].is_null());
    // Nothing improves by 1.
    let (_, report) = train(&["train.epochs=9", "train.patience=2", "train.min_delta=1"]);
    assert_eq!((&report["stopped_epoch"], &report["epochs"]), (&3.into(), &3.into()));
}

/// Each has weights of its own, ends in integers, and is the same on two threads.
#[test]
fn every_way_to_train_is_another_and_the_same_on_two_threads() {
    let bench = Bench::new();
    let run = |sets: &[&str], threads: usize| {
        let threads = format!("train.threads={threads}");
        let own = ["train.qat_epochs=2", &threads];
        let sets = own.iter().chain(sets).flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "config.toml", "--overwrite", "--json"].into_iter().chain(sets).collect();
        let hash = bench.grulet(&args).ok().json()["weights_hash"].clone();
        (hash, bench.read("runs/config/best.ckpt"), bench.read("runs/config/model_int8.gru"))
    };
    let mut seen = Vec::new();
    for sets in [
        &["train.optimizer=adam"][..],
        &["train.epsilon=pytorch"],
        &["train.optimizer=adamw"],
        &["train.optimizer=adamw", "train.weight_decay=0.1"],
        &["train.optimizer=sgd"],
        &["train.optimizer=sgd", "train.momentum=0.9"],
        &["train.optimizer=sgd", "train.momentum=0.9", "train.nesterov=true"],
        &["train.optimizer=rmsprop"],
        &["train.clip_norm=0.01"],
        &["train.clip_value=0.01"],
        &["train.schedule=step", "train.schedule_every=1"],
        &["train.schedule=cosine"],
        &["train.schedule=cosine", "train.warmup_steps=2"],
        &["train.schedule=plateau", "train.schedule_patience=1", "train.min_delta=1"],
        &["train.dropout=0.3"],
        &["train.dropout=[0.0, 0.3]"],
        &["train.recurrent_dropout=0.3"],
        &["train.input_noise=0.1"],
        &["train.l1=0.001"],
        &["train.l2=0.001"],
        &["train.label_smoothing=0.1"],
        &["train.class_weights=[1.0, 3.0]"],
    ] {
        let one = run(sets, 1);
        assert!(one == run(sets, 2), "{sets:?}");
        assert!(!seen.contains(&one.0), "{sets:?} changes nothing");
        seen.push(one.0);
    }
}

#[test]
fn the_runs_own_configuration_gives_the_run_again() {
    let bench = Bench::trained();
    // From elsewhere, as all its paths are absolute.
    let args = ["train", "runs/config/config.toml", "--json", "--set", "train.run_dir=again"];
    let again = bench.grulet(&args).ok().json();
    assert_eq!(again["weights_hash"], bench.json("runs/config/report.json")["weights_hash"]);
    assert!(bench.path("runs/config/again/model.gru").exists(), "paths are taken from the configuration's folder");
}

#[test]
fn an_earlier_run_is_replaced_on_demand_only() {
    let bench = Bench::trained();
    bench.refuses(&["train", "config.toml"], &["holds an earlier run", "--overwrite", "config"]);
    let model = bench.read("runs/config/model.gru");
    bench.put("runs/config/notes.txt", "mine");
    bench.grulet(&["train", "config.toml", "--overwrite", "--set", "seed=5"]).ok();
    assert_ne!(bench.read("runs/config/model.gru"), model);
    assert_eq!(bench.read("runs/config/notes.txt"), b"mine");
}

#[test]
fn an_earlier_run_stays_until_the_new_one_has_something_to_keep() {
    let bench = Bench::trained();
    bench.put("runs/config/notes.txt", "mine");
    let before = bench.contents();
    let args = ["train", "config.toml", "--overwrite"];
    let diverges = |args: &[&str]| {
        let sets = ["--set", "train.learning_rate=1e38", "--set", "train.batch_size=1"];
        let ran = bench.grulet(&[args, &sets].concat());
        assert!(ran.code == 1 && ran.stderr.contains("epoch 1") && ran.stderr.contains("diverged"), "{}", ran.stderr);
    };
    diverges(&args);
    assert!(before == bench.contents());
    // As a process leaves it that is killed in its first epoch: the next one that fails brings back what was there.
    for name in ["config.toml", "log.csv", "best.ckpt", "last.ckpt", "model.gru", "report.json"] {
        std::fs::rename(
            bench.path(&format!("runs/config/{name}")),
            bench.path(&format!("runs/config/.earlier_{name}")),
        )
        .unwrap();
    }
    bench.put("runs/config/config.toml", "new");
    bench.put("runs/config/.lock", "");
    diverges(&args[..2]);
    assert!(before == bench.contents());
    // And when it is killed while it sets the files aside: what tells of a run goes first.
    for name in ["last.ckpt", "config.toml"] {
        let [from, to] = ["", ".earlier_"].map(|before| bench.path(&format!("runs/config/{before}{name}")));
        std::fs::rename(from, to).unwrap();
    }
    bench.put("runs/config/.lock", "");
    diverges(&args[..2]);
    assert!(before == bench.contents());
    bench.grulet(&[&args[..], &["--set", "seed=5"]].concat()).ok();
    let names: Vec<_> = bench.contents().into_iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".earlier")), "{names:?}");
}

#[test]
fn a_file_of_a_runs_name_is_replaced_on_demand_only() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("folder")).unwrap();
    bench.put("folder/log.csv", "mine");
    let args = ["train", "config.toml", "--set", "train.run_dir=folder"];
    bench.refuses(&args, &["folder/log.csv", "would replace", "--overwrite", "`train.run_dir`"]);
    assert_eq!((bench.read("folder/log.csv"), bench.path("folder/config.toml").exists()), (b"mine".to_vec(), false));
    // What a process leaves that is killed before its first checkpoint.
    bench.put("folder/.lock", "");
    bench.grulet(&args).ok();
    // A model that is kept without its checkpoints.
    for checkpoint in ["best.ckpt", "last.ckpt"] {
        std::fs::remove_file(bench.path(&format!("folder/{checkpoint}"))).unwrap();
    }
    bench.refuses(&args, &["folder/config.toml", "would replace"]);
    bench.grulet(&[&args[..], &["--overwrite"]].concat()).ok();
}

#[test]
fn set_changes_a_setting_and_later_ones_win() {
    let bench = Bench::new();
    let args = ["train", "config.toml", "--set", "train.epochs=9", "--set", "train.epochs=1", "--set", "name=other"];
    bench.grulet(&args).ok();
    assert_eq!(bench.json("runs/other/report.json")["epochs"], 1);
    let kept = bench.text("runs/other/config.toml");
    assert!(kept.contains("epochs = 1\n") && kept.contains("shuffle = true\n"), "{kept}");
}

#[test]
fn evaluate_gives_the_reports_scores_and_a_stable_hash() {
    let bench = Bench::trained();
    let first = bench.grulet(&["evaluate", "runs/config", "--json"]).ok().json();
    assert_eq!(first["scores"], bench.json("runs/config/report.json")["test"]);
    assert_eq!((&first["series"], &first["steps"]), (&6.into(), &48.into()));
    let again = bench.grulet(&["evaluate", "runs/config/model.gru", "test.csv", "--json"]).ok().json();
    assert_eq!(first, again);
    let text = bench.grulet(&["evaluate", "runs/config"]).ok().stdout;
    assert!(text.contains(first["output_hash"].as_str().unwrap()) && text.contains("6 series, 48 steps"), "{text}");
    let fast = bench.grulet(&["evaluate", "runs/config", "--format", "fast", "--json"]).ok().json();
    assert_ne!(fast["output_hash"], first["output_hash"]);
    assert_eq!(fast["format"], "fast");
}

/// The self-test's samples are those of a sensor, and the first steps of a validation part count as little as the training's.
#[test]
fn samples_of_the_self_test_are_raw_and_ignored_steps_are_in_both_parts() {
    let bench = Bench::new();
    let mut table = "series,a,label\n".to_owned();
    for series in 0..4 {
        for t in 0..10 {
            // What the first two steps ask for is far from all else.
            let label = if t < 2 { 1e4 } else { 0.5 };
            table += &format!("{series},{},{label}\n", 1000 + 10 * series + t);
        }
    }
    bench.put("train.csv", table);
    let config = CONFIG.replace("test = \"test.csv\"\n", "").replace("units = [\"m\", \"\"]\n", "");
    let config = config.replace("last_step", "every_step").replace("sparse_categorical_crossentropy", "mse");
    let config = config.replace("units = 2, activation = \"softmax\"", "units = 1");
    bench.put("config.toml", config.replace("[train]", "[train]\nignore_steps = 2"));
    bench.grulet(&["train", "config.toml", "--set", "data.validation.fraction=0.25"]).ok();
    let report = bench.json("runs/config/report.json");
    let loss = |part: &str| report[part]["loss"].as_f64().unwrap();
    assert!(loss("training") < 10.0 && loss("validation") < 10.0, "{report}");
    let bytes = AlignedBytes::new(&bench.read("runs/config/model.gru"));
    let golden = Blob::parse(bytes.as_ref()).unwrap().golden_inputs().to_vec();
    assert!(golden.len() >= 10 && golden.iter().all(|&a| (1000.0..1040.0).contains(&a)), "{golden:?}");
}

#[test]
fn a_model_alone_knows_how_to_read_data() {
    let bench = Bench::trained();
    std::fs::copy(bench.path("runs/config/model.gru"), bench.path("alone.gru")).unwrap();
    std::fs::remove_file(bench.path("config.toml")).unwrap();
    let alone = bench.grulet(&["evaluate", "alone.gru", "test.csv", "--json"]).ok().json();
    let with = bench.grulet(&["evaluate", "runs/config", "--json"]).ok().json();
    assert_eq!(alone, with);
}

#[test]
fn columns_are_found_by_their_names_in_any_order() {
    let bench = Bench::trained();
    let turned: String = bench
        .text("test.csv")
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{},{},{},{},{},remark\n", cells[4], cells[3], cells[1], cells[0], cells[2])
        })
        .collect();
    bench.put("turned.csv", turned);
    let hash =
        |file: &str| bench.grulet(&["evaluate", "runs/config", file, "--json"]).ok().json()["output_hash"].clone();
    assert_eq!(hash("turned.csv"), hash("test.csv"));
}

#[test]
fn a_test_file_without_some_class_is_read_with_the_classes_of_the_training() {
    let bench = Bench::trained();
    let up: String =
        bench.text("test.csv").lines().filter(|line| !line.contains("down")).map(|l| l.to_owned() + "\n").collect();
    bench.put("up.csv", up);
    // A sigmoid answers for the second class; the words are the only clue which that is.
    let binary =
        bench.text("config.toml").replace("units = 2, activation = \"softmax\"", "units = 1, activation = \"sigmoid\"");
    bench.put("binary.toml", binary.replace("sparse_categorical_crossentropy", "binary_crossentropy"));
    bench.grulet(&["train", "binary.toml", "--set", "train.epochs=60"]).ok();
    let accuracy = |run: &str, file: &str| {
        bench.grulet(&["evaluate", run, file, "--json"]).ok().json()["scores"]["accuracy"].clone()
    };
    assert_eq!(accuracy("runs/binary", "test.csv"), 1.0);
    assert_eq!(accuracy("runs/binary", "up.csv"), 1.0);
    assert!(accuracy("runs/config", "up.csv").is_f64());
}

#[test]
fn predict_answers_once_per_series_or_at_every_step() {
    let bench = Bench::trained();
    let once = bench.grulet(&["predict", "runs/config"]).ok().stdout;
    let rows: Vec<&str> = once.lines().collect();
    assert_eq!((rows[0], rows.len()), ("series,step,down,up", 1 + 6));
    for (row, series) in rows[1..].iter().zip(20..) {
        let cells: Vec<f32> = row.split(',').map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(cells[..2], [series as f32, 7.0]);
        assert!((cells[2] + cells[3] - 1.0).abs() < 1e-5, "{row}");
    }
    // Without labels as well.
    let plain: String =
        bench.text("test.csv").lines().map(|line| line.splitn(3, ',').collect::<Vec<_>>().join(";") + "\n").collect();
    let plain: String = plain
        .lines()
        .map(|line| {
            let c: Vec<&str> = line.split(';').collect();
            format!("{},{}\n", c[0], c[2])
        })
        .collect();
    bench.put("plain.csv", plain);
    assert_eq!(bench.grulet(&["predict", "runs/config", "plain.csv"]).ok().stdout, once);

    bench.grulet(&["train", "config.toml", "--set", "model.output=every_step", "--set", "name=every"]).ok();
    bench.grulet(&["predict", "runs/every", "-o", "every.csv"]).ok();
    let every = bench.text("every.csv");
    assert_eq!(every.lines().count(), 1 + 48);
    assert!(every.lines().nth(9).unwrap().starts_with("21,0,"), "{every}");
    let json = bench.grulet(&["predict", "runs/every", "--json"]).ok().json();
    assert_eq!(json.as_array().unwrap().len(), 48);
    assert!(json[8]["outputs"]["up"].is_f64() && json[8]["step"] == 0 && json[8]["series"] == "21", "{}", json[8]);
}

#[test]
fn windows_of_a_series_are_answered_where_they_end() {
    let bench = Bench::new();
    bench.grulet(&["train", "config.toml", "--set", "data.window=4", "--set", "data.stride=2"]).ok();
    let rows = bench.grulet(&["predict", "runs/config"]).ok().stdout;
    let places: Vec<&str> = rows.lines().skip(1).map(|row| row.split(",0.").next().unwrap()).take(4).collect();
    assert_eq!(places, ["20,3", "20,5", "20,7", "21,3"], "{rows}");
}

#[test]
fn export_writes_the_same_model_and_samples_of_the_test() {
    let bench = Bench::trained();
    bench.grulet(&["export", "runs/config", "-o", "a.gru"]).ok();
    bench.grulet(&["export", "runs/config/best.ckpt", "-o", "b.gru"]).ok();
    assert_eq!(bench.read("a.gru"), bench.read("runs/config/model.gru"));
    assert_eq!(bench.read("b.gru"), bench.read("a.gru"));
    bench.refuses(&["export", "runs/config", "--samples", "s.bin"], &["--samples", "once per window"]);

    let args = ["--set", "model.output=every_step", "--set", "model.layers.1.activation=sigmoid"];
    let args = [&["train", "config.toml", "--set", "name=every", "--set", "train.loss=mse"], &args[..]].concat();
    bench.put("test.csv", numbers(&bench.text("test.csv")));
    bench.put("train.csv", numbers(&bench.text("train.csv")));
    let args = [&args[..], &["--set", "model.layers.1.units=1"]].concat();
    bench.grulet(&args).ok();
    bench.grulet(&["export", "runs/every", "--samples", "s.bin", "--steps", "5"]).ok();
    let samples = bench.read("s.bin");
    assert_eq!(&samples[..16], b"GRUSMP1\0\x05\0\0\0\x02\0\x01\0");
    let values: Vec<f32> = samples[16..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let rows: Vec<Vec<f32>> = bench
        .text("test.csv")
        .lines()
        .skip(1)
        .take(5)
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    let inputs = rows.iter().flat_map(|row| [row[3], row[4]]);
    assert_eq!(values, inputs.chain(rows.iter().map(|row| row[1])).collect::<Vec<f32>>());
}

/// Labels as numbers.
fn numbers(table: &str) -> String {
    table.replace(",up,", ",1,").replace(",down,", ",0,")
}

#[test]
fn inspect_tells_what_the_model_is() {
    let bench = Bench::trained();
    let text = bench.grulet(&["inspect", "runs/config/model.gru"]).ok().stdout;
    for part in [
        "Total params: 94",
        "a [m]",
        "outputs: down, up",
        "at 25 Hz",
        "seed 1, epoch ",
        "val_loss",
        "self-test over 8 steps: passed",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let json = bench.grulet(&["inspect", "runs/config", "--json"]).ok().json();
    assert_eq!(json["bytes"], bench.read("runs/config/model.gru").len());
    assert_eq!((&json["self_test"], &json["state_bytes"]), (&true.into(), &16.into()));
    assert_eq!(json["inputs"]["channels"], serde_json::json!(["a", "b"]));
}

#[test]
fn spreadsheets_tables_are_read_as_they_are() {
    let bench = Bench::trained();
    let report = |name: &str| bench.json(&format!("runs/{name}/report.json"))["weights_hash"].clone();
    for (name, file) in [
        ("bom", "\u{feff}".to_owned() + &table(0, 20)),
        ("crlf", table(0, 20).replace('\n', "\r\n")),
        ("spaces", table(0, 20).replace(',', " , ")),
    ] {
        bench.put("train.csv", file);
        bench.grulet(&["train", "config.toml", "--set", &format!("name={name}")]).ok();
        assert_eq!(report(name), report("config"), "{name}");
    }
}

#[test]
fn warnings_go_to_standard_error_and_a_short_series_is_no_error() {
    let bench = Bench::new();
    bench.put("train.csv", table(0, 20) + "99,up,0,0.0,2.0\n");
    let ran = bench.grulet(&["train", "config.toml", "--set", "data.window=8"]).ok();
    assert!(ran.stderr.starts_with("warning: ") && ran.stderr.contains("`data.window = 8`"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1);
}

#[test]
fn an_archive_trains_like_the_table_it_was_made_from() {
    let bench = Bench::trained();
    let rows: Vec<Vec<String>> =
        table(0, 20).lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let x = || rows.iter().flat_map(|row| [&row[3], &row[4]]).map(|cell| cell.parse::<f32>().unwrap());
    let y: Vec<i32> = rows.iter().step_by(8).map(|row| i32::from(row[1] == "up")).collect();
    bench.put("dense.npz", npz(&[Array::f32("x", &[20, 8, 2], x()), Array::i32("y", &y)]));
    let flat = [Array::f32("samples", &[160, 2], x()), Array::i32("y", &y), Array::i32("n", &[8; 20])];
    bench.put("flat.npz", npz(&flat));
    let test = ["--set", "data.channels=[\"a\",\"b\"]", "--set", "data.classes=[\"down\",\"up\"]"];
    let run = |name: &str, more: &[&str]| {
        let name = format!("name={name}");
        let args = [&["train", "config.toml", "--json", "--set", &name], &test[..], more].concat();
        bench.grulet(&args).ok().json()["weights_hash"].clone()
    };
    let csv = bench.json("runs/config/report.json")["weights_hash"].clone();
    assert_eq!(run("dense", &["--set", "data.train=dense.npz"]), csv);
    let keys = ["--set", "data.train=flat.npz", "--set", "data.npz.x=samples", "--set", "data.npz.lengths=n"];
    assert_eq!(run("flat", &keys), csv);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::trained();
    for args in [
        &["predict", "runs/config"][..],
        &["inspect", "runs/config", "--json"],
        &["train", "config.toml", "--overwrite"],
    ] {
        let mut child = bench.command(GRULET, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}
