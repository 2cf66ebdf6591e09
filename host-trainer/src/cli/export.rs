//! `grulet export`

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use grulet::Exact;
use grulet::blob::Contents;
use grulet::spec::{Activation, Gate, LayerSpec, Output};
use serde::Serialize;

use super::outputs;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::data::{self, Part};
use crate::evaluate::Loaded;
use crate::files;
use crate::interop::{arrays, model, npz, onnx, safetensors};
use crate::summary::{net_type_of, thousands};

/// Turn a checkpoint into a model for the chip, and samples to stream through it; or its weights into another framework's.
#[derive(Args)]
pub struct Export {
    /// A .ckpt file, or the folder of a run (its best checkpoint). For other formats than `gru` also a .gru file in f32.
    checkpoint: PathBuf,
    /// The file to write; model.gru beside the checkpoint, or model.npz and so on, unless given.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// What to write; docs/IMPORT.md says what is in it.
    #[arg(long, value_enum, default_value_t = Format::Gru)]
    format: Format,
    /// Also write the run's test part as a samples file, which the firmware's `stream` reads.
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    samples: Option<PathBuf>,
    /// Steps of the samples file; all unless given.
    #[arg(long, requires = "samples")]
    steps: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a model is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A model for the chip.
    Gru,
    /// Weights for numpy, with PyTorch's names and layouts where its GRU is the model's, else with Keras's.
    Npz,
    /// The same for `safetensors.torch.load_file`.
    Safetensors,
    /// Weights for Keras's `model.set_weights`.
    KerasNpz,
    /// An ONNX file with GRU operators.
    Onnx,
}

#[derive(Serialize)]
struct Weights {
    file: PathBuf,
    bytes: usize,
    arrays: Vec<Shape>,
    left_out: Vec<String>,
    /// Whether they are for hard sigmoids, which are not the same everywhere.
    hard_sigmoid: bool,
}

#[derive(Serialize)]
struct Shape {
    name: String,
    shape: Vec<usize>,
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

fn has_hard_sigmoid(layer: &LayerSpec) -> bool {
    match *layer {
        LayerSpec::Gru { gate, .. } | LayerSpec::Bidirectional { gate, .. } => gate == Gate::HardSigmoid,
        LayerSpec::Dense { activation, .. } => activation == Activation::HardSigmoid,
        _ => false,
    }
}

impl Export {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        outputs::spare_likely_inputs(&[("--samples", self.samples.as_deref())])?;
        match self.format {
            Format::Gru => {}
            Format::Onnx => return self.convert(&model::file_of(&self.checkpoint), "onnx", onnx::write),
            _ => return self.weights(),
        }
        let path = if self.checkpoint.is_dir() { self.checkpoint.join("best.ckpt") } else { self.checkpoint.clone() };
        let checkpoint = Checkpoint::load(&path)?;
        let blob = crate::export::export(&checkpoint).with_context(|| path.display().to_string())?;
        let model = Loaded::<Exact>::from_blob(&blob)?;
        let samples = match &self.samples {
            Some(_) => Some(self.samples(&path, &model)?),
            None => None,
        };

        let output = self.output.clone().unwrap_or_else(|| path.with_file_name("model.gru"));
        let named = [("--output", Some(&*output)), ("--samples", self.samples.as_deref())];
        outputs::spare(&[vec![path.clone()], outputs::files_beside(&path)].concat(), &named)?;
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

    /// Writes the weights for another framework.
    fn weights(&self) -> anyhow::Result<()> {
        let path = model::file_of(&self.checkpoint);
        let checkpoint = model::load(&path)?;
        let named = || path.display().to_string();
        let scales = arrays::scales(&checkpoint);
        let mut left_out = Vec::new();
        let (arrays, bytes, extension) = match self.format {
            Format::KerasNpz => {
                left_out.extend(scales.iter().map(|scale| scale.name.clone()));
                let arrays = arrays::keras(&checkpoint).with_context(named)?;
                let bytes = npz::write(&arrays)?;
                (arrays, bytes, "npz")
            }
            Format::Safetensors => {
                let arrays = arrays::torch_or_keras(&checkpoint).with_context(named)?;
                let bytes = safetensors::write(&arrays, &scales)?;
                (arrays, bytes, "safetensors")
            }
            Format::Npz | Format::Gru | Format::Onnx => {
                let mut arrays = arrays::torch_or_keras(&checkpoint).with_context(named)?;
                arrays.extend(scales);
                let bytes = npz::write(&arrays)?;
                (arrays, bytes, "npz")
            }
        };
        let beside =
            if path.extension().is_some_and(|gru| gru == "gru") { path.clone() } else { path.with_file_name("model") };
        let output = self.output.clone().unwrap_or_else(|| beside.with_extension(extension));
        self.spare(&path, &output)?;
        files::write(&output, &bytes)?;
        let shapes = arrays.into_iter().map(|array| Shape { name: array.name, shape: array.shape }).collect();
        let hard_sigmoid = checkpoint.card.layers.iter().any(has_hard_sigmoid);
        let written = Weights { file: output, bytes: bytes.len(), arrays: shapes, left_out, hard_sigmoid };
        if self.json {
            return super::print_json(&written);
        }
        let mut out = String::new();
        writeln!(out, "{}: {} bytes", written.file.display(), thousands(written.bytes))?;
        for Shape { name, shape } in &written.arrays {
            writeln!(out, "  {name} {shape:?}")?;
        }
        for name in &written.left_out {
            writeln!(out, "left out: {name}, which is no weight of a layer: scale inputs and outputs by it yourself")?;
        }
        if written.hard_sigmoid {
            writeln!(
                out,
                "note: these weights are for the hard sigmoid clip(0.2·x + 0.5) of Keras 2; that of Keras 3 is clip(x/6 + 0.5)"
            )?;
        }
        super::print(&out)
    }

    /// Writes what `writer` makes of the model at `path`.
    fn convert(
        &self,
        path: &Path,
        extension: &str,
        writer: impl Fn(&Contents<'_>) -> Result<Vec<u8>, onnx::OnnxError>,
    ) -> anyhow::Result<()> {
        if self.samples.is_some() {
            bail!("--samples: the firmware reads them beside a .gru model; leave --format out");
        }
        let (bytes, net) = onnx::convert(path, |contents| Ok((writer(contents)?, net_type_of(&contents.header))))
            .with_context(|| path.display().to_string())?;
        let model = match &self.output {
            Some(output) => output.clone(),
            None if path.extension().is_some_and(|extension| extension == "gru") => path.with_extension(extension),
            None => path.with_file_name("model").with_extension(extension),
        };
        self.spare(path, &model)?;
        files::write(&model, &bytes)?;
        let exported = Exported { model, bytes: bytes.len(), net, samples: None, steps: None };
        if self.json {
            return super::print_json(&exported);
        }
        super::print(&format!("{}: {} bytes\n", exported.model.display(), thousands(exported.bytes)))
    }

    /// Refuses to write for another framework over a file that nobody has named, which may be the data or the model that this one
    /// is from; and over what is known to be so.
    fn spare(&self, model: &Path, output: &Path) -> anyhow::Result<()> {
        if self.output.is_none() && output.exists() {
            bail!(
                "{} is there already; name it with --output to write over it, or name another file",
                output.display()
            );
        }
        let inputs = [vec![model.to_owned()], outputs::files_beside(model)].concat();
        outputs::spare(&inputs, &[("--output", Some(output))])
    }

    /// The start of the first test series, as a samples file; and its steps.
    fn samples(&self, checkpoint: &Path, model: &Loaded<'_, Exact>) -> anyhow::Result<(Vec<u8>, usize)> {
        if matches!(model.header().output, Output::Sequence(_)) {
            bail!(
                "--samples: a samples file is of answers to steps, which an encoder-decoder does not give; compare with `grulet validate`"
            );
        }
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
