//! Training that keeps the state from window to window.

use crate::support::Bench;

/// Series of so many steps with an answer at every step; channel `b` is a weight in some tests.
fn table(lengths: &[usize]) -> String {
    let mut text = "series,label,a,b\n".to_owned();
    for (series, &steps) in lengths.iter().enumerate() {
        for t in 0..steps {
            let a = (0.7 * (t * (series + 1)) as f64).sin();
            let label = if (t + series) % 3 == 0 { "yes" } else { "no" };
            text += &format!("{series},{label},{a:.4},{}\n", 0.5 + (t % 2) as f64);
        }
    }
    text
}

const CONFIG: &str = r#"
[data]
train = "train.csv"
[data.validation]
file = "validation.csv"
[model]
output = "every_step"
layers = [{ type = "gru", units = 4 }, { type = "dense", units = 2, activation = "softmax" }]
[train]
loss = "sparse_categorical_crossentropy"
epochs = 3
batch_size = 10
learning_rate = 0.02
input_noise = 0.1
dropout = 0.1
recurrent_dropout = 0.1
class_weights = [1.0, 2.0]
"#;

fn bench(lengths: &[usize]) -> Bench {
    let bench = Bench::new();
    bench.put("train.csv", table(lengths));
    bench.put("validation.csv", table(&[9, 14, 5]));
    bench.put("config.toml", CONFIG);
    bench
}

/// The hash of the weights after training with some settings.
fn train(bench: &Bench, sets: &[&str]) -> String {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "config.toml", "--overwrite", "--json"].into_iter().chain(sets).collect();
    bench.grulet(&args).ok().json()["weights_hash"].as_str().unwrap().to_owned()
}

const STATEFUL: &str = "train.stateful=true";

#[test]
fn a_window_for_a_whole_series_changes_nothing() {
    let bench = bench(&[8; 23]);
    let all = ["data.csv.weight=b", "train.ignore_steps=2", "train.qat_epochs=1"];
    for sets in [&all[..], &[]] {
        let plain = train(&bench, sets);
        assert_eq!(train(&bench, &[sets, &[STATEFUL, "data.window=14"]].concat()), plain);
        assert_ne!(train(&bench, &[sets, &[STATEFUL, "data.window=7"]].concat()), plain);
    }
}

/// A batch may have short series alone: with one series to a batch, some do.
#[test]
fn series_that_are_ignored_whole_are_passed_over() {
    let lengths = [9, 3, 12, 2, 7, 10, 1, 8];
    let bench = bench(&lengths);
    bench.put("validation.csv", table(&[3, 9, 1]));
    let sets = ["train.batch_size=1", "train.ignore_steps=3"];
    let hash = train(&bench, &sets);
    // What is at fault in them is not seen.
    let text: String = table(&lengths)
        .lines()
        .map(|line| {
            let ignored = ["1,", "3,", "6,"].iter().any(|series| line.starts_with(series));
            if ignored { line.replace("yes", "no") + "\n" } else { line.to_owned() + "\n" }
        })
        .collect();
    bench.put("train.csv", text);
    assert_eq!(train(&bench, &sets), hash);
    bench.refuses(
        &["train", "config.toml", "--overwrite", "--set", "train.ignore_steps=12"],
        &["`train.ignore_steps` is 12", "the training part has 12 steps"],
    );
    bench.refuses(
        &["train", "config.toml", "--overwrite", "--set", "train.ignore_steps=9"],
        &["`train.ignore_steps` is 9", "the validation part has 9 steps"],
    );
}

#[test]
fn it_goes_on_to_the_same_bits_on_any_number_of_threads() {
    let bench = bench(&[30, 4, 11, 17, 8, 8, 21, 2, 9, 16, 13, 25, 7]);
    let sets = [STATEFUL, "data.window=4", "data.csv.weight=b", "train.ignore_steps=5", "train.qat_epochs=1"];
    let hash = train(&bench, &[&sets[..], &["train.threads=1", "train.schedule=step"]].concat());
    let whole = ["best.ckpt", "last.ckpt", "model.gru", "model_int8.gru"]
        .map(|file| bench.read(&format!("runs/config/{file}")));
    let threads = train(&bench, &[&sets[..], &["train.threads=3", "train.schedule=step"]].concat());
    assert_eq!(threads, hash);
    train(&bench, &[&sets[..], &["train.threads=2", "train.schedule=step", "train.epochs=1"]].concat());
    bench.grulet(&["train", "--resume", "runs/config", "--set", "train.epochs=3"]).ok();
    for (file, whole) in ["best.ckpt", "last.ckpt", "model.gru", "model_int8.gru"].iter().zip(whole) {
        assert!(bench.read(&format!("runs/config/{file}")) == whole, "{file}");
    }
    // What comes before step 5 of a series does not count, and the rest does, at the start of a chunk too.
    let steps = |at: usize| {
        let text = table(&[30, 4, 11, 17, 8, 8, 21, 2, 9, 16, 13, 25, 7]);
        let turned =
            |line: &str| if line.contains("yes") { line.replace("yes", "no") } else { line.replace("no", "yes") };
        text.lines()
            .enumerate()
            .map(|(i, line)| if i == 1 + at { turned(line) } else { line.into() } + "\n")
            .collect::<String>()
    };
    for (at, counts) in [(0, false), (4, false), (5, true), (8, true)] {
        bench.put("train.csv", steps(at));
        let other = train(&bench, &[&sets[..], &["train.schedule=step", "train.qat_epochs=0"]].concat());
        assert_eq!(other != hash, counts, "step {at}");
    }
}

#[test]
fn validation_series_are_streamed_whole() {
    let bench = bench(&[12; 6]);
    train(&bench, &[STATEFUL, "data.window=3", "train.epochs=1", "train.learning_rate=0.3", "train.batch_size=2"]);
    let loss = |table: &str| {
        let evaluation = bench.grulet(&["evaluate", "runs/config", table, "--json"]).ok().json();
        evaluation["scores"]["loss"].as_f64().unwrap()
    };
    let log = bench.text("runs/config/log.csv");
    let at = log.lines().next().unwrap().split(',').position(|name| name == "val_loss").unwrap();
    let logged: f64 = log.lines().nth(1).unwrap().split(',').nth(at).unwrap().parse().unwrap();
    let whole = loss("validation.csv");
    assert!((logged - whole).abs() < 1e-5, "{logged} {whole}");
    // The same rows as series of three steps, so that states are forgotten.
    let mut cut = String::new();
    for (index, line) in bench.text("validation.csv").lines().enumerate() {
        cut += &if index == 0 { format!("{line}\n") } else { format!("{}_{line}\n", (index - 1) / 3) };
    }
    bench.put("cut.csv", cut);
    assert!((loss("cut.csv") - whole).abs() > 1e-3, "{} {whole}", loss("cut.csv"));
}

/// Series whose answer, at every step, is the sign of the first input; all others are 0.
fn latch(series: usize) -> String {
    let mut text = "series,label,a\n".to_owned();
    for index in 0..series {
        for t in 0..32 {
            let (label, a) = if index % 2 == 0 { ("up", 1) } else { ("down", -1) };
            text += &format!("{index},{label},{}\n", if t == 0 { a } else { 0 });
        }
    }
    text
}

#[test]
fn what_lies_many_windows_back_is_learnt_with_the_state_alone() {
    let bench = bench(&[8]);
    bench.put("train.csv", latch(8));
    let quiet =
        ["train.input_noise=0", "train.dropout=0", "train.recurrent_dropout=0", "train.class_weights=[1.0,1.0]"];
    let more = ["data.window=4", "train.epochs=40", "train.batch_size=4", "data.normalize=none"];
    bench.put("config.toml", CONFIG.replace("[data.validation]\nfile = \"validation.csv\"\n", ""));
    let loss = |sets: &[&str]| {
        train(&bench, &[&quiet[..], &more, sets].concat());
        bench.json("runs/config/report.json")["training"]["loss"].as_f64().unwrap()
    };
    let (stateful, forgetful) = (loss(&[STATEFUL]), loss(&[]));
    // Seven of eight windows say nothing: ln 2 each.
    assert!(stateful < 0.1 && forgetful > 0.875 * 0.69, "{stateful} {forgetful}");
}

#[test]
fn settings_that_do_not_go_with_it() {
    let bench = bench(&[8; 4]);
    for (sets, phrases) in [
        (&[][..], &["`train.stateful`", "`data.window = 100`"][..]),
        (&["data.window=4", "data.stride=2"], &["`data.stride`", "goes on from the one before"]),
        (&["data.window=4", "data.train_stride=2"], &["`data.train_stride`", "goes on from the one before"]),
        (&["data.window=4", "model.output=last_step"], &["`train.stateful`", "every_step"]),
        (
            &["data.window=4", r#"model.layers=[{ type = "gru", units = 3 }, { type = "pool", over = "max" }]"#],
            &["`train.stateful`", "leave the pool out"],
        ),
        (&["data.window=4", "train.oversample=true"], &["`train.oversample`"]),
        (&["data.window=4", "train.ignore_steps=14"], &["`train.ignore_steps` is 14", "the training part has 8 steps"]),
    ] {
        let sets = [&[STATEFUL], sets].concat();
        let args: Vec<&str> =
            ["train", "config.toml"].into_iter().chain(sets.iter().flat_map(|s| ["--set", s])).collect();
        bench.refuses(&args, phrases);
    }
    // More than a window of a series, but not all of it.
    train(&bench, &[STATEFUL, "data.window=2", "data.stride=2", "train.ignore_steps=7"]);
}
