//! What a model says of itself, from the configuration and the data of its run.

use crate::checkpoint::Card;
use crate::config::{Config, Names, OneOrMany, Task};
use crate::data::{FileKind, Prepared};
use crate::export;

/// What the model will say of itself.
pub(super) fn card(config: &Config, data: &Prepared) -> Card {
    let output = data.train.output;
    let (mean, std) = data.inputs.as_ref().map_or_else(Default::default, |n| (n.mean.clone(), n.std.clone()));
    let (target_mean, target_std) =
        data.targets.as_ref().map_or_else(Default::default, |n| (n.mean.clone(), n.std.clone()));
    let mut golden = data.train.series.first().map_or_else(Vec::new, |series| {
        series.x.iter().copied().take(export::GOLDEN_STEPS * data.train.inputs()).collect()
    });
    if let Some(inputs) = &data.inputs {
        inputs.undo(&mut golden);
    }
    let outputs = data.layers.last().map_or(0, grulet::LayerSpec::outputs);
    Card {
        name: config.name.clone(),
        layers: data.layers.clone(),
        output,
        outputs: names_of_outputs(config, data, outputs),
        channels: data.train.channels.clone(),
        units: data.train.units.clone(),
        sample_rate: data.train.sample_rate.unwrap_or(0.0) as f32,
        window: if config.model.is_windowed() { config.data.window.unwrap_or(0) as u32 } else { 0 },
        horizon: config.data.horizon() as u32,
        mean,
        std,
        target_mean,
        target_std,
        golden,
        data: config.data.train.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        seed: config.seed,
        metric: if data.validation.is_some() { "val_" } else { "" }.to_owned() + config.train.monitor.name(),
    }
}

/// Names of so many outputs, where there are names: of classes or tokens, or of the columns that they are to give.
fn names_of_outputs(config: &Config, data: &Prepared, outputs: usize) -> Vec<String> {
    if data.train.classes.len() == outputs {
        return data.train.classes.clone();
    }
    let of_columns = match config.task() {
        Task::Regression => true,
        // One column is two classes, which the output tells apart.
        Task::Binary => outputs > 1,
        Task::Classes => false,
    };
    let label = OneOrMany::One("label".to_owned());
    let columns = config.data.csv.label.as_ref().unwrap_or(&label).as_slice();
    let table = FileKind::of(&config.data.train) == Some(FileKind::Csv);
    if table && of_columns && columns.len() == outputs { columns.to_vec() } else { Vec::new() }
}

/// The configuration with the classes and columns that were found in the training file: other files, which may lack some or have
/// more, are read with the same ones.
pub(super) fn as_read(config: &Config, data: &Prepared) -> Config {
    let mut config = config.clone();
    // The model of several classes has their names, and the array's key says what those of other files are.
    let by_key = matches!(config.data.classes, Some(Names::Key(_))) && config.task() == Task::Classes;
    if !data.train.classes.is_empty() && !by_key {
        config.data.classes = Some(Names::List(data.train.classes.clone()));
    }
    if data.columns.is_some() {
        config.data.csv.features.clone_from(&data.columns);
    }
    config
}
