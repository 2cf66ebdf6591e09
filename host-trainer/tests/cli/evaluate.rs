//! `grulet evaluate`: what is behind the scores, as text, JSON and a picture.

use serde_json::Value;

use crate::support::{Bench, CONFIG};

/// A network for the table's labels as other kinds of target.
fn config(output: &str, activation: &str, loss: &str) -> String {
    CONFIG
        .replace("last_step", output)
        .replace("units = 2, activation = \"softmax\"", &format!("units = 1, activation = \"{activation}\""))
        .replace("sparse_categorical_crossentropy", loss)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn another_horizon_than_the_models_is_refused() {
    let bench = Bench::new();
    bench.put("ahead.toml", config("every_step", "linear", "mse").replace("[data]", "[data]\nhorizon = 2"));
    let set = ["--set", "data.csv.label=b", "--set", "data.csv.features=[\"a\"]"];
    bench.grulet(&[&["train", "ahead.toml", "--set", "data.units=[\"m\"]"], &set[..]].concat()).ok();
    bench.grulet(&["evaluate", "runs/ahead"]).ok();
    bench.refuses(
        &["evaluate", "runs/ahead", "--set", "data.horizon=0"],
        &["`data.horizon` is 0, but the model looks 2 steps ahead", "--config"],
    );
}

#[test]
fn classes_have_scores_a_matrix_and_a_picture() {
    let bench = Bench::trained();
    let ran = bench.grulet(&["evaluate", "runs/config", "--json", "e.json", "--svg", "e.svg"]).ok();
    let evaluation = bench.json("e.json");
    let details = &evaluation["details"];
    assert_eq!(details["task"], "classes");
    assert_eq!((&details["classes"][0]["name"], &details["classes"][1]["name"]), (&"down".into(), &"up".into()));
    // The matrix against the answers that `predict` gives: the series are up and down in turn.
    let mut counts = [[0u64; 2]; 2];
    let answers = bench.grulet(&["predict", "runs/config", "--json"]).ok().json();
    for (index, answer) in answers.as_array().unwrap().iter().enumerate() {
        let up = number(&answer["outputs"]["up"]) > number(&answer["outputs"]["down"]);
        counts[usize::from(index % 2 == 0)][usize::from(up)] += 1;
    }
    assert_eq!(details["confusion"], serde_json::json!(counts));
    let right = (counts[0][0] + counts[1][1]) as f64;
    assert_eq!(evaluation["scores"]["accuracy"], right / 6.0);
    assert_eq!(details["classes"][1]["recall"], counts[1][1] as f64 / 3.0);
    assert_eq!(details["top_k"], serde_json::json!([]), "of two classes, the two most probable say nothing");
    // The run has told the same.
    assert_eq!(&bench.json("runs/config/report.json")["test_details"], details);

    for part in ["class ", "precision", "macro average", "confusion matrix: rows are actual", "down      up"] {
        assert!(ran.stdout.contains(part), "no {part:?} in\n{}", ran.stdout);
    }
    let svg = bench.text("e.svg");
    assert!(svg.starts_with("<svg") && svg.contains("\ndown\n") && svg.contains("\nup\n"), "{svg}");
    assert!(svg.contains("recall"), "{svg}");
}

#[test]
fn a_class_that_never_occurs_is_said_to() {
    let bench = Bench::trained();
    let up: String =
        bench.text("test.csv").lines().filter(|line| !line.contains("down")).map(|l| l.to_owned() + "\n").collect();
    bench.put("up.csv", up);
    let text = bench.grulet(&["evaluate", "runs/config", "up.csv"]).ok().stdout;
    assert!(text.contains("never occurs"), "{text}");
    let details = bench.grulet(&["evaluate", "runs/config", "up.csv", "--json"]).ok().json()["details"].clone();
    let down = &details["classes"][0];
    assert_eq!((&down["recall"], &down["f1"], &down["support"]), (&0.0.into(), &0.0.into(), &0.into()));
}

#[test]
fn top_k_is_for_several_classes() {
    let bench = Bench::trained();
    let ran = bench.grulet(&["evaluate", "runs/config", "--top-k", "1", "--json"]).ok().json();
    assert_eq!(ran["details"]["top_k"], serde_json::json!([{ "k": 1, "accuracy": ran["scores"]["accuracy"] }]));
    let text = bench.grulet(&["evaluate", "runs/config", "--top-k", "1"]).ok().stdout;
    assert!(text.contains("\n  top-1     "), "{text}");
    for k in ["0", "2"] {
        bench.refuses(&["evaluate", "runs/config", "--top-k", k], &["--top-k is", "from 1 to 1"]);
    }
    bench.put("binary.toml", config("last_step", "sigmoid", "binary_crossentropy"));
    bench.grulet(&["train", "binary.toml"]).ok();
    bench.refuses(&["evaluate", "runs/binary", "--top-k", "1"], &["--top-k", "several classes", "leave it out"]);
}

#[test]
fn binary_outputs_have_the_area_under_their_curve() {
    let bench = Bench::new();
    bench.put("config.toml", config("last_step", "sigmoid", "binary_crossentropy"));
    bench.grulet(&["train", "config.toml"]).ok();
    let ran = bench.grulet(&["evaluate", "runs/config", "--json", "e.json", "--svg", "e.svg"]).ok();
    let output = &bench.json("e.json")["details"]["outputs"][0];
    // Every up against every down.
    let answers = bench.grulet(&["predict", "runs/config", "--json"]).ok().json();
    let scores: Vec<f64> = answers.as_array().unwrap().iter().map(|a| number(&a["outputs"]["y0"])).collect();
    let (ups, downs) = (scores.iter().step_by(2), scores.iter().skip(1).step_by(2));
    let wins: f64 = ups.flat_map(|up| downs.clone().map(move |down| f64::from(u8::from(up > down)))).sum();
    assert_eq!(output["roc_auc"], wins / 9.0);
    assert_eq!((&output["output"], &output["classes"][1]["name"]), (&"y0".into(), &"up".into()));
    assert!(ran.stdout.contains("y0, ROC-AUC "), "{}", ran.stdout);
    assert!(bench.text("e.svg").contains(", y0, ROC-AUC "));

    // Of one class there is no curve, and JSON has no NaN.
    let up: String =
        bench.text("test.csv").lines().filter(|line| !line.contains("down")).map(|l| l.to_owned() + "\n").collect();
    bench.put("up.csv", up);
    let one = bench.grulet(&["evaluate", "runs/config", "up.csv", "--json"]).ok().json();
    assert!(one["details"]["outputs"][0]["roc_auc"].is_null(), "{one}");
    let text = bench.grulet(&["evaluate", "runs/config", "up.csv"]).ok().stdout;
    assert!(text.contains("no ROC-AUC: all targets are alike"), "{text}");
}

#[test]
fn regressions_have_errors_per_output() {
    let bench = Bench::new();
    let ahead = "csv = { label = [\"a\", \"b\"], features = [\"a\", \"b\"] }\nhorizon = 1";
    let config = config("every_step", "linear", "mse").replace("units = 1", "units = 2");
    bench.put("config.toml", config.replace("units = [\"m\", \"\"]", ahead));
    bench.grulet(&["train", "config.toml"]).ok();
    let ran = bench.grulet(&["evaluate", "runs/config", "--json", "e.json", "--svg", "e.svg"]).ok();
    let evaluation = bench.json("e.json");
    let (scores, details) = (&evaluation["scores"], &evaluation["details"]);
    assert_eq!((&details["all"]["mae"], &details["all"]["r2"]), (&scores["mae"], &scores["r2"]));
    let all = number(&details["all"]["rmse"]);
    assert!((all * all - number(&scores["mse"])).abs() < 1e-9, "{evaluation}");
    let mae = |index: usize| number(&details["outputs"][index]["mae"]);
    assert!((mae(0) + mae(1) - 2.0 * number(&scores["mae"])).abs() < 1e-9 && mae(0) != mae(1), "{details}");
    assert!(ran.stdout.contains("rmse") && ran.stdout.contains("\n  b "), "{}", ran.stdout);
    let svg = bench.text("e.svg");
    assert!(svg.contains("<circle") && svg.contains("config, b, R² ") && svg.contains("predicted"), "{svg}");
}

/// As Keras's `timeseries_dataset_from_array` has it: a window of samples, and what comes after it.
#[test]
fn windows_forecast_what_comes_after_them() {
    let bench = Bench::new();
    let ahead = "csv = { label = \"b\", features = [\"a\", \"b\"] }\nwindow = 5\nstride = 1\nhorizon = 2";
    let config = config("last_step", "linear", "mse").replace("units = [\"m\", \"\"]", ahead);
    let config = config.replace("{ type = \"gru\"", "{ type = \"gru\", bidirectional = true");
    bench.put("config.toml", config);
    bench.grulet(&["train", "config.toml"]).ok();
    let report = bench.json("runs/config/report.json");
    let names: Vec<&str> =
        report["baselines"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names[1..], ["persistence", "ridge regression on mean, std, min, max, last"]);

    // By hand: the answers to all windows beside the column, two rows after each window's last.
    let answers = bench.grulet(&["predict", "runs/config", "--json"]).ok().json();
    let text = bench.text("test.csv");
    let mut series: Vec<(&str, Vec<f64>)> = Vec::new();
    for row in text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>()) {
        if series.last().is_none_or(|last| last.0 != row[0]) {
            series.push((row[0], Vec::new()));
        }
        series.last_mut().unwrap().1.push(row[4].parse().unwrap());
    }
    let (mut squares, mut persistence, mut count) = (0.0, 0.0, 0.0);
    let mut answers = answers.as_array().unwrap().iter();
    for (_, b) in &series {
        for last in 4..b.len() {
            let answer = number(&answers.next().unwrap()["outputs"]["b"]);
            if let Some(target) = b.get(last + 2) {
                squares += (answer - target).powi(2);
                persistence += (b[last] - target).powi(2);
                count += 1.0;
            }
        }
    }
    assert!(answers.next().is_none());
    let scores = &report["test"];
    assert!((number(&scores["mse"]) - squares / count).abs() < 1e-6, "{scores}");
    assert!((number(&report["baselines"][1]["scores"]["mse"]) - persistence / count).abs() < 1e-6, "{report}");
    // The file alone knows its window and its horizon.
    let alone = ["evaluate", "runs/config/model.gru", "test.csv", "--json", "--set", "data.csv.label=b"];
    let alone = [&alone[..], &["--set", "data.csv.features=[\"a\",\"b\"]", "--set", "data.stride=1"]].concat();
    assert_eq!(bench.grulet(&alone).ok().json()["scores"]["mse"], scores["mse"]);
}

/// A run remembers which columns its channels are, whatever they are called.
#[test]
fn columns_in_another_order_are_found_by_their_names() {
    let bench = Bench::new();
    bench.grulet(&["train", "config.toml", "--set", "data.channels=[\"height\", \"swing\"]"]).ok();
    let test = bench.json("runs/config/report.json")["test"].clone();
    let turned: String = bench
        .text("test.csv")
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            [cells[4], cells[3], cells[0], cells[1], cells[2]].join(",") + "\n"
        })
        .collect();
    bench.put("turned.csv", turned);
    let evaluated = bench.grulet(&["evaluate", "runs/config", "turned.csv", "--json"]).ok().json();
    assert_eq!(evaluated["scores"], test, "{evaluated}");
}

#[test]
fn data_and_models_are_not_written_over() {
    let bench = Bench::trained();
    // The next word is the option's file, not the data.
    bench.refuses(&["evaluate", "runs/config", "--json", "test.csv"], &["--json", "test.csv", "give model and data"]);
    bench.refuses(&["evaluate", "runs/config", "--svg", "runs/config/model.gru"], &["--svg", "model.gru"]);
    bench.refuses(&["evaluate", "--json", "runs", "runs/config"], &["--json", "runs"]);
    bench.refuses(&["evaluate", "runs/config", "--json", "none/e.json"], &["none/e.json", "cannot write"]);
}
