//! Other files are read as the training file was: with its columns, channels and classes, whatever their order.

use std::path::Path;

use grulet::{Header, blob};

use super::read::{FileKind, Part, ReadOptions, TargetOptions, own_classes};
use super::{DataError, Dataset, csv};
use crate::config::{Config, DataConfig, Names, Task};

/// The configuration with what the training file has decided: other files are read with the same columns, channel
/// names and classes.
pub(super) fn alike(config: &Config, train: &Dataset) -> Result<DataConfig, DataError> {
    let mut data = config.data.clone();
    if !names_itself(config) {
        data.channels = Some(Names::List(train.channels.clone()));
        data.units = Some(Names::List(train.units.clone()));
    }
    if !train.classes.is_empty() {
        data.classes = Some(Names::List(train.classes.clone()));
    }
    if data.tokens.is_none() && FileKind::of(&data.train) == Some(FileKind::Csv) {
        data.csv.features = Some(csv::feature_columns(&data.train, &data)?);
    }
    Ok(data)
}

/// Whether each file says itself what its input channels are called.
fn names_itself(config: &Config) -> bool {
    !matches!(config.data.channels, Some(Names::List(_))) && !config.takes_tokens()
}

/// Puts the input channels into the order in which the training file or the model has them, by their names, where both have
/// names.
pub(super) fn same_channels(
    data: &mut Dataset,
    config: &Config,
    channels: &[String],
    units: &[String],
    path: &Path,
) -> Result<(), DataError> {
    // What channels without names are called.
    let unnamed = |names: &[String]| names.iter().enumerate().all(|(index, name)| *name == format!("c{index}"));
    if !names_itself(config) || unnamed(channels) {
        return Ok(());
    }
    if unnamed(&data.channels) {
        (data.channels, data.units) = (channels.to_vec(), units.to_vec());
        return Ok(());
    }
    let mismatch = |problem: String| DataError::Mismatch { path: path.to_owned(), problem };
    let place = |name: &String| data.channels.iter().position(|found| found == name);
    let Some(places) = channels.iter().map(place).collect::<Option<Vec<usize>>>() else {
        let (found, expected) = (data.channels.join(", "), channels.join(", "));
        return Err(mismatch(format!(
            "its input channels are {found}, but the training had {expected}; give the same, or say in `data.channels` \
             what its own are called, in their order"
        )));
    };
    let unit = |place: usize| data.units.get(place).filter(|unit| !unit.is_empty());
    for ((channel, expected), &place) in channels.iter().zip(units).zip(&places) {
        if let Some(found) = unit(place).filter(|found| *found != expected && !expected.is_empty()) {
            return Err(mismatch(format!(
                "the channel {channel:?} is in {found}, but the training had it in {expected}; convert it, or name the units \
                 in `data.units` if they are the same"
            )));
        }
    }
    let mut found = vec![0.0; places.len()];
    for row in data.series.iter_mut().flat_map(|series| series.x.chunks_exact_mut(places.len())) {
        found.copy_from_slice(row);
        row.iter_mut().zip(&places).for_each(|(value, &place)| *value = found[place]);
    }
    (data.channels, data.units) = (channels.to_vec(), units.to_vec());
    Ok(())
}

pub(super) fn channel_count(path: &Path, found: usize, expected: usize) -> DataError {
    let problem =
        format!("there are {found} input channels, but {expected} in the training file; give the same channels");
    DataError::Mismatch { path: path.to_owned(), problem }
}

/// What is read for a model that is trained already, with these `keys`.
pub(super) fn options<'a>(
    keys: &'a DataConfig,
    config: &'a Config,
    header: &Header<'_>,
    part: Part,
    targets: Option<TargetOptions>,
) -> ReadOptions<'a> {
    let tokens = header.layers.first().is_some_and(|layer| layer.vocabulary().is_some());
    ReadOptions { data: keys, part, targets, tokens, groups: true, own_classes: own_classes(config), alike: true }
}

/// How files are read for a model that is trained already.
pub(super) fn keys_for(config: &Config, header: &Header<'_>) -> DataConfig {
    let list = |names: blob::Names<'_>| Names::List(names.iter().map(str::to_owned).collect());
    let mut keys = config.data.clone();
    if config.task() == Task::Classes && !header.outputs.is_empty() {
        keys.classes = Some(list(header.outputs));
    }
    // Columns that have the channels' names are found by them, in whatever order they stand.
    if keys.channels.is_none() && keys.csv.features.is_none() && !header.channels.is_empty() {
        keys.csv.features = Some(header.channels.iter().map(str::to_owned).collect());
    }
    keys
}
