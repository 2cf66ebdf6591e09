//! Weights of targets stay with their targets.

use grulet_trainer::config::Config;
use grulet_trainer::data::{self, Batches, Prepared};
use grulet_trainer::nn::Batch;

use crate::npz::{Array, npz};

const CONFIG: &str = r#"
[data]
train = "train.npz"
normalize = "none"
[model]
output = "every_step"
layers = [{ type = "gru", units = 4 }, { type = "dense", units = 1 }]
[train]
loss = "mse"
epochs = 1
"#;

fn prepare(name: &str, file: &[u8], sets: &[&str]) -> Result<Prepared, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), file).unwrap();
    // Weights are not asked for in a test file.
    let test = b"series,a,label\n1,0.5,2\n1,0.25,3\n";
    std::fs::write(folder.path().join("test.csv"), test).unwrap();
    let train = format!("data.train={name}");
    let weight = if name.ends_with(".npz") { "data.npz.weight=w" } else { "data.csv.weight=trust" };
    let sets = [&[train.as_str(), weight], sets].concat();
    let config = Config::parse(&folder.path().join("a.toml"), CONFIG, &sets).map_err(|error| error.to_string())?;
    data::prepare(&config).map_err(|error| error.to_string())
}

fn weights(prepared: &Prepared) -> Vec<Vec<f32>> {
    prepared.train.series.iter().map(|series| series.weights.clone()).collect()
}

/// Three series of four steps; every target is ten times its weight.
fn arrays(weight_shape: &[usize]) -> Vec<Array> {
    let x = Array::f32("x", &[3, 4, 1], (0..12).map(|i| i as f32));
    let w = |name, factor: f32| Array::f32(name, weight_shape, (1..=12).map(move |i| factor * i as f32));
    vec![x, w("w", 1.0), w("y", 10.0)]
}

#[test]
fn arrays_have_the_forms_of_targets() {
    let dense = prepare("train.npz", &npz(&arrays(&[3, 4])), &[]).unwrap();
    assert_eq!(weights(&dense), [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 10.0, 11.0, 12.0]]);
    let mut rows = arrays(&[12, 1]);
    rows[0].shape = vec![12, 1];
    rows.push(Array::i32("n", &[5, 7]));
    let rows = prepare("train.npz", &npz(&rows), &["data.npz.lengths=n"]).unwrap();
    assert_eq!(weights(&rows), [&[1.0, 2.0, 3.0, 4.0, 5.0][..], &[6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]]);
    let mut one = arrays(&[3, 4]);
    one[1] = Array::f32("w", &[3], [1.0, 0.0, 2.5]);
    one[2] = Array::f32("y", &[3], [1.0, 2.0, 3.0]);
    let one = prepare("train.npz", &npz(&one), &["model.output=last_step", "data.window=2"]).unwrap();
    assert_eq!(weights(&one), [[1.0], [1.0], [0.0], [0.0], [2.5], [2.5]], "every window of a series weighs the same");
}

#[test]
fn they_go_with_their_targets_into_windows_splits_and_horizons() {
    let sets = ["data.horizon=1", "data.window=2", "data.stride=1", "data.validation.fraction=0.3"];
    let prepared = prepare("train.npz", &npz(&arrays(&[3, 4])), &sets).unwrap();
    let parts = [&prepared.train, prepared.validation.as_ref().unwrap()];
    assert_eq!(parts.map(|part| part.series.len()), [4, 2]);
    for series in parts.iter().flat_map(|part| &part.series) {
        let targets: Vec<f32> = series.weights.iter().map(|weight| 10.0 * weight).collect();
        assert_eq!((series.weights.len(), &targets), (2, &series.targets));
    }
    // Of a single series the last part in time.
    let mut rows = arrays(&[12]);
    rows[0].shape = vec![12, 1];
    rows.push(Array::i32("n", &[12]));
    let prepared = prepare("train.npz", &npz(&rows), &["data.npz.lengths=n", "data.validation.fraction=0.25"]).unwrap();
    assert_eq!(prepared.validation.unwrap().series[0].weights, [10.0, 11.0, 12.0]);
}

const TABLE: &str = "series,a,trust,label\n1,0.5,1,2\n1,0.25,0.5,3\n2,0.75,0,1\n2,0.5,2,4\n";

#[test]
fn a_column_of_weights_is_no_input_and_not_asked_for_in_the_test_part() {
    let prepared = prepare("train.csv", TABLE.as_bytes(), &["data.test=test.csv"]).unwrap();
    assert_eq!(prepared.train.channels, ["a"]);
    assert_eq!(weights(&prepared), [[1.0, 0.5], [0.0, 2.0]]);
    assert!(prepared.test.unwrap().series[0].weights.is_empty());
    // By heart, everything counts alike.
    let alone = prepare("train.csv", TABLE.as_bytes(), &["train.overfit=1"]).unwrap();
    assert_eq!((alone.train.channels.len(), weights(&alone)), (1, vec![vec![1.0, 1.0]]));
    let both = prepare("train.csv", TABLE.as_bytes(), &["train.overfit=2"]).unwrap();
    assert_eq!(weights(&both), [[1.0, 1.0], [0.0, 1.0]], "but for what is no target");
}

/// Fillers without weight change nothing but themselves.
#[test]
fn targets_without_weight_are_none() {
    let filled = |filler: &str| {
        let table = TABLE.replace(",0,1\n", &format!(",0,{filler}\n"));
        prepare("train.csv", table.as_bytes(), &["data.normalize_targets=true"]).unwrap()
    };
    assert_eq!(filled("-9999").targets, filled("3").targets);
    assert_eq!(filled("-9999").targets.unwrap().mean, [3.0], "of 2, 3 and 4");
    // A class that has no other target has none.
    let classes =
        ["train.loss=sparse_categorical_crossentropy", "model.layers.1.units=3", "model.layers.1.activation=softmax"];
    let table = TABLE.replace(",3\n", ",0\n").replace(",4\n", ",0\n");
    let error = prepare("train.csv", table.as_bytes(), &classes).unwrap_err();
    assert!(error.contains("\"1\"") || error.contains("class 1"), "{error}");
}

#[test]
fn each_part_has_targets_that_count() {
    let refuses = |table: &str, sets: &[&str], part: &str| {
        let error = prepare("train.csv", table.as_bytes(), sets).unwrap_err();
        assert!(error.contains(&format!("all weights of the {part} part are 0")), "{error}");
    };
    // The first series has its only weight in its last step, and the second none.
    let table = "series,a,trust,label\n1,0.5,0,2\n1,0.25,0,3\n1,0.1,1,3\n2,0.75,0,1\n2,0.5,0,4\n2,0.5,0,4\n";
    prepare("train.csv", table.as_bytes(), &[]).unwrap();
    refuses(table, &["data.window=2"], "training");
    refuses(&table.replace("1,0.5,0", "1,0.5,2"), &["data.window=2", "train.ignore_steps=1"], "training");
    let held_out = ["data.csv.group=series", "data.csv.features=[\"a\"]", "data.validation.groups=[2]"];
    refuses(table, &held_out, "validation");
}

#[test]
fn class_and_sample_weights_multiply() {
    let table = TABLE.replace(",3\n", ",1\n").replace(",2\n", ",0\n").replace(",4\n", ",1\n");
    let sets =
        ["train.loss=sparse_categorical_crossentropy", "model.layers.1.units=2", "model.layers.1.activation=softmax"];
    let prepared = prepare("train.csv", table.as_bytes(), &sets).unwrap();
    let mut batch = Batch::default();
    let batches = Batches::new(&prepared.train, 2);
    batches.gather(0, &mut batch);
    assert_eq!(batch.weights, [1.0, 0.0, 0.5, 2.0], "(T, B)");
    batches.with_class_weights(vec![3.0, 5.0]).gather(0, &mut batch);
    assert_eq!(batch.weights, [3.0, 0.0, 2.5, 10.0]);
}

#[test]
fn weights_that_cannot_be_used() {
    let table = |from: &str, to: &str| prepare("train.csv", TABLE.replace(from, to).as_bytes(), &[]).unwrap_err();
    let last = |from: &str, to: &str| {
        let table = TABLE.replace(",3\n", ",2\n").replace(",4\n", ",1\n").replace(from, to);
        prepare("train.csv", table.as_bytes(), &["model.output=last_step"]).unwrap_err()
    };
    let array = |at: usize, value: f32| {
        let mut arrays = arrays(&[3, 4]);
        arrays[1].bytes[4 * at..][..4].copy_from_slice(&value.to_le_bytes());
        prepare("train.npz", &npz(&arrays), &[]).unwrap_err()
    };
    let shape = |shape: &[usize], set: &str| {
        let mut arrays = arrays(&[3, 4]);
        arrays[1] = Array::f32("w", shape, (0..shape.iter().product()).map(|_| 1.0));
        prepare("train.npz", &npz(&arrays), &[set]).unwrap_err()
    };
    let zeros = Array::f32("w", &[3, 4], [0.0; 12]);
    let [x, _, y] = <[Array; 3]>::try_from(arrays(&[3, 4])).ok().unwrap();
    let zeros = prepare("train.npz", &npz(&[x, zeros, y]), &[]).unwrap_err();
    for (error, phrases) in [
        (table(",0.5,3", ",-0.5,3"), &["train.csv: line 3 weighs -0.5", "0 or a finite number"][..]),
        (table(",2,4", ",nan,4"), &["line 5 weighs NaN"]),
        (table(",2,4", ",1e39,4"), &["line 5 weighs 1e39", "finite"]),
        (table(",2,4", ",much,4"), &["train.csv:5", "\"trust\"", "\"much\"", "not a number"]),
        (table("trust", "trusted"), &["no column \"trust\"", "mean \"trusted\"", "`data.csv.weight`"]),
        (last("x", "x"), &["train.csv:3", "series \"1\" changes its weight from 1 to 0.5", "every_step"]),
        (last("1,2\n", "nan,2\n"), &["changes its weight from NaN to 0.5"]),
        (array(5, -1.0), &["series 1, step 1 (array \"w\") weighs -1"]),
        (array(11, f32::INFINITY), &["series 2, step 3 (array \"w\") weighs inf"]),
        (shape(&[3], "seed=1"), &["array \"w\" has the shape [3]", "for each step", "[3, 4]"]),
        (shape(&[3, 4, 2], "seed=1"), &["array \"w\" has the shape [3, 4, 2]", "[3, 4]"]),
        (shape(&[3, 4], "data.npz.weight=W"), &["no array \"W\"", "mean \"w\"", "`data.npz.weight`"]),
        (zeros, &["train.npz", "all weights of the training part are 0"]),
        (
            prepare("train.csv", TABLE.as_bytes(), &["data.csv.features=[\"a\", \"trust\"]"]).unwrap_err(),
            &["`data.csv.weight`", "\"trust\" is an input by `data.csv.features` too"],
        ),
        (
            prepare("train.csv", TABLE.as_bytes(), &["data.csv.label=trust"]).unwrap_err(),
            &["`data.csv.weight`", "\"trust\" is a target by `data.csv.label` too"],
        ),
    ] {
        for phrase in phrases {
            assert!(error.contains(phrase), "no {phrase:?} in {error}");
        }
    }
}
