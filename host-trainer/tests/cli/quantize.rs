//! `grulet quantize`: a model in integers that every other command takes, and refusals that leave nothing behind.

use crate::support::{Bench, CONFIG, table};

#[test]
fn a_run_is_quantised_and_compared() {
    let bench = Bench::trained();
    let out = bench.grulet(&["quantize", "runs/config"]).ok().stdout;
    for part in ["type Net = (Gru<2, 4, Int8>, Dense<4, 2, Softmax, Int8>);", "accuracy", "saturated", "rms difference"]
    {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    assert!(bench.read("runs/config/model_int8.gru").len() < bench.read("runs/config/model.gru").len());

    let out = bench.grulet(&["inspect", "runs/config/model_int8.gru"]).ok().stdout;
    assert!(out.contains("Gru<2, 4, Int8>") && out.contains("self-test over") && out.contains("passed"), "{out}");
    let f32 = bench.grulet(&["predict", "runs/config/model.gru", "test.csv"]).ok().stdout;
    let int8 = bench.grulet(&["predict", "runs/config/model_int8.gru", "test.csv"]).ok().stdout;
    assert_eq!(f32.lines().count(), int8.lines().count());
    assert_ne!(f32, int8);
    // Probabilities of two formats of one model.
    let numbers = |text: &str| -> Vec<f64> {
        text.lines().skip(1).flat_map(|line| line.split(',').skip(2).map(|cell| cell.parse().unwrap())).collect()
    };
    let largest = numbers(&f32).iter().zip(numbers(&int8)).fold(0f64, |max, (a, b)| max.max((a - b).abs()));
    assert!(largest < 0.05, "{largest}");
}

#[test]
fn checkpoint_and_model_give_the_same_integers() {
    let bench = Bench::trained();
    bench.grulet(&["quantize", "runs/config/best.ckpt", "-o", "a.gru"]).ok();
    bench.grulet(&["quantize", "runs/config/model.gru", "-o", "b.gru"]).ok();
    assert_eq!(bench.read("a.gru"), bench.read("b.gru"));
}

#[test]
fn the_report_is_json_and_a_picture_on_demand() {
    let bench = Bench::trained();
    let args = ["quantize", "runs/config", "--json", "report.json", "--svg", "report.svg", "--method", "mse"];
    bench.grulet(&args).ok();
    let report = bench.json("report.json");
    assert!(report["int8"]["scores"]["accuracy"].is_number(), "{report}");
    assert!(bench.text("report.svg").contains("<svg"));
    let printed = bench.grulet(&["quantize", "runs/config", "--json"]).ok().stdout;
    assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{printed}");
}

#[test]
fn what_cannot_be_quantised_is_refused() {
    let bench = Bench::trained();
    bench.put("none.csv", "series,label,t,a,b\n");
    let constant: String = (0..8).map(|t| format!("1,up,{t},0.5,2\n")).collect();
    bench.put("constant.csv", "series,label,t,a,b\n".to_owned() + &constant);
    bench.refuses(&["quantize", "runs/config", "--calib", "none.csv"], &["none.csv"]);
    bench.refuses(&["quantize", "runs/config", "--calib", "constant.csv"], &["constant", "as the sensor delivers"]);
    bench.refuses(&["quantize", "runs/config", "--calib", "missing.csv"], &["missing.csv", "check the path"]);
    bench.refuses(&["quantize", "runs/config", "--method", "percentile", "--percentile", "40"], &["percentile", "40"]);
    bench.refuses(&["quantize", "runs/config", "--drift", "10"], &["10 steps", "100000"]);

    // A step far beyond everything else takes the range for itself.
    let far = |line: &str| if line.starts_with("0,up,3,") { "0,up,3,1e30,2".to_owned() } else { line.to_owned() };
    let outlier: Vec<String> = table(0, 6).lines().map(far).collect();
    bench.put("outlier.csv", outlier.join("\n"));
    bench.refuses(&["quantize", "runs/config", "--calib", "outlier.csv"], &["range"]);
}

#[test]
fn a_drop_beyond_the_one_allowed_is_an_error() {
    let bench = Bench::new();
    // Mean squared error, which every rounding changes.
    let config = CONFIG
        .replace("last_step", "every_step")
        .replace("units = 2, activation = \"softmax\"", "units = 1")
        .replace("sparse_categorical_crossentropy", "mse")
        .replace("sample_rate = 25.0", "horizon = 1")
        .replace("units = [\"m\", \"\"]", "csv = { label = \"a\", features = [\"a\", \"b\"] }");
    bench.put("config.toml", config);
    bench.grulet(&["train", "config.toml"]).ok();
    // Calibrated where the sensor hardly moves, the integers saturate on the test.
    let small: String = (0..40).map(|t| format!("0,up,{t},0.00{},2.00{}\n", t % 7, t % 5)).collect();
    bench.put("small.csv", "series,label,t,a,b\n".to_owned() + &small);
    let args = ["quantize", "runs/config", "--calib", "small.csv", "--data", "test.csv", "--max-drop", "0.03"];
    bench.refuses(&args, &["worse", "in mse", "--max-drop"]);
    // It is told where such a model is used, too, and not of one that fits.
    bench.grulet(&[&args[..6], &["-o", "small.gru"]].concat()).ok();
    for command in ["evaluate", "predict"] {
        let args = [command, "small.gru", "test.csv", "--config", "config.toml"];
        let told = bench.grulet(&args).ok().stderr;
        assert!(told.contains("inputs are beyond what the calibration of this int8 model saw"), "{told}");
    }
    bench.grulet(&["quantize", "runs/config", "-o", "fits.gru"]).ok();
    let fits = bench.grulet(&["evaluate", "fits.gru", "train.csv", "--config", "config.toml"]).ok();
    assert_eq!(fits.stderr, "");
    bench.refuses(&["quantize", "runs/config", "--max-drop=-0.5"], &["--max-drop is -0.5"]);
}

#[test]
fn formats_of_f32_are_refused_for_integers() {
    let bench = Bench::trained();
    bench.grulet(&["quantize", "runs/config", "-o", "int8.gru"]).ok();
    bench.refuses(&["evaluate", "int8.gru", "test.csv", "--format", "fast"], &["--format", "int8"]);
    bench.refuses(&["quantize", "int8.gru", "--calib", "train.csv", "-o", "again.gru"], &["int8.gru", "Int8"]);
}

#[test]
fn training_goes_on_in_integers_the_same_for_any_threads() {
    let bench = Bench::new();
    let out = bench.grulet(&["train", "config.toml", "--qat", "--set", "train.threads=1"]).ok().stdout;
    assert_eq!(out.lines().filter(|line| line.starts_with("Int8, ")).count(), 2, "{out}");
    assert!(out.contains("the same in int8"), "{out}");
    let model = bench.read("runs/config/model_int8.gru");
    assert!(bench.json("runs/config/report.json")["int8"]["accuracy"].is_number());
    let out = bench.grulet(&["inspect", "runs/config/model_int8.gru"]).ok().stdout;
    assert!(out.contains("Gru<2, 4, Int8>"), "{out}");
    let set = ["--set", "train.threads=2", "--set", "train.qat_epochs=1"];
    bench.grulet(&[&["train", "config.toml", "--overwrite"], &set[..]].concat()).ok();
    assert_eq!(bench.read("runs/config/model_int8.gru"), model);
}

/// Which epoch's weights are in integers says the model, and its loss is that of the normalised targets.
#[test]
fn integers_are_judged_as_the_training_is() {
    let bench = Bench::new();
    let sets = [
        "data.csv.label=b",
        "data.csv.features=[\"a\"]",
        "data.units=[\"m\"]",
        "model.output=every_step",
        "model.layers=[{type=\"gru\",units=4},{type=\"dense\",units=1}]",
        "train.loss=mse",
        "train.epochs=10",
        "data.normalize_targets=true",
    ];
    let scaled = |name: &str| {
        let rows = bench.text(name);
        let mut lines = rows.lines().map(str::to_owned).collect::<Vec<_>>();
        for line in &mut lines[1..] {
            let (rest, b) = line.rsplit_once(',').unwrap();
            *line = format!("{rest},{}", 1000.0 * b.parse::<f64>().unwrap());
        }
        bench.put(name, lines.join("\n"));
    };
    ["train.csv", "test.csv"].iter().for_each(|name| scaled(name));
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "config.toml", "--qat"].into_iter().chain(sets).collect();
    let out = bench.grulet(&args).ok().stdout;
    let losses = out.lines().filter(|line| line.starts_with("Int8, "));
    let losses: Vec<f64> = losses.map(|line| line.rsplit_once(": ").unwrap().1.parse().unwrap()).collect();
    assert!(losses.len() == 4 && losses.iter().all(|loss| (0.1..3.0).contains(loss)), "{out}");
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let chosen = losses.iter().rposition(|&loss| loss == least).unwrap();
    let model = bench.grulet(&["inspect", "runs/config/model_int8.gru", "--json"]).ok().json();
    let found = &model["provenance"];
    assert!((found["value"].as_f64().unwrap() - least).abs() < 1e-4, "{found}, {losses:?}");
    if chosen > 0 {
        assert_eq!(found["epoch"], 10 + chosen, "{found}, {losses:?}");
    }
}

#[test]
fn what_cannot_be_had_in_integers_is_kept_in_f32() {
    let bench = Bench::new();
    // Inputs far from 0, which no unit of 16 bits can tell apart.
    let rows = bench.text("train.csv").replace(",0.", ",100000.").replace(",-0.", ",100000.");
    bench.put("train.csv", rows);
    let set = ["--set", "data.normalize=none", "--set", "train.learning_rate=1e-6"];
    let ran = bench.grulet(&[&["train", "config.toml", "--qat"], &set[..]].concat());
    let expected = ["in int8: ", "data.normalize", "runs/config/model.gru, in f32, and its report are written"];
    assert!(ran.code == 1 && expected.iter().all(|phrase| ran.stderr.contains(phrase)), "{}", ran.stderr);
    let report = bench.json("runs/config/report.json");
    assert!(report["int8"].is_null() && report["test"]["loss"].is_number(), "{report}");
    bench.grulet(&["evaluate", "runs/config"]).ok();
}

/// Groups are for splits: what calibrates needs none.
#[test]
fn data_for_calibration_need_no_groups() {
    let bench = Bench::new();
    let group = |text: String| -> String {
        let row = |line: &str| match line.split_once(',') {
            Some(("series", rest)) => format!("person,series,{rest}\n"),
            Some((series, rest)) => format!("p{},{series},{rest}\n", series.parse::<u32>().unwrap() / 5),
            None => String::new(),
        };
        text.lines().map(row).collect()
    };
    bench.put("grouped.csv", group(bench.text("train.csv")));
    let set = ["--set", "data.train=grouped.csv", "--set", "data.csv.group=person"];
    bench.grulet(&[&["train", "config.toml"], &set[..]].concat()).ok();
    bench.grulet(&["quantize", "runs/config", "--calib", "train.csv"]).ok();
    bench.grulet(&["predict", "runs/config", "train.csv", "--part", "train"]).ok();
}

#[test]
fn flags_without_effect_are_refused() {
    let bench = Bench::trained();
    let quantize = |more: &[&str], phrases: &[&str]| {
        bench.refuses(&[&["quantize", "runs/config", "-o", "int8.gru"], more].concat(), phrases);
    };
    quantize(&["--percentile", "60"], &["--percentile is for `--method percentile`"]);
    quantize(&["--method", "mse", "--percentile", "60"], &["--percentile is for `--method percentile`"]);
    quantize(&["--tolerance", "0.1"], &["--tolerance is for the values of a regression"]);
    quantize(&["--tolerance", "nan"], &["--tolerance is NaN", "0 or above"]);
    quantize(&["--tolerance=-1"], &["--tolerance is -1", "0 or above"]);
    bench.refuses(
        &["train", "config.toml", "--overwrite", "--qat", "--set", "train.qat_epochs=0"],
        &["--qat and --set"],
    );
}
