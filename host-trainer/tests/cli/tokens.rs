//! Networks that take tokens.

use grulet_trainer::nn::Rng;

use crate::support::Bench;

const CONFIG: &str = r#"
[data]
train = "train.csv"
test = "test.csv"
[model]
output = "last_step"
layers = [
  { type = "embedding", vocabulary = 5, units = 3 },
  { type = "gru", units = 6 },
  { type = "dense", units = 2, activation = "softmax" },
]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 40
batch_size = 8
learning_rate = 0.02
dropout = 0.05
"#;

/// Series of tokens 0 to 4, with the label whether there is a 3 among them.
fn table(first: u32, count: u32) -> String {
    let mut text = "series,label,t,token\n".to_owned();
    for series in first..first + count {
        let mut rng = Rng::new(7, series.into());
        let tokens: Vec<u32> = (0..4 + series % 4).map(|_| (5.0 * rng.uniform()) as u32).collect();
        let label = if tokens.contains(&3) { "there" } else { "absent" };
        for (t, token) in tokens.iter().enumerate() {
            text += &format!("{series},{label},{t},{token}\n");
        }
    }
    text
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("train.csv", table(0, 120));
    bench.put("test.csv", table(200, 60));
    bench.put("config.toml", CONFIG);
    bench
}

#[test]
fn a_network_learns_what_a_token_means_and_runs_in_integers() {
    let bench = bench();
    let report = bench.grulet(&["train", "config.toml", "--json"]).ok().json();
    let accuracy = |value: &serde_json::Value| value["accuracy"].as_f64().unwrap();
    assert!(accuracy(&report["test"]) > 0.9, "{report}");

    let inspected = bench.grulet(&["inspect", "runs/config"]).ok();
    assert!(
        inspected.stdout.contains("type Net = (Embedding<5, 3>, Gru<3, 6, Exact, ResetAfter>, Dense<6, 2, Softmax>);")
    );
    let quantized = bench.grulet(&["quantize", "runs/config", "--json"]).ok().json();
    assert!(accuracy(&quantized["int8"]["scores"]) > 0.9, "{quantized}");
    let predicted = bench.grulet(&["predict", "runs/config/model_int8.gru", "test.csv"]).ok();
    assert!(predicted.stdout.lines().count() > 60, "{}", predicted.stdout);
}

#[test]
fn what_is_no_token_is_refused() {
    let bench = bench();
    for wrong in ["5", "-1", "1.5"] {
        bench.put("wrong.csv", table(0, 20) + &format!("x,there,0,1\nx,there,1,{wrong}\n"));
        let phrases = ["wrong.csv", "series \"x\", step 1", &format!("{wrong} is no token"), "`vocabulary` of 5"];
        bench.refuses(&["train", "config.toml", "--set", "data.train=wrong.csv"], &phrases);
    }
    bench.put("wrong.csv", table(0, 20) + "x,there,0,7\n");
    bench.refuses(
        &["train", "config.toml", "--set", "data.validation.file=wrong.csv"],
        &["wrong.csv", "series \"x\", step 0", "7 is no token"],
    );
    let two = table(0, 20).replace('\n', ",1\n").replacen("token,1", "token,other", 1);
    bench.put("two.csv", two);
    bench.refuses(
        &["train", "config.toml", "--set", "data.train=two.csv"],
        &["two.csv", "2 input channels", "takes one"],
    );
}

#[test]
fn what_makes_no_sense_with_tokens_is_refused() {
    let bench = bench();
    let layers =
        |layers: &str| format!("model.layers=[{layers}, {{ type = \"dense\", units = 2, activation = \"softmax\" }}]");
    for (setting, phrases) in [
        ("train.input_noise=0.1".to_owned(), &["`train.input_noise`", "tokens"][..]),
        ("train.dropout=[0.1, 0.1, 0.1]".to_owned(), &["`train.dropout`", "tokens", "give it 0"]),
        ("model.layers.0.vocabulary=0".to_owned(), &["`model.layers`", "vocabulary of 0"]),
        (layers("{ type = \"embedding\", units = 3 }"), &["needs `vocabulary`"]),
        (
            layers("{ type = \"embedding\", vocabulary = 5, units = 3, reset = \"before\" }"),
            &["`vocabulary` and `units` alone"],
        ),
        (layers("{ type = \"gru\", vocabulary = 5, units = 3 }"), &["only an embedding and a one_hot layer"]),
        (
            layers("{ type = \"gru\", units = 3 }, { type = \"embedding\", vocabulary = 5, units = 3 }"),
            &["layer 2 is an embedding", "only the first"],
        ),
    ] {
        bench.refuses(&["train", "config.toml", "--set", &setting], phrases);
    }
}

const ONE_HOT: &str = "{ type = \"one_hot\", vocabulary = 5 }";

/// The same network on the tokens' one-hot vectors.
fn one_hot_bench() -> Bench {
    let bench = bench();
    bench.put("config.toml", CONFIG.replace("{ type = \"embedding\", vocabulary = 5, units = 3 }", ONE_HOT));
    bench
}

#[test]
fn a_network_takes_one_hot_vectors_as_tokens_and_runs_in_integers() {
    let bench = one_hot_bench();
    let report = bench.grulet(&["train", "config.toml", "--json"]).ok().json();
    let accuracy = |value: &serde_json::Value| value["accuracy"].as_f64().unwrap();
    assert!(accuracy(&report["test"]) > 0.9, "{report}");
    let net = "(OneHot<Gru<5, 6, Exact, ResetAfter>>, Dense<6, 2, Softmax>)";
    assert_eq!(report["model"]["net"], net);
    let evaluated = bench.grulet(&["evaluate", "runs/config", "--json"]).ok().json();
    assert_eq!(evaluated["scores"], report["test"]);

    let inspected = bench.grulet(&["inspect", "runs/config"]).ok();
    for part in [net, "0 (One-hot)", "passed"] {
        assert!(inspected.stdout.contains(part), "{part} in {}", inspected.stdout);
    }
    let quantized = bench.grulet(&["quantize", "runs/config", "--json"]).ok().json();
    assert!(accuracy(&quantized["int8"]["scores"]) > 0.9, "{quantized}");
    // 3 gates of 6 units, whose inputs are not multiplied, and the dense layer.
    assert_eq!(quantized["macs_per_step"], 3 * 6 * 6 + 12);
    let predicted = bench.grulet(&["predict", "runs/config/model_int8.gru", "test.csv"]).ok();
    assert!(predicted.stdout.lines().count() > 60, "{}", predicted.stdout);
    // In training too, integers see the same tokens.
    let aware = ["--overwrite", "--json", "--set", "train.qat_epochs=3"];
    let report = bench.grulet(&[&["train", "config.toml"][..], &aware].concat()).ok().json();
    let scores = bench.grulet(&["evaluate", "runs/config/model_int8.gru", "test.csv", "--json"]).ok().json();
    assert!(accuracy(&scores["scores"]) > 0.9, "{report} {scores}");
}

#[test]
fn what_makes_no_sense_with_one_hot_vectors_is_refused() {
    let bench = one_hot_bench();
    bench.put("wrong.csv", table(0, 20) + "x,there,0,1\nx,there,1,5\n");
    bench.refuses(
        &["train", "config.toml", "--set", "data.train=wrong.csv"],
        &["wrong.csv", "series \"x\", step 1", "5 is no token", "`vocabulary` of 5"],
    );
    let layers =
        |layers: &str| format!("model.layers=[{layers}, {{ type = \"dense\", units = 2, activation = \"softmax\" }}]");
    let gru = "{ type = \"gru\", units = 3 }";
    for (setting, phrases) in [
        ("train.input_noise=0.1".to_owned(), &["`train.input_noise`", "tokens"][..]),
        ("train.dropout=[0.1, 0.1, 0.1]".to_owned(), &["`train.dropout`", "tokens", "layer 1", "give it 0"]),
        ("model.layers.0.vocabulary=0".to_owned(), &["`model.layers`", "vocabulary of 0"]),
        (layers("{ type = \"one_hot\" }"), &["needs `vocabulary`"]),
        (layers("{ type = \"one_hot\", vocabulary = 5, units = 3 }"), &["`vocabulary` alone"]),
        (layers(&format!("{gru}, {ONE_HOT}")), &["layer 2 is a one_hot layer", "only the first"]),
        (layers(&format!("{ONE_HOT}, {{ type = \"pool\", over = \"max\" }}, {gru}")), &["gru or dense layer after it"]),
    ] {
        bench.refuses(&["train", "config.toml", "--set", &setting], phrases);
    }
}

#[test]
fn dropout_acts_on_one_hot_vectors_and_not_on_tokens() {
    let bench = one_hot_bench();
    let hash = |rates: &str| {
        let sets = ["--overwrite", "--json", "--set", "train.epochs=2", "--set", &format!("train.dropout={rates}")];
        let report = bench.grulet(&[&["train", "config.toml"][..], &sets].concat()).ok().json();
        report["weights_hash"].as_str().unwrap().to_owned()
    };
    assert_ne!(hash("[0, 0.2, 0]"), hash("0"));
    assert_eq!(hash("0.2"), hash("[0, 0.2, 0.2]"));
}
