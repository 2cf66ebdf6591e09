//! `grulet import`

use std::fmt::Write;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use grulet::Exact;
use grulet::spec::{Activation, Output};
use serde::Serialize;

use super::outputs;
use crate::data::{NpyArray, Npz};
use crate::evaluate::Loaded;
use crate::export::export;
use crate::files;
use crate::import::check::{self, Difference, Given};
use crate::import::{self, Options, Row};
use crate::summary::{net_type_of, summary_of, thousands};

/// Turn a trained Keras, PyTorch or ONNX model into one for the chip, and prove that it computes the same.
///
/// docs/IMPORT.md says what is read.
#[derive(Args)]
pub struct Import {
    /// A model of Keras (.keras, .h5, .weights.h5), PyTorch (.pt, .pth, .safetensors) or ONNX (.onnx).
    file: PathBuf,
    /// The model to write; the file's name with .gru beside it unless given.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Also write a checkpoint, from which `train --init` goes on.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The model's name; the file's own unless given.
    #[arg(long)]
    name: Option<String>,
    /// A TOML file whose `[model]` describes the network, for files that hold weights alone.
    #[arg(long, value_name = "CONFIG")]
    like: Option<PathBuf>,
    /// Of an encoder-decoder: the token that its decoder takes first.
    #[arg(long, value_name = "TOKEN")]
    start: Option<u16>,
    /// Of an encoder-decoder: the token that ends a sequence.
    #[arg(long, value_name = "TOKEN")]
    stop: Option<u16>,
    /// Of an encoder-decoder: tokens of the longest sequence.
    #[arg(long, value_name = "TOKENS")]
    longest: Option<u16>,
    /// Of PyTorch and safetensors: at which steps the network answers.
    #[arg(long, value_enum)]
    answers: Option<Answers>,
    /// Of PyTorch and safetensors: the activation of the last layer, such as softmax.
    #[arg(long, value_enum)]
    activation: Option<LastActivation>,
    /// Of PyTorch and safetensors: the modules in the order that data pass them, such as gru,head.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    order: Vec<String>,
    /// Of ONNX: where the reset gate acts, in place of what the file says. torch 2.10 with onnxscript 0.6.2 leaves it out: 1.
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    linear_before_reset: Option<u8>,
    /// Inputs and the outputs that the source gave for them: one .npz, or two .npy.
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    check: Vec<PathBuf>,
    /// The arrays of the .npz of `--check`; of an encoder-decoder three, with what its decoder was given in the middle.
    #[arg(long, value_name = "X,Y", default_value = "x,out", requires = "check")]
    keys: String,
    /// The arrays of `--check` have the steps first, (T, N, …), as PyTorch without `batch_first`.
    #[arg(long, requires = "check")]
    time_major: bool,
    /// The largest difference from the source that passes, relative to its largest output.
    #[arg(long, default_value_t = 1e-5)]
    tolerance: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// When a network answers, in the words of `model.output`.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Answers {
    EveryStep,
    LastStep,
}

impl Answers {
    fn output(self) -> Output {
        match self {
            Self::EveryStep => Output::EveryStep,
            Self::LastStep => Output::LastStep,
        }
    }
}

/// An activation, in the words of `model.layers.activation`.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum LastActivation {
    Linear,
    Sigmoid,
    HardSigmoid,
    Tanh,
    Relu,
    Softmax,
}

impl LastActivation {
    fn activation(self) -> Activation {
        match self {
            Self::Linear => Activation::Linear,
            Self::Sigmoid => Activation::Sigmoid,
            Self::HardSigmoid => Activation::HardSigmoid,
            Self::Tanh => Activation::Tanh,
            Self::Relu => Activation::Relu,
            Self::Softmax => Activation::Softmax,
        }
    }
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    bytes: usize,
    format: String,
    net: String,
    tensors: Vec<Row>,
    skipped: Vec<String>,
    guesses: Vec<String>,
    tolerance: f64,
    graph: Difference,
    outputs: Option<Difference>,
}

impl Import {
    /// Runs the command. Files are written when every comparison has passed.
    pub fn run(self) -> anyhow::Result<()> {
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            bail!("--tolerance is {}, but must be 0 or above, such as 1e-5", self.tolerance);
        }
        let model = self.output.clone().unwrap_or_else(|| self.file.with_extension("gru"));
        let mut inputs = vec![self.file.clone()];
        inputs.extend(self.like.iter().chain(&self.check).cloned());
        let written = [("--output", Some(&*model)), ("--checkpoint", self.checkpoint.as_deref())];
        outputs::spare(&inputs, &written)?;

        let options = Options {
            name: self.name.clone(),
            like: self.like.clone(),
            start: self.start,
            stop: self.stop,
            longest: self.longest,
            output: self.answers.map(Answers::output),
            activation: self.activation.map(LastActivation::activation),
            order: self.order.clone(),
            linear_before_reset: self.linear_before_reset.map(|value| value == 1),
        };
        let named = || self.file.display().to_string();
        let imported = import::import(&self.file, &options).with_context(named)?;
        let blob = export(&imported.checkpoint).with_context(named)?;
        let graph = check::against_graph(&imported, &blob, self.tolerance).with_context(named)?;
        let checked = match self.check.is_empty() {
            true => None,
            false => {
                let (x, tokens, y) = self.arrays()?;
                let given = Given { x: &x, tokens: tokens.as_ref(), y: &y, time_major: self.time_major };
                Some(check::against_outputs(&blob, given, self.tolerance).with_context(named)?)
            }
        };
        let loaded = Loaded::<Exact>::from_blob(&blob)?;
        let report = Report {
            model,
            bytes: blob.as_ref().len(),
            format: imported.format.clone(),
            net: net_type_of(loaded.header()),
            tensors: imported.rows.clone(),
            skipped: imported.skipped.clone(),
            guesses: imported.guesses.clone(),
            tolerance: self.tolerance,
            graph,
            outputs: checked,
        };
        let differs = |difference: &Difference| difference.first.is_some();
        let failed = differs(&report.graph) || report.outputs.as_ref().is_some_and(differs);
        if !failed {
            files::write(&report.model, &blob)?;
            if let Some(path) = &self.checkpoint {
                imported.checkpoint.save(path)?;
            }
        }
        if self.json {
            super::print_json(&report)?;
        } else {
            super::print(&self.text(&report, &summary_of(loaded.header()))?)?;
        }
        if failed {
            // Of Keras, which computes padding too, and throws it away.
            let masked = imported
                .skipped
                .iter()
                .any(|skipped| skipped.contains("steps that it masks") || skipped.contains("mask_zero"));
            let hint = if masked && !differs(&report.graph) {
                "; its source masks steps, which the model has no notion of: check with series without any"
            } else {
                ""
            };
            bail!(
                "the model does not give what its source gives, so it was not written; see the first difference above, \
                 and --tolerance if that is all right{hint}"
            );
        }
        Ok(())
    }

    /// The arrays of `--check`.
    fn arrays(&self) -> anyhow::Result<(NpyArray, Option<NpyArray>, NpyArray)> {
        if let [x, y] = &self.check[..] {
            return Ok((npy(x)?, None, npy(y)?));
        }
        if self.check[0].extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
            bail!("--check {}: give the outputs as a second .npy, or both in an .npz", self.check[0].display());
        }
        let mut npz = Npz::open(&self.check[0])?;
        let mut array = |key: &str| npz.array(key.trim(), "--keys");
        match self.keys.split(',').collect::<Vec<_>>()[..] {
            [x, y] => Ok((array(x)?, None, array(y)?)),
            [x, tokens, y] => Ok((array(x)?, Some(array(tokens)?), array(y)?)),
            _ => bail!("--keys is {:?}, but must name two arrays, X,Y, or three: X,TOKENS,Y", self.keys),
        }
    }

    fn text(&self, report: &Report, summary: &str) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        writeln!(out, "{}: {}\n", self.file.display(), report.format)?;
        let shape = |row: &Row| format!("{:?}", row.origin.shape);
        let wide = |f: &dyn Fn(&Row) -> usize| report.tensors.iter().map(f).max().unwrap_or(0).max(8);
        let (a, b) = (wide(&|row| row.origin.source.chars().count()), wide(&|row| shape(row).chars().count()));
        writeln!(out, "{:<a$}  {:<b$}  becomes", "tensor", "shape")?;
        for row in &report.tensors {
            let change = if row.origin.change.is_empty() { String::new() } else { format!(" ({})", row.origin.change) };
            writeln!(out, "{:<a$}  {:<b$}  {}{change}", row.origin.source, shape(row), row.target)?;
        }
        for skipped in &report.skipped {
            writeln!(out, "left out: {skipped}")?;
        }
        for guess in &report.guesses {
            writeln!(out, "guessed: {guess}; confirm it by --check with outputs of the source")?;
        }
        writeln!(out, "\n{summary}\n")?;
        self.difference(&mut out, "the source's graph in f64, on inputs made here", &report.graph)?;
        if let Some(outputs) = &report.outputs {
            self.difference(&mut out, "the source's own outputs", outputs)?;
        }
        if report.graph.first.is_none() && report.outputs.as_ref().is_none_or(|outputs| outputs.first.is_none()) {
            writeln!(out, "{}: {} bytes", report.model.display(), thousands(report.bytes))?;
        }
        Ok(out)
    }

    fn difference(&self, out: &mut String, what: &str, difference: &Difference) -> std::fmt::Result {
        let Difference { series, answers, max, rms, largest, first } = difference;
        writeln!(
            out,
            "against {what}: {} answers of {series} series; max difference {max:.2e}, rms {rms:.2e}, largest output {largest:.3}",
            thousands(*answers)
        )?;
        if let Some(first) = first {
            writeln!(
                out,
                "  first beyond {:e} of that: series {}, step {}, output {}: expected {:.7}, found {:.7}",
                self.tolerance, first.series, first.step, first.output, first.expected, first.found
            )?;
        }
        Ok(())
    }
}

fn npy(path: &Path) -> anyhow::Result<NpyArray> {
    let file = File::open(path).with_context(|| format!("{}: cannot read the file", path.display()))?;
    NpyArray::read(BufReader::new(file)).map_err(|problem| {
        anyhow::anyhow!("{}: not a .npy array: it {problem}; write it with numpy.save", path.display())
    })
}
