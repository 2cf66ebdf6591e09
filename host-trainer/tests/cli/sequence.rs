//! Encoder-decoders: texts and arrays of tokens to sequences.

use crate::npz::{Array, npz};
use crate::support::Bench;

const CONFIG: &str = r#"
[data]
train = "train.csv"
test = "test.csv"
tokens = "characters"
[model]
output = "sequence"
encoder = [{ type = "embedding", units = 6 }, { type = "gru", units = 20 }]
layers = [
  { type = "embedding", units = 6 },
  { type = "gru", units = 20 },
  { type = "dense", activation = "softmax" },
]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 60
batch_size = 16
learning_rate = 0.02
schedule = "cosine"
"#;

/// All texts of one to three of the letters a, b and c, each backwards.
fn texts() -> Vec<(String, String)> {
    let mut all: Vec<String> = vec![String::new()];
    let mut from = 0;
    for _ in 0..3 {
        let longer: Vec<String> =
            all[from..].iter().flat_map(|text| ["a", "b", "c"].map(|letter| format!("{text}{letter}"))).collect();
        from = all.len();
        all.extend(longer);
    }
    all.split_off(1).into_iter().map(|text| (text.clone(), text.chars().rev().collect())).collect()
}

fn table(pairs: &[(String, String)]) -> String {
    let rows = pairs.iter().map(|(source, target)| format!("{source},{target}\n"));
    "source,target\n".to_owned() + &rows.collect::<String>()
}

pub fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("train.csv", table(&texts()));
    bench.put("test.csv", table(&texts()[20..]));
    bench.put("config.toml", CONFIG);
    bench
}

fn exact(scores: &serde_json::Value) -> f64 {
    scores["sequence_accuracy"].as_f64().unwrap_or_else(|| panic!("{scores}"))
}

#[test]
fn texts_are_read_and_written_in_both_formats() {
    let bench = bench();
    let report = bench.grulet(&["train", "config.toml", "--json"]).ok().json();
    assert!(exact(&report["test"]) > 0.9, "{report}");
    assert!(report["model"]["net"].as_str().unwrap().starts_with("Seq2Seq<'static, (Embedding<5, 6>, Gru<6, 20"));

    let evaluated = bench.grulet(&["evaluate", "runs/config", "--json"]).ok().json();
    assert_eq!(evaluated["scores"], report["test"]);
    let inspected = bench.grulet(&["inspect", "runs/config"]).ok();
    for part in [
        "encoder 1 (GRU",
        "decoder 4 (Dense)",
        "outputs: a, b, c, <start>, <stop>",
        "up to 3 tokens",
        "AnySeq2Seq: CAP",
        "passed",
    ] {
        assert!(inspected.stdout.contains(part), "{part} in {}", inspected.stdout);
    }

    let written = |arguments: &[&str]| -> Vec<String> {
        let out = bench.grulet(&[&["predict"], arguments].concat()).ok().stdout;
        let mut rows = csv::Reader::from_reader(out.as_bytes());
        assert_eq!(rows.headers().unwrap(), &["series", "text", "log_probability", "stopped"][..]);
        rows.records().map(|row| row.unwrap()[1].to_owned()).collect()
    };
    let right = |texts: &[String]| {
        let pairs = crate::sequence::texts();
        texts.iter().zip(&pairs[20..]).filter(|(found, (_, expected))| *found == expected).count() as f64 / 19.0
    };
    // Without the answers, and without the configuration.
    bench.put(
        "questions.csv",
        bench
            .read("test.csv")
            .split(|&b| b == b'\n')
            .map(|row| row.split(|&b| b == b',').next().unwrap())
            .collect::<Vec<_>>()
            .join(&b'\n'),
    );
    std::fs::copy(bench.path("runs/config/model.gru"), bench.path("alone.gru")).unwrap();
    let greedy = written(&["runs/config", "questions.csv"]);
    assert!((right(&greedy) - exact(&report["test"])).abs() < 1e-9, "{greedy:?}");
    assert_eq!(written(&["alone.gru", "questions.csv"]), greedy);
    assert!(right(&written(&["runs/config", "questions.csv", "--beam", "8"])) >= right(&greedy));

    let quantized = bench.grulet(&["quantize", "runs/config", "--json"]).ok().json();
    assert!(exact(&quantized["int8"]["scores"]) > 0.9, "{quantized}");
    let int8 = written(&["runs/config/model_int8.gru", "questions.csv"]);
    assert!((right(&int8) - exact(&quantized["int8"]["scores"])).abs() < 1e-9, "{int8:?}");
    bench.grulet(&["inspect", "runs/config/model_int8.gru"]).ok();
}

#[test]
fn both_sides_take_one_hot_vectors_as_tokens() {
    let bench = bench();
    bench.put("config.toml", CONFIG.replace("{ type = \"embedding\", units = 6 }", "{ type = \"one_hot\" }"));
    let report = bench.grulet(&["train", "config.toml", "--json"]).ok().json();
    assert!(exact(&report["test"]) > 0.9, "{report}");
    let net = "Seq2Seq<'static, (OneHot<Gru<5, 20, Exact, ResetAfter>>,), \
               (OneHot<Gru<5, 20, Exact, ResetAfter>>, Dense<20, 5, Softmax>)>";
    assert_eq!(report["model"]["net"], net);
    std::fs::copy(bench.path("runs/config/model.gru"), bench.path("alone.gru")).unwrap();
    let written = |model: &str| bench.grulet(&["predict", model, "test.csv"]).ok().stdout;
    assert_eq!(written("alone.gru"), written("runs/config"));
    let quantized = bench.grulet(&["quantize", "runs/config", "--json"]).ok().json();
    assert!(exact(&quantized["int8"]["scores"]) > 0.9, "{quantized}");
    bench.grulet(&["inspect", "runs/config/model_int8.gru"]).ok();
}

#[test]
fn the_weights_do_not_depend_on_the_threads() {
    let bench = bench();
    let hash = |threads: &str| {
        let threads = format!("train.threads={threads}");
        let sets = ["--set", "train.epochs=2", "--set", "train.dropout=0.2", "--set", &threads];
        let report =
            bench.grulet(&[&["train", "config.toml", "--json", "--overwrite"], &sets[..]].concat()).ok().json();
        report["weights_hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash("1"), hash("3"));
}

#[test]
fn words_are_tokens_too() {
    let bench = bench();
    let words = |text: &str| text.replace('a', "left ").replace('b', "right ").replace('c', "up ");
    let pairs: Vec<_> = texts().iter().map(|(source, target)| (words(source), words(target))).collect();
    bench.put("train.csv", table(&pairs));
    bench.put("test.csv", table(&pairs[30..]));
    let sets = ["--set", "data.tokens=words", "--json"];
    let report = bench.grulet(&[&["train", "config.toml"], &sets[..]].concat()).ok().json();
    assert!(exact(&report["test"]) > 0.8, "{report}");
    let out = bench.grulet(&["predict", "runs/config"]).ok().stdout;
    assert!(out.contains(",up right left,") || out.contains(",left right up,"), "{out}");

    // Words of one letter are words.
    let letters = |text: &str| text.chars().map(String::from).collect::<Vec<_>>().join(" ");
    let pairs: Vec<_> = texts().iter().map(|(source, target)| (letters(source), letters(target))).collect();
    bench.put("train.csv", table(&pairs));
    bench.put("test.csv", table(&pairs[30..]));
    let sets = ["--set", "data.tokens=words", "--overwrite"];
    bench.grulet(&[&["train", "config.toml"], &sets[..]].concat()).ok();
    let answers = bench.grulet(&["predict", "runs/config", "--json"]).ok().json();
    for answer in answers.as_array().unwrap() {
        let (text, tokens) = (answer["text"].as_str().unwrap(), answer["tokens"].as_array().unwrap().len());
        assert_eq!(text.split_whitespace().count(), tokens, "{answer}");
    }
}

/// The array of names in a file has no start and no stop token, wherever it is read.
#[test]
fn arrays_of_tokens_may_name_them() {
    let bench = bench();
    let file = |names: [&str; 3]| {
        let tokens = |name, tokens: &[i32]| Array { shape: vec![4, 2], ..Array::i32(name, tokens) };
        let names = names.iter().flat_map(|name| format!("{name:\0<5}").into_bytes()).collect();
        npz(&[
            tokens("x", &[0, 1, 1, 2, 2, 0, 1, 0]),
            tokens("y", &[1, 0, 2, 1, 0, 2, 0, 1]),
            Array { name: "names", descr: "|S5", fortran: false, shape: vec![3], bytes: names },
        ])
    };
    bench.put("train.npz", file(["left", "right", "up"]));
    bench.put("test.npz", file(["left", "right", "up"]));
    let config = CONFIG.replace("csv", "npz").replace("tokens = \"characters\"", "classes = \"names\"");
    let config = config.replace(
        "\"embedding\", units = 6 }, { type = \"gru\", units = 20 }]",
        "\"embedding\", vocabulary = 3, units = 6 }, { type = \"gru\", units = 20 }]",
    );
    bench.put("arrays.toml", config);
    bench.grulet(&["train", "arrays.toml", "--set", "train.epochs=2"]).ok();
    bench.grulet(&["evaluate", "runs/arrays", "test.npz"]).ok();
    bench.grulet(&["quantize", "runs/arrays"]).ok();
    bench.put("test.npz", file(["left", "up", "right"]));
    bench.refuses(&["evaluate", "runs/arrays", "test.npz"], &["left, up, right", "left, right, up"]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let bench = bench();
    let train = ["train", "config.toml", "--dry-run", "--set"];
    let refuses = |setting: &str, phrases: &[&str]| bench.refuses(&[&train[..], &[setting]].concat(), phrases);
    bench.put("other.csv", "source,target\nab,ba\nabd,dba\n");
    refuses("data.test=other.csv", &["other.csv", "line 3", "\"d\"", "no token of the training file"]);
    bench.put("empty.csv", "source,target\nab,ba\n,a\n");
    refuses("data.train=empty.csv", &["empty.csv", "line 3", "the text to read is empty"]);
    bench.put("none.csv", "source,target\n");
    refuses("data.train=none.csv", &["none.csv", "no data"]);
    bench.put("names.csv", "question,answer\nab,ba\n");
    refuses("data.train=names.csv", &["names.csv", "no column \"source\"", "question", "`data.csv.source`"]);
    bench.grulet(&["train", "config.toml", "--set", "train.epochs=1"]).ok();
    bench.refuses(&["predict", "runs/config", "--beam", "9"], &["--beam is 9", "1 to 8"]);
    bench.refuses(&["quantize", "runs/config", "--drift", "5000"], &["encoder-decoder", "--drift"]);
}

#[test]
fn every_character_counts() {
    let bench = bench();
    let spaced = texts()
        .into_iter()
        .map(|(source, target)| (format!("\" {source}\""), format!("{target} ")))
        .collect::<Vec<_>>();
    bench.put("train.csv", table(&spaced));
    bench.put("test.csv", table(&spaced[..9]));
    bench.grulet(&["train", "config.toml", "--set", "train.epochs=1"]).ok();
    let inspected = bench.grulet(&["inspect", "runs/config", "--json"]).ok().json();
    assert_eq!(
        inspected["outputs"]["names"],
        serde_json::json!([" ", "a", "b", "c", "<start>", "<stop>"]),
        "{inspected}"
    );
}

#[test]
fn names_that_a_model_cannot_tell_apart_are_refused() {
    let bench = bench();
    let text = bench.text("train.csv");
    bench.put("ends.csv", text.replace("\nab,ba", "\nab,<start> ba"));
    let words = ["train", "config.toml", "--set", "data.tokens=words", "--set", "data.train=ends.csv"];
    bench.refuses(&words, &["ends.csv", "\"<start>\" is the name of a token", "data.classes"]);
    bench.put("feed.csv", text.replace("\nab,ba", "\nab,\"b\na\""));
    bench.refuses(&["train", "config.toml", "--set", "data.train=feed.csv"], &["feed.csv", "\"\\n\" has a line feed"]);
    let classes = "data.classes=[\"a\", \"<stop>\", \"b\", \"c\"]";
    bench.refuses(&["train", "config.toml", "--set", classes], &["\"<stop>\" is the name of a token"]);
}

#[test]
fn what_makes_no_encoder_decoder_is_refused() {
    let bench = bench();
    let gru = r#"{ type = "gru", units = 20 }"#;
    bench.put("without.toml", CONFIG.replace("encoder = [", "# ["));
    bench.refuses(&["train", "without.toml"], &["`model.output`", "after an encoder", "`model.encoder`"]);
    bench.put("no_tokens.toml", CONFIG.replace("tokens = \"characters\"\n", ""));
    bench.refuses(&["train", "no_tokens.toml"], &["`data.tokens`", "\"characters\" or \"words\""]);
    bench.put(
        "both.toml",
        CONFIG.replace("{ type = \"gru\", units = 20 }]", "{ type = \"gru\", units = 20, bidirectional = true }]"),
    );
    bench.refuses(
        &["train", "both.toml"],
        &["both.toml:8", "unknown key `model.encoder.bidirectional`; docs/CONFIG.md lists the keys"],
    );
    let softmax = r#"{ type = "dense", activation = "softmax" }"#;
    for (setting, phrases) in [
        ("model.output=last_step".to_owned(), &["`model.encoder`", "`model.output = \"sequence\"`"][..]),
        ("model.encoder.1.units=21".to_owned(), &["`model.layers`", "[20]", "[21]", "give both the same"]),
        (
            format!("model.encoder=[{gru}, {{ type = \"dense\", units = 3 }}]"),
            &["`model.encoder`", "let it end in a gru"],
        ),
        (format!("model.layers=[{gru}, {softmax}]"), &["`model.layers`", "begin with an embedding"]),
        (
            format!(
                r#"model.layers=[{{ type = "embedding", units = 6 }}, {{ type = "pool", over = "max" }}, {gru}, {softmax}]"#
            ),
            &["`model.layers`", "leave pools out"],
        ),
        ("model.layers.2.units=7".to_owned(), &["7", "5", "tokens, with start and stop"]),
        ("model.layers.0.vocabulary=7".to_owned(), &["vocabulary of 7", "5 tokens"]),
        ("model.layers.2.activation=linear".to_owned(), &["`model.layers`", "softmax"]),
        ("train.loss=categorical_crossentropy".to_owned(), &["`train.loss`", "sparse_categorical_crossentropy"]),
        ("data.window=4".to_owned(), &["`data.window`", "sequences"]),
        ("data.horizon=1".to_owned(), &["`data.horizon`"]),
        ("train.class_weights=balanced".to_owned(), &["`train.class_weights`", "sequences"]),
        ("train.oversample=true".to_owned(), &["`train.oversample`"]),
        ("train.ignore_steps=1".to_owned(), &["`train.ignore_steps`"]),
        ("train.dropout=[0, 0.1, 0.1, 0.1, 0.1]".to_owned(), &["`train.dropout`", "layer 3", "give it 0"]),
        ("train.dropout=[0, 0.1]".to_owned(), &["2 rates for 5 layers"]),
    ] {
        bench.refuses(&["train", "config.toml", "--dry-run", "--set", &setting], phrases);
    }
}

#[test]
fn the_last_layer_may_take_its_units_from_the_data() {
    let bench = Bench::new();
    let config = crate::support::CONFIG.replace("units = 2, ", "");
    bench.put("config.toml", &config);
    let report = bench.grulet(&["train", "config.toml", "--json"]).ok().json();
    assert!(report["model"]["net"].as_str().unwrap().contains("Dense<4, 2, Softmax>"), "{report}");
    bench.grulet(&["evaluate", "runs/config"]).ok();
    let weights = |weights: &str| format!("train.class_weights={weights}");
    bench.refuses(
        &["train", "config.toml", "--overwrite", "--set", &weights("[1, 2, 3]")],
        &["`train.class_weights`", "3 entries", "2 classes"],
    );
    bench.grulet(&["train", "config.toml", "--overwrite", "--set", &weights("[1, 2]")]).ok();
    bench.put("inner.toml", config.replace("{ type = \"dense\"", "{ type = \"dense\" }, { type = \"dense\""));
    bench.refuses(&["train", "inner.toml"], &["layer 2 has no `units`", "only the last layer"]);
}
