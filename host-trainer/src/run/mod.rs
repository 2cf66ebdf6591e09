//! A training run: epochs, and the folder that keeps what comes of them.
//!
//! | file | what it holds |
//! |---|---|
//! | `config.toml` | the configuration with all defaults and overrides filled in |
//! | `log.csv` | one row per epoch |
//! | `best.ckpt`, `last.ckpt` | the checkpoint of the best epoch, and of the last |
//! | `model.gru` | the best epoch, exported |
//! | `model_int8.gru`, `best_int8.ckpt` | with `train.qat_epochs`: the model in integers, and its weights |
//! | `report.json` | a [`Report`] |
//! | `.lock` | nothing: it is locked as long as the run goes on, so that no other process trains into the folder |
//!
//! **If** a run fails **then** every file in its folder is whole, and those of the epochs before are there; **if** it fails in
//! its first epoch **then** nothing is left of it. **If** its process is killed, whenever that is, **then** [`resume()`] goes on
//! after the last epoch that has its `last.ckpt`, and ends in the same bits as if nothing had happened.

mod aware;
mod card;
mod error;
mod folder;
pub mod folds;
mod learning_rate;
mod lock;
mod log;
mod monitor;
mod outcome;
mod patience;
mod plan;
mod report;
mod resume;

use std::ops::Range;
use std::time::Instant;

use grulet::{BitHash, Exact};

use card::{as_read, card};
pub use error::RunError;
pub use log::{EpochLog, Progress};
pub use outcome::{NamedScores, Outcome, Spread};
pub use plan::{Plan, plan};
pub use report::{ExportedModel, Report};
pub use resume::resume;

use crate::baseline::baselines;
use crate::checkpoint::{Card, Checkpoint, Origin};
use crate::config::{Balance, ClassWeights, Config, TrainConfig};
use crate::data::{self, Batches, Dataset, Prepared, balanced_weights};
use crate::evaluate::{Details, Loaded, Scores, predict, score};
use crate::export;
use crate::files;
use crate::nn::{self, Batch, Metrics, Network, Optimizer, Regularization, Trainer, clip_by_norm, clip_by_value};
use crate::summary::output_names;
pub(crate) use folder::{FILES, RunFolder, SWEEP};
use learning_rate::LearningRate;
use log::Log;
use patience::Patience;

/// Trains as `config` says and keeps everything in its `train.run_dir`.
///
/// # Errors
/// Whatever goes wrong, as a [`RunError`] that says where and what to do.
pub fn train(config: &Config, overwrite: bool, progress: &mut dyn Progress) -> Result<Report, RunError> {
    let start = Instant::now();
    let mut folder = RunFolder::claim(&config.train.run_dir, folder::RUN)?;
    if !overwrite {
        folder.refuse_replacing()?;
    }
    let data = data::prepare(config)?;
    go_on(config, 0, progress)?;
    let training = Training::new(config, &data)?;
    go_on(config, 0, progress)?;
    folder.clear()?;
    files::write(&folder.file("config.toml"), as_read(config, &data).to_toml())?;
    let log = Log::create(&folder.file("log.csv"))?;
    progress.start(config, &data);
    finish(training, folder, log, start, progress)
}

/// Where a run stands.
struct Training<'a> {
    config: &'a Config,
    data: &'a Prepared,
    trainer: Trainer<f32>,
    batches: Batches<'a>,
    learning_rate: LearningRate,
    optimizer: Optimizer<f32>,
    patience: Option<Patience>,
    card: Card,
    origin: Origin,
    best: Option<Checkpoint>,
    /// The best epoch, and the last one.
    rows: Option<(EpochLog, EpochLog)>,
    /// The epoch with which patience has ended.
    stopped_epoch: Option<usize>,
}

impl<'a> Training<'a> {
    /// Before the first epoch.
    fn new(config: &'a Config, data: &'a Prepared) -> Result<Self, RunError> {
        let train = &config.train;
        let threads = train.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let network = match &data.initial {
            Some(params) => Network::from_params(&data.layers, data.train.output, params.clone())?,
            None => Network::<f32>::new(&data.layers, data.train.output, config.seed)?,
        };
        let mut trainer = Trainer::new(network, train.loss.into(), threads)?;
        trainer.regularize(regularization(config))?;
        for (data, part) in [(Some(&data.train), "training"), (data.validation.as_ref(), "validation")] {
            let Some(longest) = data.and_then(|data| (0..data.series.len()).map(|index| data.steps(index)).max())
            else {
                continue;
            };
            if longest <= train.ignore_steps {
                return Err(RunError::AllIgnored { ignored: train.ignore_steps, part, longest });
            }
        }
        let batches = training_batches(config, &data.train);
        Ok(Self {
            config,
            data,
            learning_rate: LearningRate::new(train, batches.count())?,
            optimizer: optimizer(train, trainer.network().params().len()),
            patience: train.patience.map(|epochs| Patience::new(epochs, train.min_delta)),
            card: card(config, data),
            origin: resume::origin(config, data),
            best: None,
            rows: None,
            stopped_epoch: None,
            trainer,
            batches,
        })
    }

    /// Takes what came of an epoch.
    fn epoch_ends(&mut self, row: EpochLog) {
        let monitor = self.config.train.monitor;
        let cost = monitor.cost(row.value(monitor));
        self.learning_rate.epoch_ends(cost);
        let ends = self.patience.as_mut().is_some_and(|patience| patience.ends(cost));
        if ends && row.epoch < self.config.train.epochs {
            self.stopped_epoch = Some(row.epoch);
        }
        let best = match self.rows.take() {
            Some((best, _)) if !monitor.improves(row.value(monitor), best.value(monitor)) => best,
            _ => row.clone(),
        };
        self.rows = Some((best, row));
    }

    /// The epochs that are still to train, from 0.
    fn epochs(&self) -> Range<usize> {
        let done = self.trained();
        done..self.stopped_epoch.unwrap_or(self.config.train.epochs)
    }
}

/// Trains the epochs that are left, and makes of the best one what a run ends in.
fn finish(
    mut training: Training<'_>,
    mut folder: RunFolder,
    mut log: Log,
    start: Instant,
    progress: &mut dyn Progress,
) -> Result<Report, RunError> {
    let Training { config, data, .. } = training;
    for epoch in training.epochs() {
        let Training { trainer, batches, learning_rate, optimizer, card, origin, best, .. } = &mut training;
        let epoch_start = Instant::now();
        batches.start_epoch(epoch as u64);
        let rate = |index| learning_rate.of(epoch * batches.count() + index);
        let pass = Epoch { number: epoch + 1, batches, rate: &rate };
        let scores = train_epoch(config, trainer, optimizer, &pass, progress, |_, _| Ok(None))?;
        // If there is an average, it is the model; training goes on from the weights themselves.
        optimizer.swap_average(trainer.network_mut().params_mut());
        let validation = data.validation.as_ref().map(|part| validate(config, trainer, part, epoch, progress));
        let row = EpochLog {
            epoch: epoch + 1,
            learning_rate: rate(batches.count() - 1),
            training: scores,
            validation: validation.transpose()?,
            seconds: epoch_start.elapsed().as_secs_f64(),
            steps: batches.count(),
        };
        if let (Some(Scores { loss, .. }), None) = (&row.validation, &best)
            && !loss.is_finite()
        {
            // Whatever follows, no epoch could be told to be better.
            return Err(RunError::TooLargeValidation { loss: *loss });
        }
        log.append(&row)?;
        let checkpoint = Checkpoint {
            card: card.clone(),
            epoch: epoch as u32 + 1,
            value: row.value(config.train.monitor),
            params: trainer.network().params().to_vec(),
            optimizer: optimizer.clone(),
            origin: *origin,
        };
        optimizer.swap_average(trainer.network_mut().params_mut());
        if best.as_ref().is_none_or(|best| config.train.monitor.improves(checkpoint.value, best.value)) {
            checkpoint.save(&folder.file("best.ckpt"))?;
            *best = Some(checkpoint.clone());
        }
        // The last of the epoch's files: what it does not tell follows from the log.
        checkpoint.save(&folder.file("last.ckpt"))?;
        folder.keep();
        progress.epoch(&row);
        training.epoch_ends(row);
        if training.stopped_epoch.is_some() {
            break;
        }
    }
    conclude(training, &folder, start, progress)
}

/// Exports the model of the best epoch, scores it, trains it in integers if that is wanted, and writes the report.
fn conclude(
    training: Training<'_>,
    folder: &RunFolder,
    start: Instant,
    progress: &mut dyn Progress,
) -> Result<Report, RunError> {
    let Training { config, data, mut trainer, mut batches, best, rows, stopped_epoch, .. } = training;
    // A configuration has at least one epoch.
    let (Some(best), Some((scores, last))) = (best, rows) else {
        unreachable!("there is no training without an epoch")
    };
    if let Some(epoch) = stopped_epoch {
        progress.stopped(epoch, best.epoch);
    }

    let blob = export::export(&best)?;
    files::write(&folder.file("model.gru"), &blob)?;
    let model = Loaded::<Exact>::from_blob(&blob)?;
    let loss: nn::Loss = config.train.loss.into();
    let (test, test_details) = match &data.test {
        Some(test) => {
            let answers = predict(&model, test)?;
            let details = Details::of(loss, &answers, test, &output_names(model.header()), None);
            (Some(score(loss, &answers, test)), details)
        }
        None => (None, None),
    };
    let mut weights = BitHash::new();
    weights.update(&best.params);
    go_on(config, last.epoch.max(config.train.epochs), progress)?;
    let baselines = data.test.as_ref().map_or_else(Vec::new, |test| {
        let train = in_own_units(data, &data.train);
        baselines(config.task(), loss, &train, test, data.known.as_ref(), &|| progress.interrupted())
    });
    go_on(config, last.epoch.max(config.train.epochs), progress)?;
    let mut report = Report {
        name: config.name.clone(),
        seed: config.seed,
        parameters: best.params.len(),
        epochs: last.epoch,
        stopped_epoch,
        best_epoch: best.epoch,
        metric: best.card.metric.clone(),
        overfit: config.train.overfit.map(|_| data.train.series.len()),
        training: scores.training,
        validation: scores.validation,
        test,
        test_details,
        int8: None,
        baselines,
        weights_hash: format!("{:016x}", weights.finish()),
        model: ExportedModel::of(folder.file("model.gru"), blob.as_ref().len(), model.header()),
        seconds: start.elapsed().as_secs_f64(),
    };
    let write = |report: &Report| files::write(&folder.file("report.json"), report.to_json());
    if config.train.qat_epochs > 0 {
        match aware::train_aware(config, data, &best, &mut trainer, &mut batches, folder, progress) {
            Ok(int8) => report.int8 = int8,
            Err(RunError::Quantize(source)) => {
                write(&report)?;
                return Err(RunError::OnlyFloat { source, model: report.model.path });
            }
            Err(error) => return Err(error),
        }
        report.seconds = start.elapsed().as_secs_f64();
    }
    write(&report)?;
    Ok(report)
}

/// The optimiser of so many parameters before its first step.
fn optimizer(train: &TrainConfig, params: usize) -> Optimizer<f32> {
    let optimizer = Optimizer::new(params, train.rule());
    match train.ema_momentum {
        Some(momentum) => optimizer.averaging(momentum),
        None => optimizer,
    }
}

/// What training does to the layers by chance.
fn regularization(config: &Config) -> Regularization {
    let (train, layers) = (&config.train, config.model.all_layers().count());
    Regularization {
        seed: config.seed,
        dropout: train.dropout.each(layers),
        recurrent_dropout: train.recurrent_dropout.each(layers),
        label_smoothing: train.label_smoothing,
    }
}

/// The training part in batches.
fn training_batches<'a>(config: &Config, data: &'a Dataset) -> Batches<'a> {
    let train = &config.train;
    let mut batches =
        Batches::new(data, train.batch_size).with_randomness(config.seed, train.shuffle, train.input_noise as f32);
    batches = chunked(config, batches.ignoring(train.ignore_steps));
    if train.oversample {
        batches = batches.with_oversampling();
    }
    match &train.class_weights {
        Some(ClassWeights::By(Balance::Balanced)) => {
            batches.with_class_weights(balanced_weights(data, train.ignore_steps))
        }
        Some(ClassWeights::Each(weights)) => {
            batches.with_class_weights(weights.iter().map(|&weight| weight as f32).collect())
        }
        None => batches,
    }
}

/// In chunks, if the state is kept.
fn chunked<'a>(config: &Config, batches: Batches<'a>) -> Batches<'a> {
    match config.data.window {
        Some(window) if config.train.stateful => batches.in_chunks(window),
        _ => batches,
    }
}

/// Gathers a batch, whose series begin where the batch before has left them, if the state is kept.
fn gather(batches: &Batches<'_>, index: usize, trainer: &Trainer<f32>, batch: &mut Batch<f32>) {
    batches.gather(index, batch);
    if let Some(rows) = batches.before(index) {
        batch.state = trainer.states(&rows);
    }
}

/// Takes a batch of which no output counts, as at the start of series: a state that is kept is all that comes of it.
fn pass_over(config: &Config, trainer: &mut Trainer<f32>, batch: &Batch<f32>) -> Result<(), RunError> {
    if config.train.stateful {
        trainer.forward(batch)?;
    }
    Ok(())
}

/// A pass over the training part.
struct Epoch<'a> {
    /// Its number, from 1.
    number: usize,
    batches: &'a Batches<'a>,
    /// The learning rate of each of its steps, from 0.
    rate: &'a dyn Fn(usize) -> f64,
}

/// Trains an epoch; metrics as it went along. `impose` may give outputs that take the place of the layers' own.
fn train_epoch(
    config: &Config,
    trainer: &mut Trainer<f32>,
    optimizer: &mut Optimizer<f32>,
    epoch: &Epoch<'_>,
    progress: &mut dyn Progress,
    mut impose: impl FnMut(&[f32], &Batch<f32>) -> Result<Option<Vec<Vec<f32>>>, RunError>,
) -> Result<Scores, RunError> {
    let mut metrics = Metrics::default();
    let mut batch = Batch::default();
    for index in 0..epoch.batches.count() {
        go_on(config, epoch.number - 1, progress)?;
        gather(epoch.batches, index, trainer, &mut batch);
        if !batch.counts() {
            pass_over(config, trainer, &batch)?;
            continue;
        }
        let step = (epoch.number - 1) * epoch.batches.count() + index;
        let diverged = |what| RunError::Diverged { epoch: epoch.number, batch: index + 1, what };
        let not_finite = |what| if step == 0 { RunError::TooLarge { what } } else { diverged(what) };
        trainer.start_batch(step as u64);
        let of_batch = match impose(trainer.network().params(), &batch)? {
            Some(imposed) => trainer.gradient_with(&batch, &imposed)?,
            None => trainer.gradient(&batch)?,
        };
        let loss = of_batch.loss();
        metrics.merge(of_batch);
        // Gradients come from the last layer to the first: where one is not finite, those before it follow.
        let first = trainer.network().not_finite(trainer.gradients()).next_back();
        if let Some((tensor, value)) = first {
            return Err(not_finite(format!("the loss is {loss:.3e}, the gradient of `{}` {value}", tensor.name)));
        }
        if !loss.is_finite() {
            return Err(not_finite(format!("the loss is {loss}")));
        }
        trainer.penalize(config.train.l1, config.train.l2);
        let (params, gradients) = trainer.params_and_gradients();
        if let Some(limit) = config.train.clip_norm {
            clip_by_norm(gradients, limit);
        }
        if let Some(limit) = config.train.clip_value {
            clip_by_value(gradients, limit);
        }
        optimizer.step(params, gradients, (epoch.rate)(index));
        if let Some((tensor, value)) = trainer.network().not_finite(trainer.network().params()).next() {
            return Err(diverged(format!("a weight of `{}` is {value} after the step", tensor.name)));
        }
        progress.batch(index + 1, epoch.batches.count(), metrics.loss());
    }
    Ok(Scores::from(&metrics))
}

/// An error if the run is to end now, in the epoch after `epochs`, or after all of them.
fn go_on(config: &Config, epochs: usize, progress: &dyn Progress) -> Result<(), RunError> {
    if progress.interrupted() {
        let (path, all) = (config.train.run_dir.clone(), config.train.epochs);
        return Err(RunError::Interrupted { path, epochs: epochs.min(all), aware: epochs >= all });
    }
    Ok(())
}

/// Scores of the validation part with the trainer's arithmetic, on the examples that it is cut into.
fn validate(
    config: &Config,
    trainer: &mut Trainer<f32>,
    data: &Dataset,
    epoch: usize,
    progress: &dyn Progress,
) -> Result<Scores, RunError> {
    let batches = Batches::new(data, config.train.batch_size).ignoring(config.train.ignore_steps);
    let batches = chunked(config, batches);
    let mut metrics = Metrics::default();
    let mut batch = Batch::default();
    for index in 0..batches.count() {
        go_on(config, epoch, progress)?;
        gather(&batches, index, trainer, &mut batch);
        if !batch.counts() {
            pass_over(config, trainer, &batch)?;
            continue;
        }
        metrics.merge(trainer.evaluate(&batch)?);
    }
    Ok(Scores::from(&metrics))
}

/// A part of the data without normalisation.
fn in_own_units(data: &Prepared, part: &Dataset) -> Dataset {
    let mut part = part.clone();
    for series in &mut part.series {
        data.inputs.iter().for_each(|inputs| inputs.undo(&mut series.x));
        data.targets.iter().for_each(|targets| targets.undo(&mut series.targets));
    }
    part
}
