//! Where a command finds its model, and how it reads data for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use grulet::blob::AlignedBytes;
use grulet::spec::{LayerSpec, Output, Storage};
use grulet::{Blob, Exact, Header, Int8};

use super::outputs;
use crate::config::{Config, CsvColumns, DataConfig, LayerConfig, ModelConfig, Tokens, TrainConfig};
use crate::data::{self, Dataset, Part, START, STOP};
use crate::evaluate::{Loaded, natural_loss};
use crate::files;
use crate::summary::net_type_of;
pub use crate::summary::output_names;

/// A model and the data to run it on.
#[derive(Args)]
pub struct Source {
    /// A .gru file, or the folder of a run.
    pub(super) model: PathBuf,
    /// A .npz or .csv file; the run's test file unless given.
    pub(super) data: Option<PathBuf>,
    /// The configuration that says how to read the data; config.toml beside the model unless given.
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
    /// Replace a setting of the configuration, such as `data.npz_test.x=x`. May be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::setting)]
    pub(super) set: Vec<String>,
    /// Which keys of a .npz are read.
    #[arg(long, value_enum, default_value_t = PartName::Test)]
    pub(super) part: PartName,
}

/// A part of the data.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum PartName {
    /// Those of `[data.npz]`.
    Train,
    /// Those of `[data.npz_test]`.
    Test,
}

impl Source {
    /// The model's bytes, checked.
    pub fn blob(&self) -> anyhow::Result<AlignedBytes> {
        load(&self.model)
    }

    /// The configuration, and the data that it reads for this model. Without targets for `predict`.
    pub fn data(&self, header: &Header<'_>, targets: bool) -> anyhow::Result<(Config, Dataset)> {
        let config = self.config(header)?;
        let data = data::held_out(&config, header, &self.data_file(&config)?, self.part(), targets)?;
        Ok((config, data))
    }

    /// The file of the data.
    pub(super) fn data_file(&self, config: &Config) -> anyhow::Result<PathBuf> {
        let path = self.data.clone().or_else(|| config.data.test.clone());
        path.context("there is no test file in the configuration; give a .npz or .csv after the model")
    }

    /// Which keys they are read with.
    pub(super) fn part(&self) -> Part {
        match self.part {
            PartName::Train => Part::Train,
            PartName::Test => Part::Test,
        }
    }

    /// The files that are read with this configuration.
    pub(super) fn files(&self, config: &Config) -> Vec<PathBuf> {
        let model = if self.model.is_dir() { self.model.join("model.gru") } else { self.model.clone() };
        let given = [Some(model), self.data.clone(), self.config_path()];
        given.into_iter().flatten().chain(outputs::data_files(config)).collect()
    }

    /// The file of the configuration, if there is one.
    pub(super) fn config_path(&self) -> Option<PathBuf> {
        let folder = if self.model.is_dir() { Some(self.model.as_path()) } else { self.model.parent() };
        let beside = || folder.map(|folder| folder.join("config.toml")).filter(|path| path.is_file());
        self.config.clone().or_else(beside)
    }

    /// The configuration that says how to read the data.
    pub(super) fn config(&self, header: &Header<'_>) -> anyhow::Result<Config> {
        let Some(path) = self.config_path() else {
            let config = self.config_of(header);
            return Ok(Config::parse_for_other_data(Path::new("model.toml"), &config.to_toml(), &self.set)?);
        };
        let config = Config::load_for_other_data(&path, &self.set)?;
        // What else would it be right about?
        let network = config.layer_specs(header.inputs() as u16, header.outputs() as u16);
        // Of a sequence, start and stop are the model's to know.
        let alike = std::mem::discriminant(&config.model.output) == std::mem::discriminant(&header.output);
        if network[..] != header.layers[..] || !alike || config.model.encoder.len() != header.output.encoder() {
            bail!(
                "{}: describes another network than the model's, {}; give the model's own configuration with --config",
                path.display(),
                net_type_of(header)
            );
        }
        if config.data.horizon() != header.horizon as usize {
            bail!(
                "{}: `data.horizon` is {}, but the model looks {} steps ahead; give the model's own configuration with --config",
                path.display(),
                config.data.horizon(),
                header.horizon
            );
        }
        Ok(config)
    }

    /// What the model says of itself, as far as reading data goes.
    fn config_of(&self, header: &Header<'_>) -> Config {
        let layer = |layer: &LayerSpec| match *layer {
            LayerSpec::Gru { hidden, reset, gate, candidate, .. } => {
                Some(LayerConfig::Gru { units: hidden, reset, gate, candidate })
            }
            LayerSpec::Embedding { vocabulary, outputs } => Some(LayerConfig::Embedding { vocabulary, units: outputs }),
            LayerSpec::OneHot { vocabulary } => Some(LayerConfig::OneHot { vocabulary }),
            LayerSpec::Pool { over, .. } => Some(LayerConfig::Pool { over }),
            LayerSpec::Bidirectional { hidden, reset, gate, candidate, merge, .. } => {
                Some(LayerConfig::Bidirectional { units: hidden, reset, gate, candidate, merge })
            }
            LayerSpec::Dense { outputs, activation, .. } => Some(LayerConfig::Dense { units: outputs, activation }),
            _ => None,
        };
        let (encoder, layers) = header.parts();
        let text = header.output.encoder() > 0 && encoder.first().is_some_and(|layer| layer.vocabulary().is_some());
        let words =
            || output_names(header).iter().any(|name| name.chars().count() > 1 && name != START && name != STOP);
        let windowed = header.output == Output::LastStep || header.is_bidirectional();
        let window = header.window as usize;
        Config {
            name: header.name.to_owned(),
            seed: header.provenance.seed,
            data: DataConfig {
                // Another folder is the current one.
                train: std::path::absolute(self.data.as_deref().unwrap_or(Path::new("data.npz"))).unwrap_or_default(),
                horizon: (header.horizon > 0).then_some(header.horizon as usize),
                window: (windowed && window > 0).then_some(window),
                stride: (windowed && window > 0).then_some(window),
                csv: CsvColumns {
                    source: header.channels.get(0).filter(|_| text).map(str::to_owned),
                    ..CsvColumns::default()
                },
                tokens: text.then(|| if words() { Tokens::Words } else { Tokens::Characters }),
                ..DataConfig::default()
            },
            model: ModelConfig {
                output: header.output,
                encoder: encoder.iter().filter_map(layer).collect(),
                layers: layers.iter().filter_map(layer).collect(),
            },
            train: TrainConfig::new(natural_loss(&header.layers)),
        }
    }
}

/// The model at `path`, a file or the folder of a run; checked from end to end.
pub fn load(path: &Path) -> anyhow::Result<AlignedBytes> {
    let path = if path.is_dir() { path.join("model.gru") } else { path.to_owned() };
    let blob = AlignedBytes::new(&files::read(&path)?);
    let check = || match Blob::parse(blob.as_ref())?.header().storage {
        Storage::Int8 => Loaded::<Int8>::from_blob(&blob).map(drop),
        _ => Loaded::<Exact>::from_blob(&blob).map(drop),
    };
    check().with_context(|| path.display().to_string())?;
    Ok(blob)
}
