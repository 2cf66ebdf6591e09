//! Everything between the files and the batches.

use std::path::Path;

use grulet::spec::{LayerSpec, Output};
use grulet::{Header, blob};

use super::alike::{alike, channel_count, keys_for, options, same_channels};
use super::read::{Part, ReadOptions, TargetOptions, read, read_watched};
use super::split::{split_fold, split_fraction, split_groups};
use super::{DataError, Dataset, Normalizer, Warning, weights};
use crate::checkpoint::{Card, Checkpoint};
use crate::config::{ClassWeights, Config, Loss, Normalize, OneOrMany, TargetTransform, Task, Validation};
use crate::interop::model;

/// Data that are ready for training, and what was done to them.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Normalised and cut into windows, but whole series for a stateful training.
    pub train: Dataset,
    /// Normalised and cut like the training part.
    pub validation: Option<Dataset>,
    /// In the file's own units, as the firmware sees them; targets moved ahead and transformed, but not normalised.
    /// Whole series where the network answers at every step, windows where it answers once.
    pub test: Option<Dataset>,
    /// The test part with the targets that are known when the network answers, where `data.horizon` has moved those of `test` ahead
    /// and they are real values.
    pub known: Option<Dataset>,
    /// What was done to the inputs; `None` if nothing.
    pub inputs: Option<Normalizer>,
    /// What was done to the targets, to be undone at the output; `None` if nothing.
    pub targets: Option<Normalizer>,
    /// The network's layers with all sizes.
    pub layers: Vec<LayerSpec>,
    /// The parameters that the training begins with, in the order of [`Network::tensors`](crate::nn::Network::tensors); `None`
    /// for fresh ones.
    pub initial: Option<Vec<f32>>,
    /// The input columns, of a table.
    pub columns: Option<Vec<String>>,
    /// What is odd in the training part.
    pub warnings: Vec<Warning>,
}

/// Reads, splits, transforms and normalises the data of a run.
///
/// # Errors
/// Whatever is wrong with the files, or with the configuration for these files.
pub fn prepare(config: &Config) -> Result<Prepared, DataError> {
    let path = &config.data.train;
    let mut warnings = Vec::new();
    let mut whole = read_watched(path, &ReadOptions::new(config, Part::Train), &mut warnings)?;
    if let Output::Sequence(decoding) = &mut whole.output {
        decoding.encoder = config.model.encoder.len() as u8;
    }
    let whole = whole;
    names_are_lines(&whole, path)?;
    let alike = alike(config, &whole)?;
    let width = whole.target_width;
    let (channels, units) = (whole.channels.clone(), whole.units.clone());
    let read_alike = |path: &Path, part: Part| {
        let options = ReadOptions { data: &alike, alike: true, ..ReadOptions::new(config, part) };
        let mut data = read(path, &options).map_err(|error| match error {
            // The names are the training file's, not the configuration's.
            DataError::Count { path, setting: "data.channels", found: expected, expected: found, .. } => {
                channel_count(&path, found, expected)
            }
            error => error,
        })?;
        same_kind(width, &data, path)?;
        if data.inputs() != channels.len() {
            return Err(channel_count(path, data.inputs(), channels.len()));
        }
        same_channels(&mut data, config, &channels, &units, path)?;
        Ok::<_, DataError>(data)
    };
    let (train, validation) = match &config.data.validation {
        Some(validation) => {
            if let Some(path) = &validation.file {
                let validation = ahead(read_alike(path, Part::Train)?, config, path)?;
                (whole, Some(validation))
            } else {
                let (train, validation) = split(whole, path, validation, config.seed)?;
                (train, Some(ahead(validation, config, path)?))
            }
        }
        None => (whole, None),
    };
    // After the split, so that no target of the training part lies in the validation part.
    let mut train = ahead(train, config, path)?;
    every_class(&train, config, path)?;
    weights::some_count(&train, "training", path, 0)?;
    let layers = layers(config, &train)?;
    tokens(&layers, &train, path)?;
    if let (Some(part), Some(how)) = (&validation, &config.data.validation) {
        tokens(&layers, part, how.file.as_ref().unwrap_or(path))?;
    }
    // Last, so that a mistake in the training file or the network is not blamed on the test file.
    let (mut test, mut known) = (None, None);
    if let Some(path) = &config.data.test {
        let data = read_alike(path, Part::Test)?;
        if config.data.horizon() > 0 && config.task() == Task::Regression {
            let mut data = data.clone();
            data.look_around(config.data.horizon());
            known = Some(transformed(data, config));
        }
        let data = ahead(data, config, path)?;
        tokens(&layers, &data, path)?;
        test = Some(data);
    }

    let mut validation = validation;
    let initial = config.train.init.as_deref().map(|path| initial(path, &layers)).transpose()?;
    let (inputs, targets) = scales(config, &train, initial.as_ref().map(|model| &model.card), &mut warnings)?;
    for data in [Some(&mut train), validation.as_mut()].into_iter().flatten() {
        for series in &mut data.series {
            inputs.iter().for_each(|inputs| inputs.apply(&mut series.x));
            targets.iter().for_each(|targets| targets.apply(&mut series.targets));
        }
    }
    if let Some(window) = config.data.window.filter(|_| !config.train.stateful) {
        let stride = config.data.stride.unwrap_or(window);
        let longest = (0..train.series.len()).map(|index| train.steps(index)).max().unwrap_or(0);
        if longest < window {
            return Err(DataError::WindowTooLong { path: path.clone(), window, longest });
        }
        let (windows, warning) = train.windows(window, config.data.train_stride.unwrap_or(stride));
        train = windows;
        warnings.extend(warning);
        validation = validation.map(|data| data.windows(window, stride).0);
        if config.model.is_windowed() {
            for data in [test.as_mut(), known.as_mut()].into_iter().flatten() {
                *data = data.windows(window, stride).0;
            }
        }
    }
    if config.targets_last_steps() {
        for data in [Some(&mut train), validation.as_mut()].into_iter().flatten() {
            data.last_targets();
        }
        every_class(&train, config, path)?;
        for data in [test.as_mut(), known.as_mut()].into_iter().flatten() {
            data.last_targets();
        }
    }
    if let Some(examples) = config.train.overfit {
        train.series.truncate(examples);
        // What has no weight is no target: it would not be learnt by heart.
        let weights = train.series.iter_mut().flat_map(|series| &mut series.weights);
        weights.for_each(|weight| *weight = f32::from(u8::from(*weight > 0.0)));
    }
    let ignored = config.train.ignore_steps;
    weights::some_count(&train, "training", path, ignored)?;
    if let (Some(part), Some(how)) = (&validation, &config.data.validation) {
        weights::some_count(part, "validation", how.file.as_ref().unwrap_or(path), ignored)?;
    }
    let initial = initial.map(|model| model.params);
    let columns = alike.csv.features;
    Ok(Prepared { train, validation, test, known, inputs, targets, layers, initial, columns, warnings })
}

/// What is done to inputs and targets: by the scales of the model that the training begins with, or by those of `train`.
fn scales(
    config: &Config,
    train: &Dataset,
    initial: Option<&Card>,
    warnings: &mut Vec<Warning>,
) -> Result<(Option<Normalizer>, Option<Normalizer>), DataError> {
    let path = &config.data.train;
    // A model's weights go with its scales; where it has none, with those of the configuration.
    let of_model = |mean: fn(&Card) -> &[f32], std: fn(&Card) -> &[f32]| {
        let card = initial.filter(|card| !mean(card).is_empty())?;
        Some(Normalizer { mean: mean(card).to_vec(), std: std(card).to_vec() })
    };
    let scaled = |what| Warning::ScaledByInit { what, init: config.train.init.clone().unwrap_or_default() };
    let inputs = match (of_model(|card| &card.mean, |card| &card.std), config.data.normalize) {
        (Some(normalizer), _) => {
            warnings.push(scaled("inputs"));
            Some(normalizer)
        }
        (None, Normalize::None) => None,
        // Tokens are names, not quantities.
        (None, Normalize::Zscore) if config.takes_tokens() => None,
        (None, Normalize::Zscore) => {
            enough(train.total_steps(), path)?;
            let (normalizer, constant) = Normalizer::of_inputs(train);
            warnings.extend(constant);
            let channel = |column: usize| format!("input channel {:?}", train.channels[column]);
            scalable(&normalizer, channel, path)?;
            Some(normalizer)
        }
    };
    let targets = match of_model(|card| &card.target_mean, |card| &card.target_std) {
        Some(normalizer) => {
            warnings.push(scaled("targets"));
            Some(normalizer)
        }
        None if config.data.normalize_targets => {
            let (normalizer, coarse) = Normalizer::of_targets(train);
            warnings.extend(coarse);
            scalable(&normalizer, |column| format!("target {}", column + 1), path)?;
            Some(normalizer)
        }
        None => None,
    };
    Ok((inputs, targets))
}

/// The model at `path`, if its layers are `layers`.
fn initial(path: &Path, layers: &[LayerSpec]) -> Result<Checkpoint, DataError> {
    let model = model::load(path).map_err(|error| DataError::Init(error.to_string()))?;
    let found = &model.card.layers;
    let differs = |problem: String| {
        let fix = "give the model's own layers in `model.layers`, or another model";
        Err(DataError::Init(format!("{}: {problem}; {fix}", path.display())))
    };
    if let Some(index) = (0..layers.len().min(found.len())).find(|&index| layers[index] != found[index]) {
        let (expected, found) = (layers[index], found[index]);
        return differs(format!("its layer {index} is {found:?}, but that of the configuration is {expected:?}"));
    }
    if layers.len() != found.len() {
        return differs(format!("it has {} layers, but the configuration has {}", found.len(), layers.len()));
    }
    Ok(model)
}

/// Reads a file for a model that is trained already: in the file's own units, as [`Prepared::test`] is, with the model's
/// channels and classes. Without `targets`, all steps are kept, as there is nothing to look ahead to.
///
/// # Errors
/// Whatever is wrong with the file, or with the configuration for it.
pub fn held_out(
    config: &Config,
    header: &Header<'_>,
    path: &Path,
    part: Part,
    targets: bool,
) -> Result<Dataset, DataError> {
    let wanted = targets.then_some(TargetOptions {
        output: config.targets_of(header.output),
        loss: config.train.loss,
        weights: false,
    });
    let keys = keys_for(config, header);
    let options = ReadOptions { groups: false, ..options(&keys, config, header, part, wanted) };
    let data = read(path, &options)?;
    for_model(data, config, header, path, targets)
}

/// The training part as [`held_out`] reads files: the training file without what was split off for validation.
///
/// # Errors
/// As [`held_out`].
pub fn training_part(config: &Config, header: &Header<'_>) -> Result<Dataset, DataError> {
    let path = &config.data.train;
    let targets =
        Some(TargetOptions { output: config.targets_of(header.output), loss: config.train.loss, weights: false });
    let keys = keys_for(config, header);
    let mut data = read(path, &options(&keys, config, header, Part::Train, targets))?;
    if let Some(validation) = config.data.validation.as_ref().filter(|validation| validation.file.is_none()) {
        data = split(data, path, validation, config.seed)?.0;
    }
    for_model(data, config, header, path, true)
}

/// The labels of steps in the column or array `key` of a file, as targets that are class indices. They lie beside the targets
/// that [`held_out`] reads: those of the first `data.horizon` steps are dropped.
///
/// # Errors
/// As [`held_out`], and if there is no such column or array.
pub fn step_labels(
    config: &Config,
    header: &Header<'_>,
    path: &Path,
    part: Part,
    key: &str,
) -> Result<Dataset, DataError> {
    let mut keys = keys_for(config, header);
    keys.classes = None;
    keys.csv.label = Some(OneOrMany::One(key.to_owned()));
    for npz in [&mut keys.npz, &mut keys.npz_test] {
        (npz.y, npz.y_scale) = (Some(key.to_owned()), None);
    }
    let loss = Loss::SparseCategoricalCrossentropy;
    let targets = Some(TargetOptions { output: Output::EveryStep, loss, weights: false });
    let options = ReadOptions { groups: false, ..options(&keys, config, header, part, targets) };
    let mut data = read(path, &options).map_err(|error| match error {
        DataError::MissingColumn { path, column, columns, nearest, .. } if column == key => {
            DataError::MissingColumn { path, column, setting: "--label", columns, nearest }
        }
        DataError::MissingKey { path, key: array, keys, nearest, .. } if array == key => {
            DataError::MissingKey { path, key: array, setting: "--label", keys, nearest }
        }
        error => error,
    })?;
    if config.data.horizon() > 0 {
        data.look_ahead(config.data.horizon(), path)?;
    }
    Ok(data)
}

/// What was read, if it is for this model, with its targets moved and transformed.
fn for_model(
    mut data: Dataset,
    config: &Config,
    header: &Header<'_>,
    path: &Path,
    targets: bool,
) -> Result<Dataset, DataError> {
    let mismatch = |problem| Err(DataError::Mismatch { path: path.to_owned(), problem });
    let (found, expected) = (data.inputs(), header.inputs());
    if found != expected {
        let names: Vec<&str> = header.channels.iter().collect();
        return mismatch(format!(
            "there are {found} input channels, but the model has {expected} ({}); give the same channels",
            names.join(", ")
        ));
    }
    let names = |names: blob::Names<'_>| names.iter().map(str::to_owned).collect::<Vec<_>>();
    same_channels(&mut data, config, &names(header.channels), &names(header.units), path)?;
    tokens(&header.layers, &data, path)?;
    data.output = config.targets_of(header.output);
    if targets {
        data = ahead(data, config, path)?;
        let (found, what) = match config.task() {
            Task::Classes => (data.classes.len(), "classes"),
            Task::Binary | Task::Regression => (data.target_width, "values in each target"),
        };
        if found != header.outputs() {
            return mismatch(format!(
                "there are {found} {what}, but the model has {} outputs; \
                 give the model's own configuration with --config, or data for this model",
                header.outputs()
            ));
        }
    }
    if let Some(window) = config.data.window.filter(|_| config.model.is_windowed()) {
        data = data.windows(window, config.data.stride.unwrap_or(window)).0;
    }
    if config.targets_last_steps() {
        data.last_targets();
    }
    Ok(data)
}

/// Splits a part of the training file off, which is no file of its own. Returns training and validation.
fn split(data: Dataset, path: &Path, how: &Validation, seed: u64) -> Result<(Dataset, Dataset), DataError> {
    if let Some(groups) = &how.groups {
        split_groups(data, path, groups)
    } else if let Some(fold) = how.fold {
        split_fold(data, path, fold, seed)
    } else {
        split_fraction(data, path, how.fraction.unwrap_or(0.0), seed)
    }
}

/// A model keeps its names as lines.
fn names_are_lines(data: &Dataset, path: &Path) -> Result<(), DataError> {
    for (what, names) in
        [("the class or token", &data.classes), ("the channel", &data.channels), ("the unit", &data.units)]
    {
        if let Some(name) = names.iter().find(|name| name.contains('\n')) {
            return Err(DataError::LineFeed { path: path.to_owned(), what, name: name.clone() });
        }
    }
    Ok(())
}

fn same_kind(expected: usize, other: &Dataset, path: &Path) -> Result<(), DataError> {
    let found = other.target_width;
    if found == expected {
        return Ok(());
    }
    let problem =
        format!("the targets have {found} values, but those of the training file {expected}; make them equal");
    Err(DataError::Mismatch { path: path.to_owned(), problem })
}

/// Moves the targets ahead and transforms them.
fn ahead(mut data: Dataset, config: &Config, path: &Path) -> Result<Dataset, DataError> {
    if config.data.horizon() > 0 {
        data.look_ahead(config.data.horizon(), path)?;
    }
    Ok(transformed(data, config))
}

fn transformed(mut data: Dataset, config: &Config) -> Dataset {
    if config.data.target_transform == TargetTransform::SinCos {
        data.sin_cos();
    }
    data
}

/// Each class needs an example to learn from.
fn every_class(train: &Dataset, config: &Config, path: &Path) -> Result<(), DataError> {
    if config.task() != Task::Classes || config.model.is_sequence() {
        return Ok(());
    }
    if let [class] = &train.classes[..] {
        return Err(DataError::SingleClass { path: path.to_owned(), class: class.clone() });
    }
    let mut seen = vec![false; train.classes.len()];
    for row in train.counted_targets(0) {
        match row {
            [class] => seen[*class as usize] = true,
            // One-hot, or shares of several classes.
            row => seen.iter_mut().zip(row).for_each(|(seen, share)| *seen |= *share > 0.0),
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(class) => Err(DataError::EmptyClass { path: path.to_owned(), class: train.classes[class].clone() }),
        None => Ok(()),
    }
}

/// The layers, if the last one gives what the targets ask for.
fn layers(config: &Config, train: &Dataset) -> Result<Vec<LayerSpec>, DataError> {
    let (needed, reason) = match config.task() {
        Task::Classes if config.model.is_sequence() => {
            (train.classes.len(), format!("there are {} tokens, with start and stop", train.classes.len()))
        }
        Task::Classes => (train.classes.len(), format!("there are {} classes", train.classes.len())),
        Task::Binary | Task::Regression => {
            (train.target_width, format!("the targets have {} values", train.target_width))
        }
    };
    // `read` refuses more channels and classes than fit.
    let layers = config.layer_specs(train.inputs() as u16, needed as u16);
    let units = layers.last().map_or(0, LayerSpec::outputs);
    if units != needed {
        return Err(DataError::OutputUnits { units, needed, reason });
    }
    let bytes = layers.iter().map(|layer| 4 * layer.parameters() as u64).sum();
    if bytes > u64::from(u32::MAX) {
        return Err(DataError::NetworkTooLarge { bytes });
    }
    let classes = config.train.class_weights.is_some() || config.train.oversample;
    if classes && config.task() == Task::Binary && needed != 1 {
        let setting = if config.train.oversample { "train.oversample" } else { "train.class_weights" };
        return Err(DataError::SeveralAnswers { path: config.data.train.clone(), setting, answers: needed });
    }
    if let Some(ClassWeights::Each(weights)) = &config.train.class_weights
        && config.task() == Task::Classes
        && weights.len() != needed
    {
        let (path, setting, found) = (config.data.train.clone(), "train.class_weights", weights.len());
        return Err(DataError::Count { path, setting, found, expected: needed, what: "classes" });
    }
    match layers.get(train.output.encoder()).and_then(LayerSpec::vocabulary) {
        Some(vocabulary) if config.model.is_sequence() && usize::from(vocabulary) != needed => {
            Err(DataError::DecoderVocabulary { vocabulary, needed })
        }
        _ => Ok(layers),
    }
}

/// Inputs of an embedding or a one-hot layer must be tokens that it has.
fn tokens(layers: &[LayerSpec], data: &Dataset, path: &Path) -> Result<(), DataError> {
    let Some(vocabulary) = layers.first().and_then(LayerSpec::vocabulary) else {
        return Ok(());
    };
    if data.inputs() != 1 {
        let problem = format!(
            "there are {} input channels, but {} takes one; name the column of tokens in `data.csv.features`, \
             or give an array of tokens",
            data.inputs(),
            if let Some(LayerSpec::OneHot { .. }) = layers.first() { "a one_hot layer" } else { "an embedding" }
        );
        return Err(DataError::Mismatch { path: path.to_owned(), problem });
    }
    let is_token = |x: f32| x >= 0.0 && x < f32::from(vocabulary) && x.fract() == 0.0;
    for series in &data.series {
        if let Some(step) = series.x.iter().position(|&x| !is_token(x)) {
            let (path, series, found) = (path.to_owned(), series.name.clone(), series.x[step]);
            return Err(DataError::Token { path, series, step, found, vocabulary });
        }
    }
    Ok(())
}

/// A model file holds no mean and no factor beyond ±2^40, which is said before a training rather than after it.
fn scalable(normalizer: &Normalizer, column: impl Fn(usize) -> String, path: &Path) -> Result<(), DataError> {
    const LARGEST: f32 = (1u64 << 40) as f32;
    let fits = |mean: f32, std: f32| mean.abs() <= LARGEST && (1.0 / LARGEST..=LARGEST).contains(&std);
    let mut columns = normalizer.mean.iter().zip(&normalizer.std).enumerate();
    match columns.find(|(_, (mean, std))| !fits(**mean, **std)) {
        Some((at, (mean, std))) => {
            let column = column(at);
            let problem = format!(
                "{column} has a mean of {mean:e} and a standard deviation of {std:e}, too far from 1 to be normalised \
                 (a model's factors are at most 2^40, about 1e12); give it in another unit"
            );
            Err(DataError::Mismatch { path: path.to_owned(), problem })
        }
        None => Ok(()),
    }
}

fn enough(rows: usize, path: &Path) -> Result<(), DataError> {
    if rows < 2 { Err(DataError::TooFewRows { path: path.to_owned(), rows }) } else { Ok(()) }
}
