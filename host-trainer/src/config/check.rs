//! Values that parse but cannot work.

use std::path::{Component, Path};

use grulet::spec::{Activation, MAX_LAYERS, Output};

use super::{
    ClassWeights, Config, Epsilon, LayerConfig, Loss, Monitor, Names, NpzKeys, Optimizer, Rates, Schedule,
    TargetTransform, Task,
};
use crate::data::FileKind;
use crate::files::same;

/// The key at fault, and what is wrong with it and what to write instead.
type Problem = (&'static str, String);

/// How to get a validation part.
const VALIDATE: &str = "set `data.validation.fraction = 0.1`";

fn ensure(ok: bool, key: &'static str, problem: impl Into<String>) -> Result<(), Problem> {
    if ok { Ok(()) } else { Err((key, problem.into())) }
}

fn positive(value: f64, key: &'static str, example: &str) -> Result<(), Problem> {
    let ok = value.is_finite() && value > 0.0;
    ensure(ok, key, format!("is {value}, but must be a number above 0, such as {example}"))
}

fn not_negative(value: f64, key: &'static str, example: &str) -> Result<(), Problem> {
    let ok = value.is_finite() && value >= 0.0;
    ensure(ok, key, format!("is {value}, but must be 0 or a number above 0, such as {example}"))
}

/// More threads than any processor has cores find no work; a system may break down under them.
const MAX_THREADS: usize = 1024;

fn distinct(names: &[String], key: &'static str) -> Result<(), Problem> {
    let twice = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
    ensure(twice.is_none(), key, format!("has {:?} twice", twice.map_or("", |(_, name)| name)))
}

fn not_zero(value: usize, key: &'static str) -> Result<(), Problem> {
    ensure(value > 0, key, "is 0, but must be at least 1")
}

impl Config {
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.check_name()?;
        self.check_train()?;
        self.check_optimizer()?;
        self.check_schedule()?;
        self.check_patience()?;
        self.check_stateful()?;
        self.check_regularization()?;
        self.check_classes()?;
        self.check_data()?;
        self.check_validation()?;
        self.check_sequence()?;
        self.check_model()
    }

    /// The name, which is that of a folder in `runs` and of code that is generated.
    fn check_name(&self) -> Result<(), Problem> {
        let mut parts = Path::new(&self.name).components();
        let plain = matches!((parts.next(), parts.next()), (None | Some(Component::Normal(_)), None));
        let problem =
            "is not the name of one folder; leave slashes and dots out, and set `train.run_dir` for another folder";
        ensure(plain && !self.name.ends_with('/'), "name", problem)
    }

    /// What goes with an encoder-decoder, and with nothing else.
    fn check_sequence(&self) -> Result<(), Problem> {
        let (model, data, train) = (&self.model, &self.data, &self.train);
        if !model.is_sequence() {
            let fix = "belongs to an encoder-decoder; set `model.output = \"sequence\"`, or leave it out";
            ensure(model.encoder.is_empty(), "model.encoder", fix)?;
            return ensure(data.tokens.is_none(), "data.tokens", fix);
        }
        let fix = "\"sequence\" is written by a decoder after an encoder; give the encoder's layers as `model.encoder`";
        ensure(!model.encoder.is_empty(), "model.output", fix)?;
        let problem = "a bidirectional gru hands nothing to a decoder, and a decoder has no end to read from; \
                       use gru layers without `bidirectional`";
        ensure(!model.is_bidirectional(), "model.layers", problem)?;
        let grus = |layers: &[LayerConfig]| -> Vec<u16> {
            layers.iter().filter(|layer| layer.is_gru()).filter_map(LayerConfig::units).collect()
        };
        let (encoder, decoder) = (grus(&model.encoder), grus(&model.layers));
        let ends = model.encoder.last().is_some_and(LayerConfig::is_gru);
        ensure(ends, "model.encoder", "ends in a layer that hands nothing to the decoder; let it end in a gru")?;
        let problem = format!(
            "the decoder's grus have {decoder:?} units, the encoder's {encoder:?}; \
             give both the same, because the decoder starts from the encoder's states"
        );
        ensure(encoder == decoder, "model.layers", problem)?;
        let pool = model.all_layers().any(|layer| matches!(layer, LayerConfig::Pool { .. }));
        ensure(!pool, "model.layers", "a pool hands nothing to a decoder; leave pools out of an encoder-decoder")?;
        let tokens = model.layers.first().is_some_and(LayerConfig::takes_tokens);
        ensure(tokens, "model.layers", "a decoder takes tokens; let it begin with an embedding or a one_hot layer")?;
        ensure(
            train.loss == Loss::SparseCategoricalCrossentropy,
            "train.loss",
            "is not for tokens; use `train.loss = \"sparse_categorical_crossentropy\"`",
        )?;
        let table = FileKind::of(&data.train) == Some(FileKind::Csv);
        let problem = "is what a token of the texts in a .csv is; set it to \"characters\" or \"words\"";
        ensure(!table || data.tokens.is_some(), "data.tokens", problem)?;
        let alone = "does not go with sequences of tokens; leave it out";
        ensure(data.window.is_none(), "data.window", alone)?;
        ensure(train.class_weights.is_none(), "train.class_weights", alone)?;
        ensure(data.npz.weight.is_none(), "data.npz.weight", alone)?;
        ensure(data.csv.weight.is_none(), "data.csv.weight", alone)
    }

    fn check_train(&self) -> Result<(), Problem> {
        let train = &self.train;
        positive(train.learning_rate, "train.learning_rate", "0.001")?;
        not_zero(train.epochs, "train.epochs")?;
        not_zero(train.batch_size, "train.batch_size")?;
        if let Some(norm) = train.clip_norm {
            positive(norm, "train.clip_norm", "1.0")?;
        }
        if let Some(value) = train.clip_value {
            positive(value, "train.clip_value", "0.5")?;
            ensure(
                train.clip_norm.is_none(),
                "train.clip_value",
                "clips gradients that `train.clip_norm` clips already; leave one of the two out",
            )?;
        }
        if train.ignore_steps > 0 {
            let problem = "needs an answer at every step; set `model.output = \"every_step\"`, or leave it out";
            ensure(self.model.output == Output::EveryStep, "train.ignore_steps", problem)?;
            let windows = self.data.window.filter(|_| !train.stateful);
            let window = windows.unwrap_or(usize::MAX);
            let problem = format!("is {}, all of a window of {window}; make it smaller", train.ignore_steps);
            ensure(train.ignore_steps < window, "train.ignore_steps", problem)?;
        }
        if let Some(examples) = train.overfit {
            not_zero(examples, "train.overfit")?;
            let alone = self.data.validation.is_none() && self.data.test.is_none();
            let problem = "is a check on the first examples alone; use `--overfit N`, which leaves out the other parts";
            ensure(alone, "train.overfit", problem)?;
        }
        if let Some(threads) = train.threads {
            not_zero(threads, "train.threads")?;
            let problem =
                format!("is {threads}, but at most {MAX_THREADS} are possible; leave it out for one on each core");
            ensure(threads <= MAX_THREADS, "train.threads", problem)?;
        }
        not_negative(train.input_noise, "train.input_noise", "0.1")?;
        let problem = format!("is {}, which f32 cannot hold; write a smaller one, such as 0.1", train.input_noise);
        ensure((train.input_noise as f32).is_finite(), "train.input_noise", problem)
    }

    fn check_optimizer(&self) -> Result<(), Problem> {
        let train = &self.train;
        ensure(
            matches!(train.optimizer, Optimizer::Adam | Optimizer::AdamW) || train.epsilon == Epsilon::Keras,
            "train.epsilon",
            "belongs to Adam; set `train.optimizer` to \"adam\" or \"adamw\", or leave this out",
        )?;
        if let Some(decay) = train.weight_decay {
            positive(decay, "train.weight_decay", "0.004")?;
            ensure(
                train.optimizer == Optimizer::AdamW,
                "train.weight_decay",
                "belongs to AdamW; set `train.optimizer = \"adamw\"`, or leave this out",
            )?;
        }
        ensure(
            (0.0..1.0).contains(&train.momentum),
            "train.momentum",
            format!("is {}, but must be from 0 to below 1, such as 0.9", train.momentum),
        )?;
        ensure(
            train.optimizer == Optimizer::Sgd || train.momentum == 0.0,
            "train.momentum",
            "belongs to gradient descent; set `train.optimizer = \"sgd\"`, or leave this out",
        )?;
        if let Some(momentum) = train.ema_momentum {
            let problem = format!("is {momentum}, but must lie between 0 and 1, such as 0.99");
            ensure(momentum > 0.0 && momentum < 1.0, "train.ema_momentum", problem)?;
        }
        ensure(
            train.momentum > 0.0 || !train.nesterov,
            "train.nesterov",
            "needs momentum; set `train.optimizer = \"sgd\"` and `train.momentum = 0.9`, or leave this out",
        )
    }

    fn check_schedule(&self) -> Result<(), Problem> {
        let train = &self.train;
        let belongs = |schedules: &[Schedule], given: bool, key, to: &str| {
            let problem = format!("belongs to another schedule; set `train.schedule = {to}`, or leave this out");
            ensure(!given || schedules.contains(&train.schedule), key, problem)
        };
        let (step, plateau) = (Schedule::Step, Schedule::Plateau);
        if let Some(factor) = train.schedule_factor {
            let problem = format!("is {factor}, but must lie between 0 and 1, such as 0.1");
            ensure(factor > 0.0 && factor < 1.0, "train.schedule_factor", problem)?;
            belongs(&[step, plateau], true, "train.schedule_factor", "\"step\"` or `\"plateau\"")?;
        }
        if let Some(every) = train.schedule_every {
            not_zero(every, "train.schedule_every")?;
            belongs(&[step], true, "train.schedule_every", "\"step\"")?;
        }
        if let Some(patience) = train.schedule_patience {
            not_zero(patience, "train.schedule_patience")?;
            belongs(&[plateau], true, "train.schedule_patience", "\"plateau\"")?;
        }
        let (minimum, rate) = (train.schedule_minimum, train.learning_rate);
        ensure(
            (0.0..rate).contains(&minimum),
            "train.schedule_minimum",
            format!("is {minimum}, but must be from 0 to below `train.learning_rate`, which is {rate}"),
        )?;
        belongs(&[plateau], minimum > 0.0, "train.schedule_minimum", "\"plateau\"")?;
        belongs(&[Schedule::Cosine], train.warmup_steps > 0, "train.warmup_steps", "\"cosine\"")?;
        ensure(
            train.schedule != plateau || self.data.validation.is_some(),
            "train.schedule",
            format!("\"plateau\" watches the validation loss; {VALIDATE}, or use another schedule"),
        )
    }

    fn check_patience(&self) -> Result<(), Problem> {
        let (train, plateau) = (&self.train, self.train.schedule == Schedule::Plateau);
        if let Some(patience) = train.patience {
            not_zero(patience, "train.patience")?;
            let problem = format!("watches the validation loss; {VALIDATE}, or leave this out");
            ensure(self.data.validation.is_some(), "train.patience", problem)?;
            // Both count the same epochs.
            let other = train.schedule_patience.unwrap_or(0);
            ensure(
                !plateau || patience > other,
                "train.patience",
                format!(
                    "is {patience}, so that training ends before the learning rate falls; \
                     make it more than `train.schedule_patience`, which is {other}"
                ),
            )?;
        }
        ensure(
            train.monitor == Monitor::Loss || self.task() != Task::Regression,
            "train.monitor",
            "is the accuracy, which only decisions have, but the loss is for real values; leave this out",
        )?;
        not_negative(train.min_delta, "train.min_delta", "0.001")?;
        ensure(
            train.min_delta == 0.0 || plateau || train.patience.is_some(),
            "train.min_delta",
            "changes nothing without patience; set `train.patience = 10` or `train.schedule = \"plateau\"`, or leave this out",
        )
    }

    fn check_stateful(&self) -> Result<(), Problem> {
        let (data, key) = (&self.data, "train.stateful");
        if !self.train.stateful {
            return Ok(());
        }
        let problem = "needs an answer at every step; set `model.output = \"every_step\"`, or leave it out";
        ensure(self.model.output == Output::EveryStep, key, problem)?;
        let problem = "needs `data.window`, the steps after which gradients are cut off; set `data.window = 100`";
        ensure(data.window.is_some(), key, problem)?;
        let pool = self.model.layers.iter().any(|layer| matches!(layer, LayerConfig::Pool { .. }));
        let problem = "does not carry what a pool has seen from window to window; leave the pool out";
        ensure(!pool, key, problem)?;
        let problem =
            "carries states on, but a bidirectional gru reads each window from both ends; leave one of the two out";
        ensure(!self.model.is_bidirectional(), key, problem)?;
        for (stride, key) in [(data.stride, "data.stride"), (data.train_stride, "data.train_stride")] {
            ensure(
                stride.is_none() || stride == data.window,
                key,
                "moves windows apart or over each other, but with `train.stateful` each goes on from the one before; leave it out",
            )?;
        }
        Ok(())
    }

    fn check_regularization(&self) -> Result<(), Problem> {
        let train = &self.train;
        let layers: Vec<&LayerConfig> = self.model.all_layers().collect();
        for (rates, key) in [(&train.dropout, "train.dropout"), (&train.recurrent_dropout, "train.recurrent_dropout")] {
            let each = rates.each(layers.len());
            let wrong = each.iter().find(|rate| !(0.0..1.0).contains(*rate));
            let problem = format!("is {}, but must be from 0 to below 1, such as 0.2", wrong.unwrap_or(&0.0));
            ensure(wrong.is_none(), key, problem)?;
            let problem =
                format!("has {} rates for {} layers; give one for each, or one for all", each.len(), layers.len());
            ensure(each.len() == layers.len(), key, problem)?;
        }
        if let Rates::Each(rates) = &train.recurrent_dropout {
            let at = rates
                .iter()
                .zip(&layers)
                .position(|(rate, layer)| *rate > 0.0 && !(layer.is_gru() || is_bidirectional(layer)));
            let problem = format!("drops state of layer {}, which is no gru; give it 0", at.unwrap_or(0) + 1);
            ensure(at.is_none(), "train.recurrent_dropout", problem)?;
        }
        if self.takes_tokens() {
            let problem = "drops tokens, the inputs of layer 1; give it 0";
            ensure(!self.drops_inputs_of(0), "train.dropout", problem)?;
            let problem = "adds noise to tokens, which would be others; leave it out";
            ensure(train.input_noise == 0.0, "train.input_noise", problem)?;
        }
        if self.model.is_sequence() {
            let decoder = self.model.encoder.len();
            let problem = format!("drops tokens, the inputs of layer {}, the decoder's first; give it 0", decoder + 1);
            ensure(!self.drops_inputs_of(decoder), "train.dropout", problem)?;
        }
        not_negative(train.l1, "train.l1", "0.00001")?;
        not_negative(train.l2, "train.l2", "0.0001")?;
        let smoothing = train.label_smoothing;
        let problem = format!("is {smoothing}, but must be from 0 to below 1, such as 0.1");
        ensure((0.0..1.0).contains(&smoothing), "train.label_smoothing", problem)?;
        ensure(
            smoothing == 0.0 || self.task() != Task::Regression,
            "train.label_smoothing",
            "smooths the labels of a cross-entropy, but the loss is for real values; leave it out",
        )
    }

    /// Whether a list of rates has one above 0 for that layer.
    fn drops_inputs_of(&self, layer: usize) -> bool {
        matches!(&self.train.dropout, Rates::Each(rates) if rates.get(layer).is_some_and(|&rate| rate > 0.0))
    }

    fn check_classes(&self) -> Result<(), Problem> {
        let outputs = self.model.layers.iter().rev().find_map(LayerConfig::units).map_or(0, usize::from);
        let classes = match self.task() {
            // As many as the data have: how many, is seen there.
            Task::Classes if outputs == 0 => usize::MAX,
            Task::Classes => outputs,
            // Yes or no. Where the units are left out, the data tell whether there is one answer.
            Task::Binary if outputs <= 1 => 2,
            _ => 0,
        };
        let no_classes = "needs one class per answer: a softmax, or a single sigmoid; leave it out";
        if let Some(weights) = &self.train.class_weights {
            ensure(classes > 0, "train.class_weights", no_classes)?;
            if let ClassWeights::Each(weights) = weights {
                let problem = format!("has {} weights for {classes} classes; give one for each", weights.len());
                ensure(weights.len() == classes || classes == usize::MAX, "train.class_weights", problem)?;
                for &weight in weights {
                    not_negative(weight, "train.class_weights", "2.5")?;
                }
                ensure(weights.iter().any(|&weight| weight > 0.0), "train.class_weights", "is 0 for every class")?;
            }
        }
        if self.train.oversample {
            ensure(classes > 0, "train.oversample", no_classes)?;
            let instead = if self.model.is_sequence() { "leave it out" } else { "use `train.class_weights`" };
            let problem = format!("shows whole series again, but a series has a class at every step; {instead}");
            ensure(self.model.output == Output::LastStep, "train.oversample", problem)?;
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), Problem> {
        let (data, regression) = (&self.data, self.task() == Task::Regression);
        if let Some(rate) = data.sample_rate {
            positive(rate, "data.sample_rate", "50.0")?;
        }
        if let Some(window) = data.window {
            not_zero(window, "data.window")?;
        }
        for (stride, key) in [(data.stride, "data.stride"), (data.train_stride, "data.train_stride")] {
            if let Some(stride) = stride {
                not_zero(stride, key)?;
                ensure(data.window.is_some(), key, "needs `data.window`: the stride is between windows")?;
            }
        }
        let loss = "the loss is a cross-entropy; use `train.loss = \"mse\"`, or leave this out";
        ensure(regression || !data.normalize_targets, "data.normalize_targets", format!("is true, but {loss}"))?;
        ensure(
            regression || data.target_transform == TargetTransform::None,
            "data.target_transform",
            format!("makes real values, but {loss}"),
        )?;
        let last_step = self.model.output == Output::LastStep;
        ensure(
            data.horizon() == 0 || !last_step || data.window.is_some(),
            "data.horizon",
            "needs a target per step: set `model.output = \"every_step\"`, or `data.window` for windows that each have the target of \
             their last step, or leave the horizon out",
        )?;
        ensure(
            data.horizon() == 0 || !self.model.is_sequence(),
            "data.horizon",
            "is for targets of steps, but a sequence is written as a whole; leave it out",
        )?;
        let problem = "asks for what a bidirectional gru has seen already, the steps ahead; \
                       set `model.output = \"last_step\"`, leave it out, or use gru layers without `bidirectional`";
        ensure(data.horizon() == 0 || last_step || !self.model.is_bidirectional(), "data.horizon", problem)?;
        let classes_use = "names classes, but the loss is for real values; \
                           use `train.loss = \"sparse_categorical_crossentropy\"`, or leave the names out";
        ensure(data.classes.is_none() || !regression, "data.classes", classes_use)?;
        for (names, key) in
            [(&data.channels, "data.channels"), (&data.units, "data.units"), (&data.classes, "data.classes")]
        {
            if let Some(Names::List(names)) = names {
                ensure(!names.is_empty(), key, "is an empty list; name every one, or leave the key out")?;
            }
        }
        for (names, key) in [(&data.channels, "data.channels"), (&data.classes, "data.classes")] {
            if let Some(Names::List(names)) = names {
                distinct(names, key)?;
            }
        }
        let features = data.csv.features.as_deref();
        ensure(features != Some(&[]), "data.csv.features", "is an empty list; name at least one column")?;
        let named = data.csv.label.as_ref().map(|label| label.as_slice());
        ensure(named != Some(&[]), "data.csv.label", "is an empty list; name at least one column")?;
        let label = ["label".to_owned()];
        let labels = named.unwrap_or(&label);
        distinct(features.unwrap_or_default(), "data.csv.features")?;
        distinct(labels, "data.csv.label")?;
        if let (Some(features), 0) = (features, data.horizon()) {
            let shared = labels.iter().find(|label| features.contains(label));
            ensure(
                shared.is_none(),
                if named.is_some() { "data.csv.label" } else { "data.csv.features" },
                format!(
                    "column {:?} is both input and target of the same step; \
                     set `data.horizon = 1` to forecast it, or take it out of `data.csv.features`",
                    shared.map_or("", String::as_str)
                ),
            )?;
        }
        if let Some(weight) = &data.csv.weight {
            let problem = |what| format!("column {weight:?} is {what} too; name another, or leave this out");
            let input = features.is_some_and(|features| features.contains(weight));
            ensure(!input, "data.csv.weight", problem("an input by `data.csv.features`"))?;
            let target = labels.contains(weight);
            ensure(!target, "data.csv.weight", problem("a target by `data.csv.label`"))?;
        }
        Ok(())
    }

    /// Whether the parts are apart, once all paths lead from the current folder.
    pub(super) fn check_files(&self) -> Result<(), Problem> {
        let data = &self.data;
        let is = |a: Option<&Path>, b: &Path| a.is_some_and(|a| same(a, b));
        let test = data.test.as_deref();
        let same_keys = data.npz_test == NpzKeys::default() || data.npz_test == data.npz;
        ensure(
            !(is(test, &data.train) && same_keys),
            "data.test",
            "is the training data; name another file, or other keys of the same .npz in [data.npz_test]",
        )?;
        let validation = data.validation.as_ref().and_then(|validation| validation.file.as_deref());
        ensure(
            !validation.is_some_and(|file| same(file, &data.train) || is(test, file)),
            "data.validation.file",
            "is the training or the test file; name another, or use `fraction`",
        )
    }

    fn check_validation(&self) -> Result<(), Problem> {
        let Some(validation) = &self.data.validation else {
            return Ok(());
        };
        let given = [
            validation.fraction.is_some(),
            validation.file.is_some(),
            validation.groups.is_some(),
            validation.fold.is_some(),
        ];
        ensure(
            given.into_iter().filter(|&given| given).count() == 1,
            "data.validation",
            "needs exactly one of `fraction`, `file`, `groups` and `fold`",
        )?;
        if let Some(fraction) = validation.fraction {
            let ok = fraction > 0.0 && fraction < 1.0;
            let problem = format!("is {fraction}, but must lie between 0 and 1, such as 0.1");
            ensure(ok, "data.validation.fraction", problem)?;
        }
        if let Some([number, count]) = validation.fold {
            let ok = count >= 2 && (1..=count).contains(&number);
            let problem = format!(
                "is [{number}, {count}], but must be the number of a fold, from 1, and how many there are, at least 2, such as [1, 5]"
            );
            ensure(ok, "data.validation.fold", problem)?;
        }
        if let Some(groups) = &validation.groups {
            ensure(!groups.is_empty(), "data.validation.groups", "is an empty list; name at least one group")?;
            let column = self.data.npz.group.is_some() || self.data.csv.group.is_some();
            ensure(
                column,
                "data.validation.groups",
                "needs to know each series' group; set `data.npz.group` or `data.csv.group`",
            )?;
        }
        Ok(())
    }

    fn check_model(&self) -> Result<(), Problem> {
        let layers = &self.model.layers;
        let Some(last) = layers.last() else {
            return Err(("model.layers", "is empty; a network has at least one layer".to_owned()));
        };
        let count = self.model.all_layers().count();
        ensure(
            count <= MAX_LAYERS,
            "model.layers",
            format!("has {count} layers, but at most {MAX_LAYERS} are possible"),
        )?;
        for (key, part) in [("model.encoder", &self.model.encoder), ("model.layers", layers)] {
            for (index, layer) in part.iter().enumerate() {
                let last = key == "model.layers" && index + 1 == part.len();
                let dense = matches!(layer, LayerConfig::Dense { .. });
                let problem = if dense {
                    format!("layer {} has no `units`, which only the last layer takes from the data", index + 1)
                } else {
                    format!("layer {} has 0 units; give it at least 1", index + 1)
                };
                let one_hot = matches!(layer, LayerConfig::OneHot { .. });
                ensure(layer.units() != Some(0) || (dense && last) || one_hot, key, problem)?;
                if let LayerConfig::Embedding { vocabulary, .. } = layer {
                    let problem = "an embedding needs `vocabulary`, the number of tokens";
                    ensure(*vocabulary > 0 || self.model.is_sequence(), key, problem)?;
                    let problem = format!("layer {} is an embedding, which only the first layer can be", index + 1);
                    ensure(index == 0, key, problem)?;
                }
                if let LayerConfig::OneHot { vocabulary } = layer {
                    let problem = "a one_hot layer needs `vocabulary`, the number of tokens";
                    ensure(*vocabulary > 0 || self.model.is_sequence(), key, problem)?;
                    let problem = format!("layer {} is a one_hot layer, which only the first layer can be", index + 1);
                    ensure(index == 0, key, problem)?;
                    let problem =
                        "a one_hot layer needs a gru or dense layer after it; put one there, or use an embedding";
                    let takes = |next: &LayerConfig| !next.takes_tokens() && !matches!(next, LayerConfig::Pool { .. });
                    ensure(part.get(1).is_some_and(takes), key, problem)?;
                }
            }
        }
        let weights = layers.iter().any(|layer| !matches!(layer, LayerConfig::Pool { .. }));
        ensure(weights, "model.layers", "has pools alone, which learn nothing; add a gru or a dense layer")?;
        let inner_softmax = layers[..layers.len() - 1].iter().position(is_softmax);
        ensure(
            inner_softmax.is_none(),
            "model.layers",
            format!(
                "layer {} is a softmax, which only the last layer can be; use another activation",
                inner_softmax.unwrap_or(0) + 1
            ),
        )?;
        let place = match last {
            LayerConfig::Dense { .. } => "in the last layer",
            _ => "in a dense layer at the end; add one",
        };
        match self.train.loss {
            Loss::SparseCategoricalCrossentropy | Loss::CategoricalCrossentropy => {
                let problem = format!("this loss needs `activation = \"softmax\"` {place}");
                ensure(is_softmax(last), "model.layers", problem)?;
                ensure(
                    last.units() != Some(1),
                    "model.layers",
                    "a softmax of one unit is always 1; give it a unit per class",
                )
            }
            Loss::BinaryCrossentropy => {
                let sigmoid = matches!(last, LayerConfig::Dense { activation: Activation::Sigmoid, .. });
                let softmax = if is_softmax(last) {
                    "; for a softmax use `train.loss = \"sparse_categorical_crossentropy\"`"
                } else {
                    ""
                };
                let problem = format!("binary_crossentropy needs `activation = \"sigmoid\"` {place}{softmax}");
                ensure(sigmoid, "model.layers", problem)
            }
            Loss::Mse | Loss::Mae | Loss::Huber => Ok(()),
        }
    }
}

fn is_bidirectional(layer: &LayerConfig) -> bool {
    matches!(layer, LayerConfig::Bidirectional { .. })
}

fn is_softmax(layer: &LayerConfig) -> bool {
    matches!(layer, LayerConfig::Dense { activation: Activation::Softmax, .. })
}
