//! Settings and arguments that cannot work.

use crate::support::{Bench, CONFIG};

#[test]
fn wrong_usage_is_exit_code_2() {
    let bench = Bench::new();
    bench.grulet(&[]).wrong_usage("Usage");
    bench.grulet(&["trian"]).wrong_usage("train");
    bench.grulet(&["train"]).wrong_usage("CONFIG");
    bench.grulet(&["train", "config.toml", "--epochs", "3"]).wrong_usage("--epochs");
    bench.grulet(&["train", "config.toml", "--set", "epochs"]).wrong_usage("KEY=VALUE");
    bench.grulet(&["export", "runs/config", "--steps", "5"]).wrong_usage("--samples");
    bench.grulet(&["evaluate", "model.gru", "--format", "int9"]).wrong_usage("exact");
    let help = bench.grulet(&["--help"]).ok().stdout;
    for command in ["train", "evaluate", "predict", "export", "inspect"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn values_that_cannot_work() {
    let bench = Bench::new();
    for (setting, phrases) in [
        ("train.learning_rate=0", &["`train.learning_rate`", "is 0", "above 0"][..]),
        ("train.learning_rate=-0.1", &["`train.learning_rate`", "is -0.1", "above 0"]),
        ("train.learning_rate=nan", &["`train.learning_rate`", "is NaN", "above 0"]),
        ("train.learning_rate=inf", &["`train.learning_rate`", "is inf", "above 0"]),
        ("train.learning_rate=fast", &["`train.learning_rate`", "expected"]),
        ("train.epochs=0", &["`train.epochs`", "at least 1"]),
        ("train.epochs=-1", &["`train.epochs`", "-1"]),
        ("train.epochs=1.5", &["`train.epochs`", "expected"]),
        ("train.batch_size=0", &["`train.batch_size`", "at least 1"]),
        ("train.threads=0", &["`train.threads`", "at least 1"]),
        ("train.threads=1025", &["`train.threads`", "at most 1024"]),
        ("train.clip_norm=0", &["`train.clip_norm`", "above 0"]),
        ("train.clip_value=0", &["`train.clip_value`", "above 0"]),
        ("train.schedule=exponential", &["`train.schedule`", "exponential", "plateau"]),
        ("train.input_noise=-1", &["`train.input_noise`", "is -1"]),
        ("train.loss=mes", &["`train.loss`", "mes", "mse"]),
        ("train.loss=mse", &["train.csv:2", "\"up\"", "for classes", "sparse_categorical_crossentropy"]),
        ("train.optimiser=sgd", &["unknown key `train.optimiser`", "did you mean `train.optimizer`?"]),
        ("train.optimizer=adagrad", &["`train.optimizer`", "adagrad", "rmsprop"]),
        ("train.lr=0.1", &["unknown key `train.lr`", "did you mean `train.learning_rate`?"]),
        ("train.batch=4", &["unknown key `train.batch`", "did you mean `train.batch_size`?"]),
        ("train.epoch=3", &["unknown key `train.epoch`", "did you mean `train.epochs`?"]),
        ("epochs=3", &["unknown key `epochs`", "did you mean `train.epochs`?"]),
        ("data.window=0", &["`data.window`", "at least 1"]),
        ("data.stride=2", &["`data.stride`", "`data.window`"]),
        ("data.train_stride=2", &["`data.train_stride`", "`data.window`"]),
        ("data.window=9", &["train.csv", "`data.window` is 9", "8 steps"]),
        ("data.sample_rate=-5", &["`data.sample_rate`", "above 0"]),
        ("data.horizon=1", &["`data.horizon`", "every_step"]),
        ("data.validation.fraction=1.5", &["`data.validation.fraction`", "between 0 and 1"]),
        ("data.validation.file=test.csv", &["`data.validation`", "exactly one"]),
        ("data.test=train.csv", &["`data.test`", "is the training data"]),
        ("data.test=./train.csv", &["`data.test`", "is the training data"]),
        ("data.channels=[\"a\"]", &["`data.channels` has 1 entries", "2 input columns"]),
        ("data.classes=[\"up\"]", &["is \"down\"", "none of the classes \"up\""]),
        ("data.classes=[\"up\",\"up\"]", &["`data.classes`", "\"up\" twice"]),
        ("model.layers=[]", &["`model.layers`", "at least one layer"]),
        ("model.layers.1.units=3", &["`model.layers`", "has 3 units", "2 classes", "to 2"]),
        ("model.layers.0.units=0", &["`model.layers`", "layer 1 has 0 units"]),
        ("model.layers.0.units=70000", &["70000"]),
        ("model.layers.0.units=65535", &["`model.layers`", "at most 4 GiB", "smaller `units`"]),
        ("model.layers.1.activation=linear", &["`model.layers`", "softmax"]),
        ("model.layers.0.activation=tanh", &["candidate"]),
        ("model.layers.5.units=3", &["--set model.layers.5.units=3"]),
        ("seed=many", &["`seed`", "expected"]),
    ] {
        bench.refuses(&["train", "config.toml", "--set", setting], phrases);
    }
}

#[test]
fn values_that_do_not_go_together() {
    let bench = Bench::new();
    for (settings, phrases) in [
        (&["train.momentum=0.9"][..], &["`train.momentum`", "`train.optimizer = \"sgd\"`"][..]),
        (&["train.momentum=1", "train.optimizer=sgd"], &["`train.momentum`", "is 1,", "below 1"]),
        (&["train.momentum=-0.5", "train.optimizer=sgd"], &["`train.momentum`", "is -0.5", "such as 0.9"]),
        (&["train.momentum=nan", "train.optimizer=sgd"], &["`train.momentum`", "is NaN", "such as 0.9"]),
        (&["train.momentum=0.9", "train.optimizer=rmsprop"], &["`train.momentum`", "`train.optimizer = \"sgd\"`"]),
        (&["train.nesterov=true"], &["`train.nesterov`", "`train.momentum = 0.9`"]),
        (&["train.nesterov=true", "train.optimizer=sgd"], &["`train.nesterov`", "`train.momentum = 0.9`"]),
        (&["train.weight_decay=0.01"], &["`train.weight_decay`", "`train.optimizer = \"adamw\"`"]),
        (&["train.weight_decay=0.01", "train.optimizer=sgd"], &["`train.weight_decay`", "\"adamw\""]),
        (&["train.weight_decay=0", "train.optimizer=adamw"], &["`train.weight_decay`", "is 0", "above 0"]),
        (&["train.epsilon=pytorch", "train.optimizer=sgd"], &["`train.epsilon`", "`train.optimizer`", "\"adamw\""]),
        (&["train.epsilon=pytorch", "train.optimizer=rmsprop"], &["`train.epsilon`", "`train.optimizer`"]),
        (&["train.schedule_factor=0.5"], &["`train.schedule_factor`", "`train.schedule = \"step\"`", "\"plateau\""]),
        (&["train.schedule_factor=1", "train.schedule=step"], &["`train.schedule_factor`", "is 1,", "between 0 and 1"]),
        (&["train.schedule_factor=0", "train.schedule=plateau"], &["`train.schedule_factor`", "is 0,"]),
        (&["train.schedule_every=2"], &["`train.schedule_every`", "`train.schedule = \"step\"`"]),
        (&["train.schedule_every=0", "train.schedule=step"], &["`train.schedule_every`", "at least 1"]),
        (
            &["train.schedule_patience=2", "train.schedule=step"],
            &["`train.schedule_patience`", "`train.schedule = \"plateau\"`"],
        ),
        (&["train.schedule_patience=0", "train.schedule=plateau"], &["`train.schedule_patience`", "at least 1"]),
        (&["train.schedule_minimum=1e-3"], &["`train.schedule_minimum`", "`train.schedule = \"plateau\"`"]),
        (
            &["train.schedule_minimum=0.02", "train.schedule=plateau"],
            &["`train.schedule_minimum`", "is 0.02", "`train.learning_rate`"],
        ),
        (&["train.schedule_minimum=-1", "train.schedule=plateau"], &["`train.schedule_minimum`", "is -1"]),
        (&["train.warmup_steps=2"], &["`train.warmup_steps`", "`train.schedule = \"cosine\"`"]),
        (
            &["train.warmup_steps=6", "train.schedule=cosine"],
            &["`train.warmup_steps` is 6", "only 6 steps (3 epochs of 2 batches)", "lower it"],
        ),
        (&["train.min_delta=0.1"], &["`train.min_delta`", "`train.patience = 10`", "`train.schedule = \"plateau\"`"]),
        (&["train.patience=0"], &["`train.patience`", "at least 1"]),
        (
            &["train.patience=10", "train.schedule=plateau"],
            &["`train.patience`", "is 10", "`train.schedule_patience`, which is 10"],
        ),
        (&["train.min_delta=-0.1", "train.schedule=plateau"], &["`train.min_delta`", "is -0.1"]),
        (&["train.ignore_steps=3"], &["`train.ignore_steps`", "every_step"]),
        (&["train.dropout=1"], &["`train.dropout`", "is 1,", "below 1"]),
        (&["train.dropout=[0.1, -0.1]"], &["`train.dropout`", "is -0.1"]),
        (&["train.dropout=[0.1]"], &["`train.dropout`", "1 rates for 2 layers"]),
        (&["train.dropout=high"], &["`train.dropout`", "a number, or a list"]),
        (&["train.recurrent_dropout=nan"], &["`train.recurrent_dropout`", "is NaN"]),
        (&["train.recurrent_dropout=[0.1, 0.1]"], &["`train.recurrent_dropout`", "layer 2", "give it 0"]),
        (&["train.l1=-1"], &["`train.l1`", "is -1"]),
        (&["train.l2=inf"], &["`train.l2`", "is inf"]),
        (&["train.label_smoothing=1"], &["`train.label_smoothing`", "is 1,"]),
        (&["train.class_weights=[1.0]"], &["`train.class_weights`", "1 weights for 2 classes"]),
        (&["train.class_weights=[1.0, -1.0]"], &["`train.class_weights`", "is -1"]),
        (&["train.class_weights=[0.0, 0.0]"], &["`train.class_weights`", "0 for every class"]),
        (&["train.class_weights=even"], &["`train.class_weights`", "\"balanced\""]),
        (&["data.csv.features=[\"a\",\"a\"]"], &["`data.csv.features`", "has \"a\" twice"]),
        (&["data.csv.features=[\"a\",\"label\"]"], &["`data.csv.features`", "\"label\" is both input and target"]),
        (&["train.clip_norm=1", "train.clip_value=1"], &["`train.clip_value`", "`train.clip_norm`", "leave one"]),
        (&["model.layers=[{type=\"gru\",units=3}]"], &["`model.layers`", "softmax", "in a dense layer at the end"]),
        (
            &["model.layers=[{type=\"gru\",units=1}]", "train.loss=binary_crossentropy"],
            &["`model.layers`", "`activation = \"sigmoid\"` in a dense layer at the end"],
        ),
        (
            &["model.layers.1.activation=hard_sigmoid", "train.loss=binary_crossentropy"],
            &["`model.layers`", "`activation = \"sigmoid\"` in the last layer"],
        ),
        (
            &["train.loss=binary_crossentropy"],
            &["\"sigmoid\"` in the last layer; for a softmax use", "sparse_categorical_crossentropy"],
        ),
        (&["train.epochs=1.5"], &["`train.epochs`", "a whole number, 0 or more, found `1.5`"]),
        (&["train.learning_rate=fast"], &["`train.learning_rate`", "expected a number, found \"fast\""]),
        (&["train.shuffle=1"], &["`train.shuffle`", "`true` or `false`, found `1`"]),
        (&["model.layers.0.units=70000"], &["`model.layers.units`", "from 0 to 65535, found `70000`"]),
        (&["model.layers=3"], &["`model.layers`", "expected a list, found `3`"]),
        (&["train.loss=mser"], &["`train.loss`", "`mser`", "did you mean `mse`?"]),
        (&["data.normalize=false"], &["`data.normalize`", "expected a word in quotes"]),
        (&["data.csv=3"], &["`data.csv` is a table", "`data.csv.series`"]),
        (&["name=../outside"], &["`name`", "not the name of one folder", "`train.run_dir`"]),
        (&["name=a/"], &["`name`", "not the name of one folder"]),
    ] {
        let args = ["train", "config.toml"].into_iter().chain(settings.iter().flat_map(|set| ["--set", set]));
        bench.refuses(&args.collect::<Vec<_>>(), phrases);
    }
    bench.put("none.toml", CONFIG.replace("[data.validation]\nfraction = 0.2\n", ""));
    for (key, setting) in [("`train.schedule`", "train.schedule=plateau"), ("`train.patience`", "train.patience=3")] {
        let phrases = [key, "validation loss", "`data.validation.fraction = 0.1`"];
        bench.refuses(&["train", "none.toml", "--set", setting], &phrases);
    }
}

#[test]
fn a_wrong_file_is_named_with_its_line() {
    let bench = Bench::new();
    bench.refuses(&["train", "nothing.toml"], &["nothing.toml", "cannot read the configuration", "check the path"]);
    bench.refuses(&["train", "."], &["cannot read the configuration"]);
    for (name, text, phrases) in [
        ("empty.toml", String::new(), &["empty.toml", "missing key `data`"][..]),
        (
            "key.toml",
            CONFIG.replace("batch_size", "batchsize"),
            &["key.toml:18", "`train.batchsize`", "`train.batch_size`"],
        ),
        (
            "type.toml",
            CONFIG.replace("epochs = 3", "epochs = \"3\""),
            &["type.toml:17", "`train.epochs`", "expected a whole number, 0 or more, found \"3\""],
        ),
        ("syntax.toml", CONFIG.replace("epochs = 3", "epochs = "), &["syntax.toml:17", "not valid TOML"]),
        ("lr.toml", CONFIG.replace("= 0.02", "= -0.02"), &["lr.toml:19", "`train.learning_rate`", "is -0.02"]),
        ("word.toml", CONFIG.replace("\"last_step\"", "\"last\""), &["word.toml:10", "`model.output`", "last_step"]),
        ("twice.toml", CONFIG.to_owned() + "epochs = 4\n", &["twice.toml:20", "not valid TOML", "duplicate"]),
        (
            "table.toml",
            CONFIG.replace("[data.validation]\n", ""),
            &["table.toml:7", "`data.fraction`", "data.validation.fraction"],
        ),
        ("none.toml", CONFIG.replace("train = \"train.csv\"\n", ""), &["none.toml", "`data`", "missing key `train`"]),
    ] {
        bench.put(name, text);
        bench.refuses(&["train", name], phrases);
    }
    bench.put("latin.toml", b"name = \"caf\xe9\"\n");
    bench.refuses(&["train", "latin.toml"], &["latin.toml", "UTF-8"]);
}

/// Each number that may be the first to overflow, in a regression with two layers whose inputs are about 1.
#[test]
fn training_that_diverges_names_the_tensor_and_leaves_nothing() {
    let bench = Bench::new();
    for (file, power) in [("train.csv", ""), ("large.csv", "e30")] {
        let rows: String = (0..40).map(|t| format!("{},{t},{}{power}\n", t % 3, 1 + t % 2)).collect();
        bench.put(file, "label,t,a\n".to_owned() + &rows);
    }
    bench.put("other.csv", bench.text("train.csv"));
    let own = [
        "data.test=other.csv",
        "data.units=[\"m\"]",
        "data.window=5",
        "train.loss=mse",
        "train.epochs=50",
        "train.batch_size=2",
        "model.output=every_step",
        "model.layers=[{type=\"gru\",units=2,candidate=\"linear\"},{type=\"dense\",units=1}]",
    ];
    let (diverged, large) =
        ("training diverged; lower `train.learning_rate`", "before the first step: inputs or targets");
    for (sets, expected, why) in [
        // The step itself is too long for f32.
        (&["train.learning_rate=1e39"][..], "epoch 1, batch 1: a weight of `gru.kernel` is ", diverged),
        // The outputs are, and with them the loss and its gradient.
        (
            &["train.learning_rate=1e38"],
            "epoch 1, batch 2: the loss is NaN, the gradient of `dense.bias` NaN: ",
            diverged,
        ),
        // Errors and states of 1e30 are numbers, but their product is none; the bias's gradient is the error alone.
        (&["data.train=large.csv", "data.normalize=none"], ", the gradient of `dense.kernel` ", large),
    ] {
        let sets = own.iter().chain(sets).flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "config.toml"].into_iter().chain(sets).collect();
        let ran = bench.grulet(&args);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        for phrase in ["error: epoch 1, ", expected, why] {
            assert!(ran.stderr.contains(phrase), "no {phrase:?} in {}", ran.stderr);
        }
        assert!(!bench.path("runs").exists(), "{}", ran.stderr);
    }
}

/// Keys for a kind of file that is not there would be ignored silently.
#[test]
fn keys_for_another_kind_of_file() {
    let bench = Bench::new();
    let refuses = |sets: &[&str], phrases: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "config.toml", "--dry-run"].into_iter().chain(sets).collect();
        bench.refuses(&args, phrases);
    };
    let npz = ["data.train=train.npz", "data.test=test.npz"];
    for (set, key, fix) in [
        ("data.npz.y=label", "`data.npz.y`", "use `data.csv.label`"),
        ("data.npz.group=label", "`data.npz.group`", "use `data.csv.group`"),
        ("data.npz.x_scale=0.5", "`data.npz.x_scale`", "leave it out"),
        ("data.npz_test.x=b", "`data.npz_test.x`", "leave it out"),
    ] {
        refuses(&[set], &[&format!("--set {set}: {key}: "), "the files are .csv", fix]);
    }
    for (set, key, fix) in [
        ("data.csv.series=who", "`data.csv.series`", "leave it out"),
        ("data.csv.features=[\"a\"]", "`data.csv.features`", "use `data.npz.x`"),
        ("data.csv.label=b", "`data.csv.label`", "use `data.npz.y`"),
        ("data.csv.weight=w", "`data.csv.weight`", "use `data.npz.weight`"),
        ("data.csv.source=s", "`data.csv.source`", "leave it out"),
    ] {
        refuses(&[&npz[..], &[set]].concat(), &[&format!("--set {set}: {key}: "), "the files are .npz", fix]);
    }
    refuses(&["data.csv.target=b"], &["`data.csv.target`", "needs `data.tokens`"]);
    bench.put("line.toml", bench.text("config.toml").replace("[model]", "[data.npz]\nx = \"X\"\n[model]"));
    bench.refuses(&["train", "line.toml"], &["line.toml:10: `data.npz.x`", "use `data.csv.features`, or leave it out"]);

    // The default changes nothing.
    let usual = ["data.npz.x=x", "data.npz_test.y=y", "data.csv.source=source"].map(|set| ["--set", set]).concat();
    bench.grulet(&[&["train", "config.toml", "--dry-run"], &usual[..]].concat()).ok();
    // Files of both kinds have keys of both.
    let both = ["--set", "data.train=train.npz", "--set", "data.npz.x=X", "--set", "data.csv.label=label"];
    bench.refuses(&[&["train", "config.toml"], &both[..]].concat(), &["train.npz: cannot read"]);
    let words = ["--set", "data.csv.features=[a,b]"];
    bench.refuses(&[&["train", "config.toml"], &words[..]].concat(), &["--set data.csv.features=[a,b]", "need quotes"]);
    let table = ["--set", "model.layers.0={units=3}"];
    bench.refuses(
        &[&["train", "config.toml"], &table[..]].concat(),
        &["`model.layers.0` is a table", "`model.layers.0."],
    );
    // A file of no kind is the fault.
    let neither = ["--set", "data.train=table.txt", "--set", "data.npz.x=X"];
    bench.refuses(&[&["train", "config.toml"], &neither[..]].concat(), &["table.txt", "give a .npz or a .csv"]);
    // Other commands read other files.
    bench.grulet(&["train", "config.toml", "--set", "train.epochs=1"]).ok();
    let other = ["evaluate", "runs/config", "other.npz", "--set", "data.npz.x=X"];
    bench.refuses(&other, &["other.npz: cannot read"]);
    bench.grulet(&["predict", "runs/config", "--set", "data.npz.x=X"]).ok();

    let bench = crate::sequence::bench();
    for (set, key, fix) in [
        ("data.csv.series=who", "`data.csv.series`", "leave it out"),
        ("data.csv.time=when", "`data.csv.time`", "leave it out"),
        ("data.csv.label=b", "`data.csv.label`", "use `data.csv.target`"),
        ("data.csv.features=[\"a\"]", "`data.csv.features`", "use `data.csv.source`"),
    ] {
        bench.refuses(&["train", "config.toml", "--set", set], &[key, "does not go with `data.tokens`", fix]);
    }
    bench.refuses(&["train", "config.toml", "--set", "data.npz.y_lengths=n"], &["`data.npz.y_lengths`", "are .csv"]);
    let npz = ["--set", "data.train=a.npz", "--set", "data.test=b.npz"];
    bench.refuses(&[&["train", "config.toml"], &npz[..]].concat(), &["config.toml:5: `data.tokens`", "leave it out"]);
}
