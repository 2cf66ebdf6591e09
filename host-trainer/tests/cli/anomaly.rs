//! `grulet anomaly`: the threshold from the training part, faults found in other data, labels beside them.

use crate::support::Bench;

/// A network that forecasts `a`, on a table with the columns `t,a`, of which the last third is held out for validation.
const CONFIG: &str = r#"
[data]
train = "wave.csv"
test = "later.csv"
horizon = 2
csv = { label = "a" }
validation = { fraction = 0.25 }
[model]
output = "every_step"
layers = [{ type = "gru", units = 6 }, { type = "dense", units = 1 }]
[train]
loss = "mse"
epochs = 60
learning_rate = 0.03
"#;

/// A swinging value and its double, from step `first` on; `fault` says what is added and named where.
fn wave(first: usize, count: usize, fault: impl Fn(usize) -> Option<(f64, &'static str)>) -> String {
    let mut text = "t,a,b,fault\n".to_owned();
    for t in first..first + count {
        let (off, name) = fault(t - first).unwrap_or((0.0, "0"));
        let a = (0.5 * t as f64).sin() + 0.1 * (2.3 * t as f64).sin() + off;
        text += &format!("{t},{a:.4},{:.4},{name}\n", 2.0 * a);
    }
    text
}

/// The same without the column of faults.
fn unlabelled(text: &str) -> String {
    text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n").collect()
}

/// A spike of one step, and a fault of four.
fn faults(step: usize) -> Option<(f64, &'static str)> {
    match step {
        30 => Some((3.0, "1")),
        60..64 => Some((-3.0, "1")),
        _ => None,
    }
}

fn trained() -> Bench {
    let bench = Bench::new();
    bench.put("wave.csv", unlabelled(&wave(0, 400, |_| None)));
    bench.put("later.csv", unlabelled(&wave(400, 100, |_| None)));
    bench.put("faults.csv", wave(400, 100, faults));
    let features = CONFIG.replace("label = \"a\"", "label = \"a\", features = [\"a\", \"b\"]");
    bench.put("config.toml", features);
    bench.grulet(&["train", "config.toml"]).ok();
    bench
}

#[test]
fn faults_are_found_where_they_are_measured() {
    let bench = trained();
    let args = ["anomaly", "runs/config", "faults.csv", "--quantile", "0.99", "--label", "fault", "-o", "scores.csv"];
    let text = bench.grulet(&args).ok().stdout;
    for part in ["the quantile 0.99 of 298 training steps, of which 2 are above", "const LIMIT: f32 = ", "roc-auc"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let found = bench.grulet(&[&args[..], &["--json"]].concat()).ok().json();
    let labels = &found["labels"];
    assert_eq!((&labels["steps"], &labels["events"], &labels["events_found"]), (&5.into(), &2.into(), &2.into()));
    assert_eq!(labels["kinds"][0]["label"], "1");
    // Three quarters of 400 steps without the two whose value 2 steps later is not among them.
    assert_eq!(found["detector"]["training_steps"], 298);

    // The score of a step is that of the value measured then, so that a spike is seen at its own step and not two before.
    let rows: Vec<Vec<String>> = bench.text("scores.csv").lines().skip(1).map(split).collect();
    assert_eq!((rows.len(), &rows[0][..2]), (98, &["0".to_owned(), "2".to_owned()][..]));
    for row in &rows {
        let step: usize = row[1].parse().unwrap();
        let fault = faults(step).is_some();
        assert_eq!(row[4], if fault { "1" } else { "0" }, "{row:?}");
        if fault {
            assert_eq!(row[3], "1", "{row:?}");
        } else if step < 30 {
            assert!(row[2].parse::<f64>().unwrap() < 5.0, "{row:?}");
        }
    }
    let flagged = rows.iter().filter(|row| row[3] == "1").count();
    assert_eq!(found["flagged"], flagged);
    let longest = &found["stretches"][0];
    assert!(longest["from"].as_u64() <= Some(60) && longest["to"].as_u64() >= Some(63), "{longest}");

    // Without labels the same scores, by the run's own test file too.
    let plain = bench.grulet(&["anomaly", "runs/config", "faults.csv", "--quantile", "0.99", "--json"]).ok().json();
    assert_eq!((&plain["flagged"], plain["labels"].is_null()), (&found["flagged"], true));
    let calm = bench.grulet(&["anomaly", "runs/config", "--quantile", "0.99", "--json"]).ok().json();
    assert!(calm["flagged"].as_u64() < plain["flagged"].as_u64(), "{calm}");
    assert_eq!(calm["detector"], plain["detector"]);
}

fn split(line: &str) -> Vec<String> {
    line.split(',').map(str::to_owned).collect()
}

#[test]
fn the_firmwares_lines_give_the_same_flags() {
    let bench = trained();
    let args = ["anomaly", "runs/config", "faults.csv", "--quantile", "0.98", "-o", "scores.csv", "--json"];
    let detector = bench.grulet(&args).ok().json()["detector"].clone();
    let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
    let (inverse_rms, limit) = ([number(&detector["inverse_rms"][0])], number(&detector["limit"]));
    let answers = bench.grulet(&["predict", "runs/config", "faults.csv"]).ok().stdout;
    let forecasts: Vec<f32> =
        answers.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    let measured: Vec<f32> =
        bench.text("faults.csv").lines().skip(1).map(|line| split(line)[1].parse().unwrap()).collect();
    let scores = bench.text("scores.csv");
    let flags = scores.lines().skip(1).map(|line| split(line)[3] == "1");
    for (step, flag) in (2..).zip(flags) {
        let mut sum = 0.0;
        for (o, inverse_rms) in inverse_rms.iter().enumerate() {
            let error = ([measured[step]][o] - [forecasts[step - 2]][o]) * inverse_rms;
            sum += error * error;
        }
        assert_eq!(sum > limit, flag, "step {step}");
    }
}

#[test]
fn a_column_of_labels_is_no_input() {
    let bench = Bench::new();
    bench.put("wave.csv", unlabelled(&wave(0, 400, |_| None)));
    bench.put("later.csv", unlabelled(&wave(400, 100, |_| None)));
    bench.put("faults.csv", wave(400, 100, faults));
    // All columns that are nothing else are inputs, under other names: only `b` here.
    bench.put("config.toml", CONFIG.replace("horizon = 2", "channels = [\"pressure\"]"));
    bench.grulet(&["train", "config.toml"]).ok();
    let args = ["anomaly", "runs/config", "faults.csv", "--quantile", "0.99", "--label"];
    bench.grulet(&[&args[..], &["fault"]].concat()).ok();
    bench.refuses(&[&args[..], &["b"]].concat(), &["--label b", "input of the model"]);
    bench.refuses(&[&args[..], &["fults"]].concat(), &["no column \"fults\"", "did you mean \"fault\"", "--label"]);
}

#[test]
fn what_cannot_work_is_refused() {
    let bench = trained();
    bench.refuses(
        &["anomaly", "runs/config"],
        &["wave.csv", "0.999", "1000 training steps", "298", "--quantile 0.99664"],
    );
    bench.refuses(&["anomaly", "runs/config", "--quantile", "1"], &["between 0 and 1"]);
    let labelled =
        ["anomaly", "runs/config", "faults.csv", "--quantile", "0.9", "--label", "fault", "--normal", "none"];
    bench.refuses(&labelled, &["no step has the label \"none\"", "--normal: \"0\", \"1\""]);
    bench.put("runs/alone.gru", bench.read("runs/config/model.gru"));
    bench.refuses(&["anomaly", "runs/alone.gru", "faults.csv"], &["no configuration beside the model", "--config"]);
    bench.refuses(&["anomaly", "runs/config", "--quantile", "0.9", "-o", "wave.csv"], &["--output", "wave.csv"]);
    bench.refuses(&["anomaly", "runs/config", "--json", "faults.csv"], &["--json", "faults.csv"]);

    let both = bench
        .text("config.toml")
        .replace("horizon = 2\n", "window = 20\n")
        .replace("[\"a\", \"b\"]", "[\"b\"]")
        .replace("units = 6", "units = 6, bidirectional = true");
    bench.put("both.toml", both);
    bench.grulet(&["train", "both.toml", "--set", "train.epochs=1"]).ok();
    bench.refuses(&["anomaly", "runs/both", "--quantile", "0.9"], &["from both ends", "without `bidirectional`"]);

    let classes = Bench::trained();
    classes.refuses(&["anomaly", "runs/config"], &["classifier", "data.horizon"]);
    let last = crate::support::CONFIG
        .replace("units = 2, activation = \"softmax\"", "units = 1")
        .replace("sparse_categorical_crossentropy", "mse")
        .replace("units = [\"m\", \"\"]", "csv = { label = \"b\", features = [\"a\"] }");
    let constant: String = "series,a,b\n".to_owned()
        + &(0..160).map(|row| format!("{},{}.5,{}\n", row / 8, row % 7, row / 8)).collect::<String>();
    classes.put("train.csv", &constant);
    classes.put("test.csv", &constant);
    classes.put("last.toml", last);
    classes.grulet(&["train", "last.toml"]).ok();
    classes.refuses(&["anomaly", "runs/last"], &["does not answer at every step", "every_step"]);
}
