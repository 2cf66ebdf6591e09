//! A target beside the host: models of each kind, and faults that must be found. The target here is the host itself.

use serde_json::Value;

use crate::support::Bench;
use crate::{bidirectional, sequence};

/// What `validate` prints of a model that is as it should be: the bits are equal, and so are the scores to those of `evaluate`.
fn validated(bench: &Bench, model: &str) -> Value {
    let found = bench.grulet(&["validate", model, "--config", "config.toml", "--target", "host", "--json"]).ok().json();
    assert_eq!(found["host_hash"], found["target_hash"]);
    assert_eq!((&found["difference"], &found["left_out"]), (&Value::Null, &Value::from(0)), "{found}");
    assert_eq!((found["target_host"]["rmse"].as_f64(), found["target_host"]["nse"].as_f64()), (Some(0.0), Some(1.0)));
    let scores = bench.grulet(&["evaluate", model, "--config", "config.toml", "--json"]).ok().json();
    let (accuracy, found_accuracy) = (&scores["scores"]["accuracy"], &found["host_labels"]["acc"]);
    let (accuracy, found_accuracy) = (accuracy.as_f64().unwrap() * 100.0, found_accuracy.as_f64().unwrap());
    assert!((accuracy - found_accuracy).abs() < 1e-4 && accuracy > 50.0, "{accuracy} and {found_accuracy}");
    found
}

#[test]
fn windows_are_compared() {
    let bench = bidirectional::bench();
    bench.grulet(&["train", "config.toml"]).ok();
    bench.grulet(&["quantize", "runs/config"]).ok();
    for model in ["runs/config/model.gru", "runs/config/model_int8.gru"] {
        let found = validated(&bench, model);
        assert_eq!((&found["series"], &found["decoder_steps"]), (&Value::from(60), &Value::from(0)));
    }
    let text = bench.grulet(&["validate", "runs/config", "--target", "host"]).ok().stdout;
    for part in ["60 series, ", " steps on host", "target, labels", "host, labels", "outputs bit-identical: yes (hash "]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// Labels need not be there, so that their lack is never the fault.
#[test]
fn what_is_wrong_with_data_without_labels_is_told() {
    let bench = Bench::trained();
    bench.put("nan.csv", "a,b\n1,2\n1,nan\n");
    bench.put("empty.csv", "a,b\n");
    for (data, phrase) in [("nan.csv", "line 3, column \"b\""), ("empty.csv", "no data")] {
        bench.refuses(&["validate", "runs/config", data, "--target", "host"], &[data, phrase]);
    }
    bench.put("plain.csv", "a,b\n1,2\n1,3\n");
    bench.grulet(&["validate", "runs/config", "plain.csv", "--target", "host"]).ok();
}

#[test]
fn sequences_are_compared() {
    let bench = sequence::bench();
    bench.grulet(&["train", "config.toml"]).ok();
    bench.grulet(&["quantize", "runs/config"]).ok();
    for model in ["runs/config/model.gru", "runs/config/model_int8.gru"] {
        let found = validated(&bench, model);
        // Texts of three letters, and a stop token for each.
        assert_eq!((&found["steps"], &found["decoder_steps"]), (&Value::from(3 * 19), &Value::from(4 * 19)));
    }
    // Without labels, the host writes what the decoder takes.
    bench.put("questions.csv", "source\nab\ncab\n");
    let found = bench.grulet(&["validate", "runs/config", "questions.csv", "--target", "host", "--json"]).ok().json();
    let written = bench.grulet(&["predict", "runs/config", "questions.csv"]).ok().stdout;
    let letters: usize = written.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().len()).sum();
    assert_eq!(
        (&found["host_labels"], &found["decoder_steps"]),
        (&Value::Null, &Value::from(letters + 2)),
        "{written}"
    );
}

#[test]
fn the_first_difference_is_named() {
    let bench = Bench::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let example = |name: &str| format!("{root}/examples/{name}");
    let (table, config) = (example("addition_test.csv"), example("addition.toml"));
    let addition = [&table, "--config", &config, "--series", "30"];
    let rows: String = (0..25).map(|t| format!("{},{t},0.{t},-0.3,{}\n", t / 16, t % 7)).collect();
    bench.put("windows.csv", "series,t,a,b,c\n".to_owned() + &rows);
    for (name, data, share, layer) in [
        ("window", &["windows.csv"][..], 0.4, 0),
        ("window", &["windows.csv"], 0.9, 2),
        ("addition", &addition, 0.3, 1),
        ("addition", &addition, 0.8, 3),
        ("addition", &addition, 0.98, 4),
        ("addition_int8", &addition, 0.5, 3),
    ] {
        let model = format!("{root}/tests/models/{name}.gru");
        // Another bit in a weight that lies at that share of the file.
        let mut bytes = std::fs::read(&model).unwrap();
        let sum = bytes.len() - 4;
        let at = (bytes.len() as f64 * share) as usize & !15;
        bytes[at] ^= 0x40;
        let checksum = grulet::blob::checksum(&bytes[..sum]).to_le_bytes();
        bytes[sum..].copy_from_slice(&checksum);
        bench.put("faulty.gru", bytes);

        let arguments = [&["validate", &model], data, &["--target", "host", "--target-model", "faulty.gru"]].concat();
        let ran = bench.grulet(&arguments);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        for part in ["outputs bit-identical: no", "first difference: series ", &format!(", layer {layer}, element ")] {
            assert!(ran.stdout.contains(part), "{name}, {share}: {part} in {}", ran.stdout);
        }
        assert!(ran.stderr.contains("the target does not give the host's bits"), "{}", ran.stderr);
        let found = bench.grulet(&[&arguments[..], &["--json"]].concat()).json();
        let difference = &found["difference"];
        assert!(found["host_hash"] != found["target_hash"] && difference["host"] != difference["target"], "{found}");
        assert!(difference["ulp"].as_u64().unwrap() > 0, "{found}");
    }
}
