//! What a command reads it does not write.

use crate::support::Bench;

#[test]
fn inputs_are_not_written_over() {
    let bench = Bench::trained();
    bench.put("report", "");
    let (run, reads) = ("runs/config", "which this command reads");
    let config = "runs/../config.toml";
    for (args, phrases) in [
        // A word that was meant as data.
        (&["quantize", run, "--json", "test.csv"][..], &["--json would write over test.csv", "before --json"][..]),
        (&["quantize", run, "--svg", "a.NPZ"], &["--svg", "a.NPZ"]),
        (&["quantize", run, "--json", "config.toml"], &["--json", "config.toml"]),
        (&["quantize", run, "--json", "runs"], &["--json", "runs"]),
        (&["evaluate", run, "--json", "config.toml"], &["--json", "config.toml"]),
        // Files that are read, by whatever path.
        (&["quantize", run, "--output", "runs/config/../config/best.ckpt"], &["--output", "best.ckpt", reads]),
        (&["quantize", "runs/config/model.gru", "-o", "runs/config/model.gru"], &["--output", "model.gru", reads]),
        (&["quantize", run, "--config", config, "-o", "config.toml"], &["--output", "config.toml", reads]),
        (&["quantize", run, "-o", "train.csv"], &["--output", "train.csv", reads]),
        (&["quantize", run, "--calib", "train.csv", "--data", "test.csv", "-o", "./test.csv"], &["test.csv", reads]),
        (&["quantize", run, "--json", "new", "--svg", "./new"], &["--svg", "new", "as --json does"]),
        (&["predict", run, "test.csv", "-o", "test.csv"], &["--output", "test.csv", reads]),
        (&["predict", run, "-o", "runs/config/model.gru"], &["--output", "model.gru", reads]),
        (&["export", run, "-o", "runs/config/best.ckpt"], &["--output", "best.ckpt", reads]),
        (&["export", run, "-o", "runs/config/config.toml"], &["--output", "config.toml", reads]),
        (
            &["export", run, "--samples", "runs/config/model.gru", "-o", "new.gru"],
            &["--samples would write over", "model.gru"],
        ),
        (&["export", run, "-o", "test.csv"], &["--output", "test.csv", reads]),
        // The run's folder.
        (&["train", "config.toml", "--set", "train.run_dir=."], &["`train.run_dir`", "config.toml", reads]),
    ] {
        bench.refuses(args, phrases);
    }
    bench.grulet(&["evaluate", run, "--json", "report", "--svg", "picture"]).ok();
    bench.grulet(&["quantize", run, "--json", "report"]).ok();
    assert!(bench.text("report").contains("\"int8\""), "another file may be replaced");
    let printed = bench.grulet(&["predict", run]).ok().stdout;
    assert_eq!(bench.grulet(&["predict", run, "-o", "-"]).ok().stdout, printed);
    assert!(!bench.path("-").exists());
    // A run's own configuration trains it again.
    bench.grulet(&["train", "runs/config/config.toml", "--overwrite"]).ok();
}

#[test]
fn what_lies_where_nothing_was_named_stays() {
    let bench = Bench::trained();
    std::fs::copy(bench.path("runs/config/model.gru"), bench.path("data.gru")).unwrap();
    for (format, file) in [("npz", "npz"), ("keras-npz", "npz"), ("safetensors", "safetensors"), ("onnx", "onnx")] {
        bench.put(&format!("data.{file}"), "mine");
        let args = ["export", "data.gru", "--format", format];
        bench.refuses(&args, &[&format!("data.{file} is there already"), "--output"]);
        bench.grulet(&[&args[..], &["-o", &format!("data.{file}")]].concat()).ok();
        assert_ne!(bench.read(&format!("data.{file}")), b"mine", "{format}");
    }
    // Data, even where they are named.
    let args = ["export", "runs/config", "--format", "npz", "-o", "train.csv"];
    bench.refuses(&args, &["train.csv", "which this command reads"]);

    bench.grulet(&["train", "config.toml", "--overwrite", "--qat"]).ok();
    bench.refuses(&["quantize", "runs/config"], &["model_int8.gru", "quantisation-aware", "--output"]);
    bench.grulet(&["quantize", "runs/config", "-o", "other.gru"]).ok();
}

#[test]
fn a_file_that_nothing_names_is_not_read() {
    let bench = Bench::trained();
    std::fs::create_dir(bench.path("alone")).unwrap();
    std::fs::copy(bench.path("runs/config/model.gru"), bench.path("alone/model.gru")).unwrap();
    bench.put("data.npz", "not calibrated with");
    bench.refuses(&["quantize", "alone/model.gru"], &["no configuration beside the model", "--calib"]);
    std::fs::rename(bench.path("train.csv"), bench.path("moved.csv")).unwrap();
    bench.refuses(&["quantize", "runs/config"], &["train.csv", "cannot"]);
}

#[test]
fn data_in_the_folder_of_a_run_stay() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("mine")).unwrap();
    bench.put("mine/log.csv", bench.read("train.csv"));
    let args = ["train", "config.toml", "--set", "data.train=mine/log.csv", "--set", "train.run_dir=mine"];
    bench.refuses(&args, &["`train.run_dir`", "mine/log.csv", "which this command reads"]);
}
