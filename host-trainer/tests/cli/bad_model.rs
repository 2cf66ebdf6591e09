//! Models and checkpoints that cannot be used, and data that are not for them.

use crate::support::{Bench, table};

#[test]
fn damaged_models_are_refused_by_every_command() {
    let bench = Bench::trained();
    let good = bench.read("runs/config/model.gru");
    let flipped: Vec<u8> =
        good.iter().enumerate().map(|(at, &byte)| if at == good.len() / 2 { byte ^ 4 } else { byte }).collect();
    for (bytes, phrase) in [
        (flipped, "damaged"),
        (good[..good.len() - 1].to_vec(), "truncated"),
        (good[..10].to_vec(), "truncated"),
        ([&good[..], b"\n"].concat(), "trailing"),
        (table(0, 2).into_bytes(), "not a grulet model"),
        (Vec::new(), "not a grulet model"),
        (bench.read("runs/config/best.ckpt"), "not a grulet model"),
    ] {
        bench.put("bad.gru", bytes);
        for command in ["inspect", "evaluate", "predict"] {
            let mut args = vec![command, "bad.gru"];
            args.extend((command != "inspect").then_some("test.csv"));
            bench.refuses(&args, &["bad.gru: ", phrase]);
        }
    }
    bench.refuses(&["inspect", "none.gru"], &["none.gru", "check the path"]);
    bench.refuses(&["evaluate", "runs"], &["runs/model.gru", "check the path"]);
}

#[test]
fn damaged_checkpoints_are_refused() {
    let bench = Bench::trained();
    let good = bench.read("runs/config/best.ckpt");
    bench.put("cut.ckpt", &good[..good.len() - 9]);
    bench.refuses(&["export", "cut.ckpt"], &["cut.ckpt", "damaged"]);
    bench.refuses(&["export", "runs/config/model.gru", "-o", "a.gru"], &["model.gru", "not a checkpoint"]);
    bench.refuses(&["export", "runs"], &["runs/best.ckpt", "check the path"]);
}

#[test]
fn data_for_another_model_are_refused() {
    let bench = Bench::trained();
    let lines = |edit: fn(&str) -> String| table(20, 6).lines().map(|line| edit(line) + "\n").collect::<String>();
    bench.put("narrow.csv", lines(|line| line.rsplit_once(',').unwrap().0.to_owned()));
    for command in ["evaluate", "predict"] {
        bench.refuses(&[command, "runs/config", "narrow.csv"], &["narrow.csv", "no column \"b\""]);
        bench.refuses(&[command, "runs/config", "none.csv"], &["none.csv", "cannot read"]);
        bench.refuses(&[command, "runs/config", "config.toml"], &["config.toml", "unknown kind of file"]);
    }
    bench.put("other.csv", table(20, 6).replace("down", "sideways"));
    bench.refuses(&["evaluate", "runs/config", "other.csv"], &["other.csv", "\"sideways\"", "\"down\", \"up\""]);

    // The model itself does not know what was done to its targets.
    let numbers = |text: String| text.replace(",up,", ",1,").replace(",down,", ",0,");
    bench.put("train.csv", numbers(table(0, 20)));
    bench.put("test.csv", numbers(table(20, 6)));
    let sets = [
        "train.loss=mse",
        "model.output=every_step",
        "data.target_transform=sin_cos",
        "model.layers.1.activation=linear",
    ];
    let args: Vec<&str> =
        ["train", "config.toml", "--overwrite"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
    bench.grulet(&args).ok();
    std::fs::create_dir(bench.path("elsewhere")).unwrap();
    std::fs::copy(bench.path("runs/config/model.gru"), bench.path("alone.gru")).unwrap();
    std::fs::copy(bench.path("runs/config/model.gru"), bench.path("elsewhere/alone.gru")).unwrap();
    let other = &["config.toml: describes another network", "(Gru<2, 4>, Dense<4, 2>)", "--config"];
    bench.refuses(&["evaluate", "alone.gru", "test.csv"], other);
    bench.refuses(
        &["evaluate", "elsewhere/alone.gru", "test.csv"],
        &["test.csv", "1 values in each target", "2 outputs", "--config"],
    );
    bench.grulet(&["evaluate", "elsewhere/alone.gru", "test.csv", "--config", "runs/config/config.toml"]).ok();
    bench.grulet(&["predict", "elsewhere/alone.gru", "test.csv"]).ok();
}

#[test]
fn without_a_test_file_the_data_must_be_named() {
    let bench = Bench::new();
    bench.put("config.toml", bench.text("config.toml").replace("test = \"test.csv\"\n", ""));
    bench.grulet(&["train", "config.toml"]).ok();
    bench.refuses(&["evaluate", "runs/config"], &["no test file", "after the model"]);
    bench.grulet(&["evaluate", "runs/config", "test.csv"]).ok();
}
