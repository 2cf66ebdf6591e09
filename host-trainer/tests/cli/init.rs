//! Weights to another framework and back, and trainings that begin with them.

use crate::support::{Bench, CONFIG};

/// A bench with a run of PyTorch's kind of GRU.
fn trained() -> Bench {
    let bench = Bench::new();
    bench.put("config.toml", CONFIG.replace(", reset = \"before\"", ""));
    bench.grulet(&["train", "config.toml"]).ok();
    bench
}

/// The training loss of a run's first epoch.
fn first_loss(bench: &Bench, run: &str) -> f64 {
    let log = bench.text(&format!("{run}/log.csv"));
    let mut lines = log.lines();
    let column = lines.next().unwrap().split(',').position(|name| name == "loss").unwrap();
    lines.next().unwrap().split(',').nth(column).unwrap().parse().unwrap()
}

#[test]
fn safetensors_bring_the_same_weights_back() {
    let bench = trained();
    bench.grulet(&["export", "runs/config", "--format", "safetensors"]).ok();
    let import = ["import", "runs/config/model.safetensors", "--like", "config.toml", "-o", "back.gru"];
    bench.grulet(&[&import[..], &["--checkpoint", "back.ckpt"]].concat()).ok();
    for model in ["runs/config", "back.ckpt"] {
        bench.grulet(&["export", model, "--format", "keras-npz", "-o", &format!("{}.npz", model.len())]).ok();
    }
    assert_eq!(bench.read("11.npz"), bench.read("9.npz"));
    // Inputs are scaled by what the file's metadata say.
    let loss = |model: &str| {
        let args = ["evaluate", model, "test.csv", "--config", "config.toml", "--json"];
        bench.grulet(&args).ok().json()["scores"]["loss"].as_f64().unwrap()
    };
    assert!(
        (loss("back.gru") / loss("runs/config") - 1.0).abs() < 1e-5,
        "{} {}",
        loss("back.gru"),
        loss("runs/config")
    );
    // A model for the chip has one bias for z and for r, of which the sum is the same.
    bench.grulet(&["export", "runs/config/model.gru", "--format", "safetensors", "-o", "chip.safetensors"]).ok();
    bench.grulet(&["import", "chip.safetensors", "--like", "config.toml", "-o", "chip.gru"]).ok();
    assert_eq!(bench.read("chip.gru").len(), bench.read("back.gru").len());
}

#[test]
fn a_training_begins_with_the_weights_of_a_model() {
    let bench = trained();
    let fresh = first_loss(&bench, "runs/config");
    for (number, init) in ["runs/config", "runs/config/best.ckpt", "runs/config/model.gru"].into_iter().enumerate() {
        let run = format!("runs/{number}");
        let ran = bench.grulet(&["train", "config.toml", "--init", init, "--set", &format!("train.run_dir={run}")]);
        ran.ok();
        assert!(first_loss(&bench, &run) < fresh, "{init}: {} of {fresh}", first_loss(&bench, &run));
        assert!(bench.text(&format!("{run}/config.toml")).contains("init = "), "{init}");
    }
}

#[test]
fn a_model_of_other_layers_is_refused_by_the_first_difference() {
    let bench = trained();
    bench.put("other.toml", CONFIG);
    let ran = bench.grulet(&["train", "other.toml", "--init", "runs/config"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("its layer 0 is Gru") && ran.stderr.contains("Before"), "{}", ran.stderr);
    let ran = bench.grulet(&["train", "config.toml", "--overwrite", "--init", "runs/config"]);
    assert!(ran.code == 1 && ran.stderr.contains("would write over"), "{}", ran.stderr);
}

#[test]
fn resume_goes_on_to_the_same_bits_and_notices_other_weights() {
    let bench = trained();
    bench.put("init.gru", bench.read("runs/config/model.gru"));
    let train = |run: &str, epochs: &str| {
        let sets = ["--set", run, "--set", epochs];
        bench.grulet(&[&["train", "config.toml", "--init", "init.gru"][..], &sets].concat()).ok();
    };
    train("train.run_dir=runs/whole", "train.epochs=4");
    train("train.run_dir=runs/cut", "train.epochs=2");
    bench.grulet(&["train", "--resume", "runs/cut", "--set", "train.epochs=4"]).ok();
    assert_eq!(bench.read("runs/cut/last.ckpt"), bench.read("runs/whole/last.ckpt"));

    bench.put("init.gru", bench.read("runs/whole/model.gru"));
    let ran = bench.grulet(&["train", "--resume", "runs/cut", "--set", "train.epochs=5"]);
    assert!(ran.code == 1 && ran.stderr.contains("train.init"), "{}", ran.stderr);
}
