//! Networks that read a series from both ends.

use grulet_trainer::nn::Rng;

use crate::support::Bench;

const CONFIG: &str = r#"
[data]
train = "train.csv"
test = "test.csv"
[model]
output = "last_step"
layers = [
  { type = "gru", units = 5, bidirectional = true },
  { type = "dense", units = 2, activation = "softmax" },
]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 25
batch_size = 8
learning_rate = 0.02
dropout = 0.02
recurrent_dropout = [0.02, 0]
"#;

/// Noise, with the label whether its first value is large: what the direction from the end has just seen.
fn table(first: u32, count: u32) -> String {
    let mut text = "series,label,t,a\n".to_owned();
    for series in first..first + count {
        let mut rng = Rng::new(7, series.into());
        let label = if series % 2 == 0 { "high" } else { "low" };
        for t in 0..10 + series % 9 {
            let a = rng.uniform() - 0.5;
            let a = if t == 0 { a.abs() * if label == "high" { 1.0 } else { -1.0 } } else { a };
            text += &format!("{series},{label},{t},{a:.4}\n");
        }
    }
    text
}

pub fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("train.csv", table(0, 100));
    bench.put("test.csv", table(200, 60));
    bench.put("config.toml", CONFIG);
    bench
}

#[test]
fn a_bidirectional_network_is_trained_and_runs_in_integers() {
    let bench = bench();
    let accuracy = |value: &serde_json::Value| value["accuracy"].as_f64().unwrap();
    for (merge, net) in [
        ("concat", "Bidirectional<1, 5, 10, Concat, Exact, ResetAfter>"),
        ("sum", "Bidirectional<1, 5, 5, Sum, Exact, ResetAfter>"),
    ] {
        let set = format!("model.layers.0.merge={merge}");
        let report = bench.grulet(&["train", "config.toml", "--set", &set, "--overwrite", "--json"]).ok().json();
        assert!(accuracy(&report["test"]) > 0.85, "{merge}: {report}");
        let inspected = bench.grulet(&["inspect", "runs/config"]).ok();
        for part in [
            net,
            "0 (Bidirectional GRU, reset after)",
            " bytes of RAM for each step of the longest series, ",
            " for series of up to 10 steps",
            "self-test over 10 steps: passed",
        ] {
            assert!(inspected.stdout.contains(part), "{part} in {}", inspected.stdout);
        }
        let quantized = bench.grulet(&["quantize", "runs/config", "--json"]).ok().json();
        assert!(accuracy(&quantized["int8"]["scores"]) > 0.85, "{merge}: {quantized}");
        let table = bench.grulet(&["quantize", "runs/config"]).ok();
        assert!(table.stdout.contains("0 (bidirectional, "), "{}", table.stdout);
        let predicted = bench.grulet(&["predict", "runs/config/model_int8.gru", "test.csv"]).ok();
        assert!(predicted.stdout.lines().count() > 60, "{}", predicted.stdout);
    }
    bench.refuses(&["quantize", "runs/config", "--drift", "5000"], &["bidirectional", "leave --drift out"]);
    // With the integers in the loop, and an answer at every step of a window, which cuts the test part too.
    let qat = ["train", "config.toml", "--qat", "--overwrite", "--json", "--set", "model.output=every_step"];
    let short = ["train.qat_epochs=2", "train.epochs=3", "data.window=5", "model.layers.0.merge=mul"];
    let short: Vec<&str> = short.iter().flat_map(|set| ["--set", set]).collect();
    bench.grulet(&[&qat[..], &short].concat()).ok();
    bench.grulet(&["evaluate", "runs/config/model_int8.gru", "test.csv"]).ok();
    let inspected = bench.grulet(&["inspect", "runs/config", "--json"]).ok().json();
    assert_eq!((inspected["window"].as_u64(), inspected["self_test"].as_bool()), (Some(5), Some(true)), "{inspected}");
}

#[test]
fn other_frameworks_bring_both_directions_back() {
    let bench = bench();
    bench.grulet(&["train", "config.toml", "--set", "train.epochs=1"]).ok();
    bench.grulet(&["export", "runs/config", "--format", "safetensors"]).ok();
    let file = String::from_utf8_lossy(&bench.read("runs/config/model.safetensors")).into_owned();
    for name in ["bidirectional.weight_ih_l0\"", "bidirectional.bias_hh_l0_reverse\""] {
        assert!(file.contains(name), "{name}");
    }
    let import = ["import", "runs/config/model.safetensors", "--like", "config.toml", "-o", "back.gru"];
    bench.grulet(&[&import[..], &["--checkpoint", "back.ckpt"]].concat()).ok();
    for (model, npz) in [("runs/config", "run.npz"), ("back.ckpt", "back.npz")] {
        bench.grulet(&["export", model, "--format", "keras-npz", "-o", npz]).ok();
    }
    assert_eq!(bench.read("run.npz"), bench.read("back.npz"));
    bench.put("summed.toml", CONFIG.replace("bidirectional = true", "bidirectional = true, merge = \"sum\""));
    bench.put("forwards.toml", CONFIG.replace(", bidirectional = true", ""));
    for config in ["summed.toml", "forwards.toml"] {
        bench.refuses(&["import", "runs/config/model.safetensors", "--like", config], &["bidirectional", "--like"]);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = bench();
    let layer = |layer: &str| format!("model.layers=[{layer}, {{ type = \"dense\", units = 2 }}]");
    for (settings, phrases) in [
        (vec![layer("{ type = \"gru\", units = 3, merge = \"sum\" }")], &["`merge`", "bidirectional = true"][..]),
        (vec![layer("{ type = \"dense\", units = 3, bidirectional = true }")], &["only a gru layer"]),
        (vec![layer("{ type = \"gru\", units = 3, bidirectional = true, merge = \"mean\" }")], &["`mean`", "`ave`"]),
        (vec![layer("{ type = \"gru\", units = 40000, bidirectional = true }")], &["32,767"]),
        (
            vec!["train.stateful=true".into(), "data.window=5".into(), "model.output=every_step".into()],
            &["`train.stateful`", "both ends"],
        ),
        (vec!["data.horizon=1".into(), "model.output=every_step".into()], &["`data.horizon`", "seen already"]),
    ] {
        let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
        bench.refuses(&[&["train", "config.toml"][..], &settings].concat(), phrases);
    }
}
