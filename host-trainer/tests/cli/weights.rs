//! Training with weights of samples.

use crate::support::{Bench, CONFIG, table};

/// The table with a weight for each class.
fn weighted(first: usize, count: usize, up: &str, down: &str) -> String {
    let row = |line: &str| {
        let weight = if line.contains("label") {
            "trust"
        } else if line.contains("up") {
            up
        } else {
            down
        };
        format!("{line},{weight}\n")
    };
    table(first, count).lines().map(row).collect()
}

#[test]
fn weights_by_class_are_class_weights_and_weight_the_validation_loss_too() {
    let bench = Bench::new();
    bench.put("weighted.csv", weighted(0, 20, "0.5", "4"));
    bench.put("config.toml", bench.text("config.toml").replace("[data.validation]\nfraction = 0.2\n", ""));
    let hash = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "config.toml", "--overwrite", "--json"].into_iter().chain(sets).collect();
        bench.grulet(&args).ok().json()["weights_hash"].as_str().unwrap().to_owned()
    };
    let (train, column) = ("data.train=weighted.csv", "data.csv.weight=trust");
    let by_sample = hash(&[train, column]);
    assert_eq!(by_sample, hash(&["train.class_weights=[4.0, 0.5]"]), "classes are down, up");
    assert_ne!(by_sample, hash(&[]));
    // Both multiply: 4·0.125 and 0.5·1 are alike.
    assert_eq!(hash(&[train, column, "train.class_weights=[0.25, 2.0]"]), hash(&[]));

    // The validation loss is weighted as Keras weights that of `validation_split`: by the weights of samples, not of classes.
    let losses = |sets: &[&str]| {
        hash(&[sets, &["data.validation.fraction=0.2", "train.epochs=1", "train.learning_rate=1e-9"]].concat());
        let log = bench.text("runs/config/log.csv");
        let cells: Vec<&str> = log.lines().nth(1).unwrap().split(',').collect();
        let at = |name: &str| log.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
        ["val_loss", "val_accuracy"].map(|name| cells[at(name)].parse::<f64>().unwrap())
    };
    let (plain, by_class) = (losses(&[]), losses(&["train.class_weights=[4.0, 0.5]"]));
    let by_sample = losses(&[train, column]);
    assert_eq!((plain, plain[1]), (by_class, by_sample[1]));
    assert!((plain[0] - by_sample[0]).abs() > 0.01, "{plain:?} {by_sample:?}");

    // A model is scored without weights, on data that may have none.
    bench.grulet(&["train", "config.toml", "--overwrite", "--set", train, "--set", column]).ok();
    bench.grulet(&["evaluate", "runs/config", "test.csv", "--part", "train"]).ok();
    bench.grulet(&["train", "--resume", "runs/config", "--set", "train.epochs=4"]).ok();
    bench.put("weighted.csv", weighted(0, 20, "0.5", "5"));
    bench.refuses(&["train", "--resume", "runs/config", "--set", "train.epochs=5"], &["data are not those"]);
}

#[test]
fn a_sigmoid_without_units_has_two_classes() {
    let bench = Bench::new();
    let binary = |units: &str| {
        let sigmoid = format!("{units}activation = \"sigmoid\"");
        let text = CONFIG.replace("units = 2, activation = \"softmax\"", &sigmoid);
        bench.put("config.toml", text.replace("sparse_categorical", "binary"));
        let sets = ["train.class_weights=[1.0, 3.0]", "train.oversample=true"].iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "config.toml", "--overwrite", "--json"].into_iter().chain(sets).collect();
        bench.grulet(&args).ok().json()["weights_hash"].clone()
    };
    assert_eq!(binary(""), binary("units = 1, "));
}
