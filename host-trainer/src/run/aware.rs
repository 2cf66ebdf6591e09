//! The second part of a run that ends in integers: training goes on with the integers' own outputs.

use std::borrow::Cow;

use grulet::Int8;
use grulet::blob::AlignedBytes;
use grulet::spec::Output;

use super::{Epoch, Progress, RunError, RunFolder, in_own_units, train_epoch};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::data::{Batches, Dataset, Prepared};
use crate::evaluate::{Loaded, Predictions, Scores, predict, score};
use crate::export;
use crate::files;
use crate::nn::{Optimizer, Regularization, Trainer};
use crate::quantize::{Float, Method, calibrate, integer_outputs};

/// The learning rate begins at this part of `train.learning_rate` and falls to 0 on a line, whatever the schedule of the
/// training before, which has ended: the weights are near their place.
const LEARNING_RATE: f64 = 0.02;

/// A model in integers, and what chooses it.
struct Candidate {
    ranges: Vec<grulet::blob::Range>,
    loss: f64,
    /// What `train.monitor` says.
    value: f64,
}

/// Trains `train.qat_epochs` epochs from `best` on, writes the best model in integers as `model_int8.gru` and its weights as
/// `best_int8.ckpt`, and returns its scores on the test part.
///
/// The best is that with the least loss of the integers, or what `train.monitor` says, on the validation part, or the training part where there is none; the
/// model that has been quantised without further training is the first of them.
pub(super) fn train_aware(
    config: &Config,
    data: &Prepared,
    best: &Checkpoint,
    trainer: &mut Trainer<f32>,
    batches: &mut Batches<'_>,
    folder: &RunFolder,
    progress: &mut dyn Progress,
) -> Result<Option<Scores>, RunError> {
    let train = in_own_units(data, &data.train);
    let validation = data.validation.as_ref().map(|validation| in_own_units(data, validation));
    let chosen_by = validation.as_ref().unwrap_or(&train);
    trainer.network_mut().params_mut().copy_from_slice(&best.params);
    // The integers drop nothing.
    trainer.regularize(Regularization { label_smoothing: config.train.label_smoothing, ..Default::default() })?;
    let mut now = best.clone();
    let mut candidate = quantised(config, data, &now, &train, chosen_by)?;
    now.value = candidate.value;
    let mut chosen = (candidate.ranges.clone(), now.clone());
    progress.integers(0, candidate.loss);

    let mut optimizer = Optimizer::new(best.params.len(), config.train.rule());
    let steps = (config.train.qat_epochs * batches.count()) as f64;
    for epoch in 0..config.train.qat_epochs {
        batches.start_epoch((config.train.epochs + epoch) as u64);
        let done = |index: usize| (epoch * batches.count() + index) as f64 / steps;
        let rate = |index| config.train.learning_rate * LEARNING_RATE * (1.0 - done(index));
        let pass = Epoch { number: config.train.epochs + epoch + 1, batches, rate: &rate };
        train_epoch(config, trainer, &mut optimizer, &pass, progress, |params, batch| {
            now.params.copy_from_slice(params);
            Ok(Some(integer_outputs(&now, &candidate.ranges, batch)?))
        })?;
        now.params.copy_from_slice(trainer.network().params());
        candidate = quantised(config, data, &now, &train, chosen_by)?;
        (now.epoch, now.value) = (pass.number as u32, candidate.value);
        progress.integers(epoch + 1, candidate.loss);
        if config.train.monitor.improves(now.value, chosen.1.value) {
            chosen = (candidate.ranges.clone(), now.clone());
        }
    }
    let (ranges, checkpoint) = chosen;
    let blob = integers(&Float::new(&export::export(&checkpoint)?)?, &ranges)?;
    checkpoint.save(&folder.file("best_int8.ckpt"))?;
    files::write(&folder.file("model_int8.gru"), &blob)?;
    let model = Loaded::<Int8>::from_blob(&blob)?;
    let loss = config.train.loss.into();
    Ok(match &data.test {
        Some(test) => Some(score(loss, &predict(&model, test)?, test)),
        None => None,
    })
}

/// The model of these weights in integers, calibrated on `train`, with its loss on `chosen_by`, as the training has it: of
/// normalised targets, if they are normalised. Both parts are in the sensor's units.
fn quantised(
    config: &Config,
    data: &Prepared,
    checkpoint: &Checkpoint,
    train: &Dataset,
    chosen_by: &Dataset,
) -> Result<Candidate, RunError> {
    let float = export::export(checkpoint)?;
    let float = Float::new(&float)?;
    let ranges = calibrate(&float, train, Method::Max)?.ranges;
    let blob = integers(&float, &ranges)?;
    let model = Loaded::<Int8>::from_blob(&blob)?;
    let (mut answers, mut scored) = without_first(config.train.ignore_steps, predict(&model, chosen_by)?, chosen_by);
    if let Some(targets) = &data.targets {
        targets.apply(&mut answers.values);
        scored.to_mut().series.iter_mut().for_each(|series| targets.apply(&mut series.targets));
    }
    let scores = score(config.train.loss.into(), &answers, &scored);
    Ok(Candidate { ranges, loss: scores.loss, value: config.train.monitor.of(&scores) })
}

/// A model in integers.
fn integers(float: &Float, ranges: &[grulet::blob::Range]) -> Result<AlignedBytes, RunError> {
    Ok(float.quantize(ranges).map_err(crate::quantize::QuantizeError::from)?)
}

/// Answers and data without the first `ignored` steps of each series, which do not count where there is an answer at every step.
fn without_first<'a>(ignored: usize, mut answers: Predictions, data: &'a Dataset) -> (Predictions, Cow<'a, Dataset>) {
    if ignored == 0 || data.output != Output::EveryStep {
        return (answers, Cow::Borrowed(data));
    }
    let mut kept = data.clone();
    let mut values = answers.values.chunks_exact(answers.width);
    let mut counted = Vec::with_capacity(answers.values.len());
    for (index, series) in kept.series.iter_mut().enumerate() {
        let steps = data.steps(index);
        let first = ignored.min(steps);
        counted.extend(values.by_ref().take(steps).skip(first).flatten());
        series.x.drain(..first * data.inputs());
        series.targets.drain(..first * data.target_width);
    }
    answers.values = counted;
    (answers, Cow::Owned(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::tests::data;

    #[test]
    fn the_first_steps_of_series_do_not_choose() {
        let mut data = data(2, &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[7.0, 8.0]]);
        data.target_width = 2;
        let answers =
            Predictions { width: 2, values: (10..18).map(|value| value as f32).collect(), ..Default::default() };
        let (kept, scored) = without_first(2, answers.clone(), &data);
        assert_eq!(kept.values, [14.0, 15.0]);
        let targets: Vec<&[f32]> = scored.series.iter().map(|series| &series.targets[..]).collect();
        assert_eq!(targets, [&[5.0, 6.0][..], &[]]);
        data.output = Output::LastStep;
        assert_eq!(without_first(2, answers.clone(), &data).0, answers);
    }
}
