//! Networks that pool over time.

use grulet_trainer::nn::Rng;

use crate::support::Bench;

const CONFIG: &str = r#"
[data]
train = "train.csv"
test = "test.csv"
[model]
output = "last_step"
layers = [
  { type = "gru", units = 5 },
  { type = "pool", over = "max" },
  { type = "dense", units = 2, activation = "softmax" },
]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 60
batch_size = 8
learning_rate = 0.02
dropout = 0.02
"#;

/// Noise, with the label whether there is a spike somewhere in it.
fn table(first: u32, count: u32) -> String {
    let mut text = "series,label,t,a\n".to_owned();
    for series in first..first + count {
        let mut rng = Rng::new(7, series.into());
        let steps = 10 + series % 9;
        let spike = (rng.uniform() * f64::from(steps)) as u32;
        let label = if series % 2 == 0 { "spike" } else { "quiet" };
        for t in 0..steps {
            let a = rng.uniform() + if label == "spike" && t == spike { 2.0 } else { 0.0 };
            text += &format!("{series},{label},{t},{a:.4}\n");
        }
    }
    text
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("train.csv", table(0, 100));
    bench.put("test.csv", table(200, 60));
    bench.put("config.toml", CONFIG);
    bench
}

#[test]
fn a_network_that_pools_is_trained_and_runs_in_integers() {
    let bench = bench();
    let accuracy = |value: &serde_json::Value| value["accuracy"].as_f64().unwrap();
    for (over, name) in [("max", "Max"), ("mean", "Mean")] {
        let set = format!("model.layers.1.over={over}");
        let report = bench.grulet(&["train", "config.toml", "--set", &set, "--overwrite", "--json"]).ok().json();
        assert!(accuracy(&report["test"]) > 0.85, "{over}: {report}");
        let inspected = bench.grulet(&["inspect", "runs/config"]).ok();
        let net = format!("type Net = (Gru<1, 5, Exact, ResetAfter>, Pool<5, {name}>, Dense<5, 2, Softmax>);");
        assert!(inspected.stdout.contains(&net), "{}", inspected.stdout);
        let quantized = bench.grulet(&["quantize", "runs/config", "--json"]).ok().json();
        assert!(accuracy(&quantized["int8"]["scores"]) > 0.85, "{over}: {quantized}");
        let table = bench.grulet(&["quantize", "runs/config"]).ok();
        assert!(table.stdout.contains("1 (pool, 5 outputs)"), "{}", table.stdout);
        let predicted = bench.grulet(&["predict", "runs/config/model_int8.gru", "test.csv"]).ok();
        assert!(predicted.stdout.lines().count() > 60, "{}", predicted.stdout);
    }
    // With the integers in the loop, and an answer at every step.
    let qat = ["train", "config.toml", "--qat", "--overwrite", "--set", "model.output=every_step"];
    bench.grulet(&[&qat[..], &["--set", "train.qat_epochs=2", "--set", "train.epochs=3"]].concat()).ok();
    bench.grulet(&["evaluate", "runs/config/model_int8.gru", "test.csv"]).ok();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = bench();
    let layer =
        |layer: &str| format!("model.layers=[{layer}, {{ type = \"dense\", units = 2, activation = \"softmax\" }}]");
    for (setting, phrases) in [
        (layer("{ type = \"pool\" }"), &["needs `over`", "mean"][..]),
        (layer("{ type = \"pool\", over = \"mean\", units = 3 }"), &["`over` alone"]),
        (layer("{ type = \"pool\", over = \"last\" }"), &["no pool layer", "model.output = \"last_step\""]),
        (layer("{ type = \"pool\", over = \"sum\" }"), &["`sum`", "`mean`"]),
        (layer("{ type = \"gru\", units = 3, over = \"mean\" }"), &["only a pool layer"]),
        ("train.recurrent_dropout=[0.1, 0.1, 0]".to_owned(), &["`train.recurrent_dropout`", "layer 2", "no gru"]),
        ("model.layers=[{ type = \"pool\", over = \"mean\" }]".to_owned(), &["pools alone", "gru or a dense"]),
    ] {
        bench.refuses(&["train", "config.toml", "--set", &setting], phrases);
    }
}
