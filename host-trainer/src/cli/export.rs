//! `grulet export`

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use grulet::Exact;
use grulet::spec::Output;
use serde::Serialize;

use super::outputs;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::data::{self, Part};
use crate::evaluate::Loaded;
use crate::files;
use crate::summary::{net_type_of, thousands};

/// Turn a checkpoint into a model for the chip, and samples to stream through it.
#[derive(Args)]
pub struct Export {
    /// A .ckpt file, or the folder of a run (its best checkpoint).
    checkpoint: PathBuf,
    /// The model to write; model.gru beside the checkpoint unless given.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Also write the run's test part as a samples file, which the firmware's `stream` reads.
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// Steps of the samples file; all unless given.
    #[arg(long, requires = "samples")]
    steps: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Exported {
    model: PathBuf,
    bytes: usize,
    net: String,
    samples: Option<PathBuf>,
    steps: Option<usize>,
}

/// The first bytes of a samples file: then `u32` steps, `u16` inputs, `u16` targets, `f32` inputs `(steps, inputs)`, `f32`
/// targets `(steps, targets)`, all little-endian.
const SAMPLES_MAGIC: &[u8; 8] = b"GRUSMP1\0";

impl Export {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let path = if self.checkpoint.is_dir() { self.checkpoint.join("best.ckpt") } else { self.checkpoint.clone() };
        let checkpoint = Checkpoint::load(&path)?;
        let blob = crate::export::export(&checkpoint).with_context(|| path.display().to_string())?;
        let model = Loaded::<Exact>::from_blob(&blob)?;
        let samples = match &self.samples {
            Some(_) => Some(self.samples(&path, &model)?),
            None => None,
        };

        let output = self.output.clone().unwrap_or_else(|| path.with_file_name("model.gru"));
        let config = path.with_file_name("config.toml");
        let data = Config::load(&config, &[""; 0]).map_or_else(|_| Vec::new(), |config| outputs::data_files(&config));
        let named = [("--output", Some(&*output)), ("--samples", self.samples.as_deref())];
        outputs::spare(&[&[path.clone(), config], &data[..]].concat(), &named)?;
        files::write(&output, &blob)?;
        let mut steps = None;
        if let (Some(path), Some((bytes, count))) = (&self.samples, samples) {
            files::write(path, bytes)?;
            steps = Some(count);
        }
        let exported = Exported {
            model: output,
            bytes: blob.as_ref().len(),
            net: net_type_of(model.header()),
            samples: self.samples,
            steps,
        };
        if self.json {
            return super::print_json(&exported);
        }
        let mut out = String::new();
        writeln!(out, "{}: {} bytes", exported.model.display(), thousands(exported.bytes))?;
        writeln!(out, "type Net = {};", exported.net)?;
        if let (Some(samples), Some(steps)) = (&exported.samples, exported.steps) {
            writeln!(out, "{}: {} steps", samples.display(), thousands(steps))?;
        }
        super::print(&out)
    }

    /// The start of the first test series, as a samples file; and its steps.
    fn samples(&self, checkpoint: &Path, model: &Loaded<'_, Exact>) -> anyhow::Result<(Vec<u8>, usize)> {
        if model.header().output != Output::EveryStep {
            bail!("--samples: the model answers once per window; a samples file needs an answer for every step");
        }
        let config = Config::load(checkpoint.with_file_name("config.toml"), &[""; 0])?;
        let Some(test) = &config.data.test else {
            bail!("--samples: the run's configuration names no test file; set `data.test`");
        };
        let data = data::held_out(&config, model.header(), test, Part::Test, true)?;
        let (inputs, targets) = (data.inputs(), data.target_width);
        let Some(series) = data.series.first() else { bail!("{}: holds no series", test.display()) };
        let steps = (series.x.len() / inputs).min(self.steps.unwrap_or(usize::MAX));
        let mut bytes = SAMPLES_MAGIC.to_vec();
        bytes.extend(u32::try_from(steps)?.to_le_bytes());
        bytes.extend((inputs as u16).to_le_bytes());
        bytes.extend(u16::try_from(targets)?.to_le_bytes());
        let values = series.x[..steps * inputs].iter().chain(&series.targets[..steps * targets]);
        bytes.extend(values.flat_map(|value| value.to_le_bytes()));
        Ok((bytes, steps))
    }
}
