//! What other files than that of the training call their channels and classes.

use crate::npz::{Array, npz};
use crate::support::Bench;

/// Series of four steps of two channels, whose class is which of the channels is larger, called as `channels` and `classes` say.
fn archive(channels: [&str; 2], units: [&str; 2], classes: [&str; 2]) -> Vec<u8> {
    let swapped = usize::from(channels == ["b", "a"]);
    let x = (0..24 * 4).flat_map(|row| {
        let (series, step) = (row / 4, row % 4);
        let both = [(series % 2) as f32 + 0.1 * step as f32, 0.5 + 0.01 * (series as f32)];
        [both[swapped], both[1 - swapped]]
    });
    let low = i32::from(classes == ["high", "low"]);
    let y: Vec<i32> = (0..24).map(|series| (series % 2) ^ low).collect();
    let words = |name: &'static str, descr: &'static str, words: [&str; 2], size: usize| {
        let padded = words.iter().flat_map(|word| word.chars().chain(std::iter::repeat('\0')).take(size));
        let bytes = padded.flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
        Array { name, descr, fortran: false, shape: vec![2], bytes }
    };
    npz(&[
        Array::f32("x", &[24, 4, 2], x),
        Array::i32("y", &y),
        words("channels", "<U1", channels, 1),
        words("units", "<U2", units, 2),
        words("classes", "<U4", classes, 4),
    ])
}

#[test]
fn channels_and_classes_of_arrays_are_found_by_their_names() {
    let bench = Bench::new();
    let usual = (["a", "b"], ["g", ""], ["low", "high"]);
    let put = |name: &str, (channels, units, classes)| bench.put(name, archive(channels, units, classes));
    put("train.npz", usual);
    put("usual.npz", usual);
    put("channels.npz", (["b", "a"], ["", "g"], usual.2));
    put("classes.npz", (usual.0, usual.1, ["high", "low"]));
    put("other.npz", (["p", "q"], usual.1, usual.2));
    put("units.npz", (usual.0, ["mg", ""], usual.2));
    put("third.npz", (usual.0, usual.1, ["low", "odd"]));
    let config = bench.text("config.toml").replace("units = [\"m\", \"\"]\n", "").replace("csv", "npz");
    bench.put("names.toml", config);
    let train = |test: &str| {
        let test = format!("data.test={test}.npz");
        let set = ["data.train=train.npz", &test, "data.classes=classes", "train.epochs=30", "train.run_dir=run"];
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        [&["train", "names.toml", "--overwrite", "--json"], &set[..]]
            .concat()
            .iter()
            .map(|&arg| arg.to_owned())
            .collect()
    };
    let run = |args: Vec<String>| bench.grulet(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let expected = run(train("usual")).ok().json()["test"].clone();
    assert_eq!(expected["accuracy"], 1.0, "{expected}");
    let evaluate = |file: &str| bench.grulet(&["evaluate", "run", file, "--json"]);
    for file in ["usual", "channels", "classes"] {
        assert_eq!(run(train(file)).ok().json()["test"], expected, "{file}");
        let scores = &evaluate(&format!("{file}.npz")).ok().json()["scores"];
        assert_eq!((&scores["loss"], &scores["accuracy"]), (&expected["loss"], &expected["accuracy"]), "{file}");
    }
    for (file, phrases) in [
        ("other.npz", ["input channels are p, q, but the training had a, b", "`data.channels`"]),
        ("units.npz", ["channel \"a\" is in mg, but the training had it in g", "`data.units`"]),
        ("third.npz", ["\"odd\", which is none of the classes", "low"]),
    ] {
        evaluate(file).failed(&phrases);
        run(train(file.strip_suffix(".npz").unwrap())).failed(&phrases);
    }
    // A file without names has the training's.
    let (x, y) = ((0..4 * 2).map(|i| i as f32), [0]);
    bench.put("nameless.npz", npz(&[Array::f32("x", &[1, 4, 2], x), Array::i32("y", &y)]));
    let keys = ["--set", "data.channels=channels", "--set", "data.units=units", "--set", "data.classes=classes"];
    let run =
        ["train", "names.toml", "--overwrite", "--set", "data.train=train.npz", "--set", "data.test=nameless.npz"];
    bench.grulet(&[&run[..], &keys, &["--set", "train.run_dir=keys"]].concat()).ok();
    bench.grulet(&["evaluate", "keys", "nameless.npz"]).ok();
    // Whoever names the channels is believed.
    let named = ["evaluate", "run", "other.npz", "--json", "--set", "data.channels=[\"a\",\"b\"]"];
    assert_eq!(bench.grulet(&named).ok().json()["scores"]["loss"], expected["loss"]);
}

#[test]
fn a_table_whose_columns_are_called_like_each_other_is_refused() {
    let bench = Bench::new();
    let swapped = ["train", "config.toml", "--set", "data.channels=[\"b\",\"a\"]"];
    bench.refuses(&swapped, &["`data.channels` calls the input column \"a\" \"b\"", "`data.csv.features`"]);
    bench.grulet(&["train", "config.toml", "--dry-run", "--set", "data.channels=[\"a\",\"height\"]"]).ok();
}

#[test]
fn numbers_that_are_names_mean_the_same_in_tables_and_arrays() {
    let bench = Bench::new();
    let labels = |text: &str| text.replace(",up,", ",7,").replace(",down,", ",3,");
    bench.put("train.csv", labels(&bench.text("train.csv")));
    bench.put("test.csv", labels(&bench.text("test.csv")));
    let rows: Vec<f32> = bench
        .text("test.csv")
        .lines()
        .skip(1)
        .flat_map(|row| row.split(',').skip(3).map(|cell| cell.parse().unwrap()).collect::<Vec<f32>>())
        .collect();
    let y: Vec<i32> = (20..26).map(|series| if series % 2 == 0 { 7 } else { 3 }).collect();
    bench.put("test.npz", npz(&[Array::f32("x", &[6, 8, 2], rows), Array::i32("y", &y)]));
    let set = ["--set", "data.classes=[\"7\",\"3\"]", "--set", "train.epochs=20"];
    bench.grulet(&[&["train", "config.toml"], &set[..]].concat()).ok();
    let scores = |file: &str| bench.grulet(&["evaluate", "runs/config", file, "--json"]).ok().json()["scores"].clone();
    let of_table = scores("test.csv");
    assert!(of_table["accuracy"].as_f64() > Some(0.8), "{of_table}");
    assert_eq!(scores("test.npz"), of_table);
}
