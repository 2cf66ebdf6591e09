//! `docs/CONFIG.md` tells the truth about the configuration.

use std::path::Path;

use grulet_trainer::config::{Config, ConfigError, KEYS};

/// As little as a configuration may say.
const MINIMAL: &str = r#"
[data]
train = "a.npz"
[model]
output = "every_step"
layers = [{ type = "gru", units = 4 }, { type = "dense", units = 2 }]
[train]
loss = "mse"
epochs = 1
"#;

/// A classifier of whole windows.
const CLASSES: &str = r#"
[data]
train = "a.npz"
window = 20
[data.npz]
group = "person"
[model]
output = "last_step"
layers = [{ type = "gru", units = 4 }, { type = "dense", units = 2, activation = "softmax" }]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 1
"#;

/// An encoder-decoder.
const SEQUENCE: &str = r#"
[data]
train = "a.csv"
tokens = "words"
[model]
output = "sequence"
encoder = [
  { type = "embedding", units = 3 },
  { type = "dense", units = 4, activation = "relu" },
  { type = "gru", units = 4 },
]
layers = [{ type = "embedding", units = 3 }, { type = "gru", units = 4 }, { type = "dense", activation = "softmax" }]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 1
"#;

/// Defaults that are said in words, or those of a layer that the minimum does not have.
const IN_WORDS: &[&str] = &[
    "name",
    "data.channels",
    "data.units",
    "data.classes",
    "data.stride",
    "data.train_stride",
    "data.npz.x",
    "data.npz.y",
    "data.npz_test.x",
    "data.npz_test.y",
    "data.npz_test.y_lengths",
    "data.npz_test.lengths",
    "data.npz_test.x_scale",
    "data.npz_test.y_scale",
    "data.csv.series",
    "data.csv.time",
    "data.csv.label",
    "data.csv.features",
    "data.csv.source",
    "data.csv.target",
    "model.encoder.vocabulary",
    "model.encoder.reset",
    "model.encoder.gate",
    "model.encoder.candidate",
    "model.encoder.activation",
    "model.layers.units",
    "model.layers.vocabulary",
    "model.layers.bidirectional",
    "model.layers.merge",
    "train.weight_decay",
    "train.schedule_factor",
    "train.schedule_every",
    "train.schedule_patience",
    "train.threads",
    "train.run_dir",
];

const PLATEAU: &[&str] = &["train.schedule=plateau", "data.validation.fraction=0.1"];

/// Settings that a key needs beside it.
const NEEDS: &[(&str, &[&str])] = &[
    ("model.encoder.units", &["model.layers.1.units=128"]),
    ("model.layers.vocabulary", &["model.layers.0.type=embedding"]),
    ("model.layers.merge", &["model.layers.0.bidirectional=true"]),
    ("model.layers.over", &["model.layers=[{type=\"pool\"},{type=\"dense\",units=2,activation=\"softmax\"}]"]),
    ("train.weight_decay", &["train.optimizer=adamw"]),
    ("train.momentum", &["train.optimizer=sgd"]),
    ("train.schedule_factor", &["train.schedule=step"]),
    ("train.schedule_every", &["train.schedule=step"]),
    ("train.schedule_patience", PLATEAU),
    ("train.schedule_minimum", PLATEAU),
    ("train.warmup_steps", &["train.schedule=cosine"]),
    ("train.patience", &["data.validation.fraction=0.1"]),
    ("train.min_delta", PLATEAU),
    ("train.stateful", &["data.window=20"]),
    ("train.nesterov", &["train.optimizer=sgd", "train.momentum=0.9"]),
];

struct Row {
    key: String,
    default: String,
    example: String,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with('|') {
            inside = false;
        } else if line == "| key | type | default | example | meaning |" {
            inside = true;
        } else if inside && !line.starts_with("|---") {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 5, "{line}");
            let [key, default, example] = [0, 2, 3].map(|cell| cells[cell].to_owned());
            rows.push(Row { key: code(&key).unwrap().to_owned(), default, example });
        }
    }
    rows
}

/// What stands between backticks, if that is all.
fn code(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`').filter(|inner| !inner.contains('`'))
}

fn load(text: &str, sets: &[&str]) -> Result<Config, ConfigError> {
    Config::parse(Path::new("a.toml"), text, sets)
}

/// The value of `key` in the written-out configuration; of the first layer that has it.
fn value(config: &Config, key: &str) -> Option<toml::Value> {
    values(config, key).into_iter().next()
}

/// The values of `key`, of all layers that have it.
fn values(config: &Config, key: &str) -> Vec<toml::Value> {
    let whole: toml::Table = config.to_toml().parse().unwrap();
    let mut here = vec![toml::Value::Table(whole)];
    for name in key.split('.') {
        let inner = here.iter().filter_map(|value| value.get(name).cloned());
        here = inner.flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value])).collect();
    }
    here
}

/// The minimum without `key`; without it in the first layer.
fn without(key: &str) -> String {
    let mut whole: toml::Value = MINIMAL.parse::<toml::Table>().unwrap().into();
    let (tables, name) = key.rsplit_once('.').unwrap();
    let mut here = &mut whole;
    for table in tables.split('.') {
        here = here.get_mut(table).unwrap();
        here = if here.is_array() { here.get_mut(0).unwrap() } else { here };
    }
    here.as_table_mut().unwrap().remove(name).unwrap_or_else(|| panic!("{key} is in the minimum"));
    toml::to_string(&whole).unwrap()
}

#[test]
fn every_key_is_listed_in_order() {
    let listed: Vec<String> = rows().into_iter().map(|row| row.key).collect();
    assert_eq!(listed, KEYS);
}

#[test]
fn the_defaults_are_true() {
    let minimal = load(MINIMAL, &[]).unwrap();
    for Row { key, default, .. } in rows() {
        match default.as_str() {
            "required" => {
                let error = load(&without(&key), &[]).unwrap_err().to_string();
                let name = key.rsplit('.').next().unwrap();
                assert!(error.contains(&format!("missing key `{name}`")), "{key}: {error}");
            }
            "*none*" => assert_eq!(value(&minimal, &key), None, "{key}"),
            _ => match code(&default).filter(|_| !IN_WORDS.contains(&key.as_str())) {
                Some(default) => {
                    let stated: toml::Table = format!("v = {default}").parse().unwrap();
                    assert_eq!(value(&minimal, &key).as_ref(), stated.get("v"), "{key}");
                }
                None => assert!(IN_WORDS.contains(&key.as_str()), "{key}: {default:?}"),
            },
        }
    }
}

#[test]
fn the_defaults_in_words_are_true() {
    let minimal = load(MINIMAL, &["data.window=20"]).unwrap();
    assert_eq!((minimal.name.as_str(), minimal.data.stride), ("a", Some(20)));
    assert!(minimal.train.run_dir.ends_with("runs/a") && minimal.train.threads.is_none());
    let decay = |optimizer: &str| load(MINIMAL, &[&format!("train.optimizer={optimizer}")]).unwrap().train.weight_decay;
    assert_eq!(["adam", "adamw", "sgd", "rmsprop"].map(decay), [None, Some(0.004), None, None]);
    let schedule = |schedule: &str| {
        let sets = [&format!("train.schedule={schedule}"), "data.validation.fraction=0.1"];
        let train = load(MINIMAL, &sets).unwrap().train;
        (train.schedule_factor, train.schedule_every, train.schedule_patience)
    };
    assert_eq!(["constant", "cosine"].map(schedule), [(None, None, None); 2]);
    assert_eq!(schedule("step"), (Some(0.1), Some(10), None));
    assert_eq!(schedule("plateau"), (Some(0.1), None, Some(10)));
}

#[test]
fn a_gru_of_both_directions_concatenates_by_default() {
    let with = |sets: &[&str]| load(CLASSES, sets).unwrap().model.layers[0];
    assert!(with(&[]).is_gru() && with(&["model.layers.0.bidirectional=false"]).is_gru());
    let both = ["model.layers.0.bidirectional=true", "model.layers.0.merge=concat"];
    assert_eq!(with(&both[..1]), with(&both));
    assert_eq!(with(&both).units(), Some(8));
}

#[test]
fn the_examples_can_be_set_and_differ_from_the_default() {
    for Row { key, default, example } in rows() {
        assert_ne!(default, example, "{key}");
        let example = code(&example).unwrap_or_else(|| panic!("{key}: {example}"));
        let layer = if key.ends_with("activation") { "layers.1" } else { "layers.0" };
        let encoder = match key.rsplit('.').next() {
            Some("vocabulary") => "encoder.0",
            Some("activation") => "encoder.1",
            _ => "encoder.2",
        };
        let set = format!("{}={example}", key.replace("layers", layer).replace("encoder", encoder));
        let needs = NEEDS.iter().filter(|(of, _)| *of == key).flat_map(|(_, needs)| *needs).copied();
        let file = key.starts_with("data.csv.").then_some("data.train=a.csv");
        let sets: Vec<&str> = needs.chain(file).chain([set.as_str()]).collect();
        let bases = [CLASSES, MINIMAL, SEQUENCE].map(|base| load(base, &sets));
        let ([Ok(config), ..] | [_, Ok(config), _] | [.., Ok(config)]) = bases else { panic!("{key}: {bases:?}") };
        // What the run's folder keeps says the same again.
        assert_eq!(load(&config.to_toml(), &[]).unwrap().to_toml(), config.to_toml(), "{key}");
        let stated: toml::Table = format!("v = {example}").parse().unwrap();
        if ["data.train", "data.test", "data.validation.file", "train.init", "train.run_dir"].contains(&key.as_str()) {
            let path = value(&config, &key).unwrap();
            assert!(Path::new(path.as_str().unwrap()).ends_with(stated["v"].as_str().unwrap()), "{key}: {path}");
        } else if stated["v"].is_array() {
            let text = config.to_toml();
            let last = key.rsplit('.').next().unwrap();
            assert!(text.contains(&format!("{last} = {}", stated["v"])), "{key} in {text}");
        } else {
            assert!(values(&config, &key).contains(&stated["v"]), "{key}");
        }
    }
}
