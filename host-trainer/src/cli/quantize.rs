//! `grulet quantize`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use grulet::blob::AlignedBytes;
use grulet::{Int8, LayerSpec};

use super::outputs;
use super::source::{self, PartName, Source};
use crate::checkpoint::Checkpoint;
use crate::config::Task;
use crate::data::{self, Part};
use crate::evaluate::{Loaded, predict};
use crate::files;
use crate::quantize::{Comparison, Float, Method, calibrate, chart, compare, drift};
use crate::summary::{output_names, thousands};

/// Turn a trained model into one in int8, with ranges from calibration, and report what that costs.
///
/// docs/QUANTIZE.md says how to read the report.
#[derive(Args)]
pub struct Quantize {
    /// A run's folder (its best checkpoint), a .ckpt file, or a .gru file in f32.
    model: PathBuf,
    /// Data to calibrate with, .npz or .csv; the run's training file unless given.
    #[arg(long, value_name = "DATA")]
    calib: Option<PathBuf>,
    /// Data to compare on; the run's test file unless given, else the calibration data.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The model to write; model_int8.gru beside the model unless given.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// How ranges are taken from what calibration sees.
    #[arg(long, value_enum, default_value_t = MethodName::Max)]
    method: MethodName,
    /// What so many percent of the values do not exceed, for `--method percentile`; 99.99 unless given.
    #[arg(long)]
    percentile: Option<f64>,
    /// Fail if int8 is worse than f32 by more than this fraction in accuracy, or MSE of a regression: 0.03 is 3 %.
    #[arg(long, value_name = "FRACTION")]
    max_drop: Option<f64>,
    /// From which difference on values of a regression count as parted; 2 % of their range unless given.
    #[arg(long)]
    tolerance: Option<f64>,
    /// Also stream so many steps without a reset, the first series again and again, and report whether the difference grows.
    #[arg(long, value_name = "STEPS")]
    drift: Option<usize>,
    /// Print the report as JSON, or write it to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Draw f32 and int8 over time into an SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The configuration that says how to read the data; config.toml beside the model unless given.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Replace a setting of the configuration, such as `data.npz_test.x=x`. May be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::setting)]
    set: Vec<String>,
}

/// How ranges are taken.
#[derive(Clone, Copy, ValueEnum)]
enum MethodName {
    /// The largest magnitude.
    Max,
    /// A percentile of the magnitudes.
    Percentile,
    /// Whichever of several percentiles has the least mean square error at the outputs.
    Mse,
}

impl Quantize {
    /// Runs the command. Files are written when everything else has succeeded.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(drop) = self.max_drop
            && !(drop >= 0.0 && drop.is_finite())
        {
            bail!("--max-drop is {drop}, but must be 0 or a fraction above 0, such as 0.03");
        }
        if let Some(tolerance) = self.tolerance
            && !(tolerance >= 0.0 && tolerance.is_finite())
        {
            bail!("--tolerance is {tolerance}, but must be 0 or above, in the units of the outputs");
        }
        let method = match (self.method, self.percentile) {
            (MethodName::Percentile, percentile) => Method::Percentile(percentile.unwrap_or(99.99)),
            (_, Some(_)) => bail!("--percentile is for `--method percentile`; give that too, or leave it out"),
            (MethodName::Max, None) => Method::Max,
            (MethodName::Mse, None) => Method::Mse,
        };
        let printed = [("--json", self.json.as_deref()), ("--svg", self.svg.as_deref())];
        outputs::spare_likely_inputs(&printed)?;
        let (path, bytes) = load(&self.model)?;
        let float = Float::new(&bytes).with_context(|| path.display().to_string())?;
        let header = float.model().header();

        let source = |data: Option<&Path>, part| Source {
            model: self.model.clone(),
            data: data.map(Path::to_owned),
            config: self.config.clone(),
            set: self.set.clone(),
            part,
        };
        // The configuration of a model that has none depends on where its data are.
        let config = source(self.calib.as_deref(), PartName::Train).config(header)?;
        if self.tolerance.is_some() && config.task() != Task::Regression {
            bail!(
                "--tolerance is for the values of a regression; the decisions of a classifier differ or not: leave it out"
            );
        }
        let usual = path.with_file_name("model_int8.gru");
        if self.output.is_none() && usual.exists() && path.with_file_name("best_int8.ckpt").exists() {
            bail!("{} is that of quantisation-aware training; name another file with --output", usual.display());
        }
        let output = self.output.clone().unwrap_or(usual);
        let mut inputs = source(self.calib.as_deref(), PartName::Train).files(&config);
        inputs.extend(self.data.iter().chain([&path]).cloned());
        outputs::spare(&inputs, &[&[("--output", Some(&*output))], &printed[..]].concat())?;
        let training = match &self.calib {
            Some(path) => path.clone(),
            None if source(None, PartName::Train).config_path().is_some() => config.data.train.clone(),
            None => bail!("there is no configuration beside the model; give data to calibrate with by --calib"),
        };
        let samples = data::held_out(&config, header, &training, Part::Train, false)?;
        let calibration = calibrate(&float, &samples, method).with_context(|| training.display().to_string())?;
        let int8 = float.quantize(&calibration.ranges)?;

        let tested = self.data.clone().or_else(|| config.data.test.clone());
        let part = if tested.is_some() { Part::Test } else { Part::Train };
        let tested = tested.unwrap_or_else(|| training.clone());
        let test = data::held_out(&config, header, &tested, part, true)?;
        let mut report = compare(&float, &int8, &calibration.ranges, &test, config.train.loss, self.tolerance)?;
        if let Some(steps) = self.drift {
            report.drift = Some(drift(&float, &int8, &test, steps)?);
        }
        if let Some(allowed) = self.max_drop {
            report.check_drop(allowed)?;
        }
        let svg = match &self.svg {
            Some(path) => {
                let model = Loaded::<Int8>::from_blob(&int8)?;
                let (a, b) = (predict(float.model(), &test)?, predict(&model, &test)?);
                Some((path, chart(header.name, &a, &b, &output_names(header))?))
            }
            None => None,
        };

        files::write(&output, &int8)?;
        if let Some((path, svg)) = svg {
            files::write(path, svg)?;
        }
        let what = format!(
            "{}: {} bytes, calibrated on {} steps of {}, compared on {}",
            output.display(),
            thousands(int8.as_ref().len()),
            thousands(calibration.steps),
            training.display(),
            tested.display()
        );
        super::print_or_json(self.json.as_deref(), &report, || Ok(format!("{what}\n{}", text(&report)?)))
    }
}

/// The model in `f32`, and the file that it is from.
fn load(model: &Path) -> anyhow::Result<(PathBuf, AlignedBytes)> {
    let best = model.join("best.ckpt");
    let path = match model.is_dir() {
        true if best.exists() => best,
        true => model.join("model.gru"),
        false => model.to_owned(),
    };
    if path.extension().is_some_and(|extension| extension == "ckpt") {
        let bytes = crate::export::export(&Checkpoint::load(&path)?).with_context(|| path.display().to_string())?;
        return Ok((path, bytes));
    }
    let bytes = source::load(&path)?;
    Ok((path, bytes))
}

/// What helps where an output says little in integers.
fn advice(report: &Comparison) -> &'static str {
    let saturated = report.layers.first().is_some_and(|layer| layer.input_saturations > 0);
    let shared = report.outputs.len() > 1 && report.layers.last().is_some_and(|layer| !layer.bounded);
    match (saturated, shared) {
        (true, _) => "; inputs are beyond what calibration saw: calibrate with such data",
        (false, true) => "; train with `data.normalize_targets`",
        (false, false) => "",
    }
}

/// The report for a person.
fn text(report: &Comparison) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "type Net = {};\n", report.net)?;
    let steps = format!("{} series, {} steps", thousands(report.series), thousands(report.steps));
    writeln!(out, "{steps:<32} {:>14} {:>14}", "f32", "int8")?;
    let (a, b) = (&report.f32, &report.int8);
    for ((name, f32), (_, int8)) in a.scores.list().zip(b.scores.list()) {
        writeln!(out, "  {name:<30} {f32:>14.6} {int8:>14.6}")?;
    }
    let costs = [
        ("flash, bytes", a.flash_bytes, b.flash_bytes),
        ("state, bytes", a.state_bytes, b.state_bytes),
        ("scratch of an AnyStream, bytes", a.scratch_bytes, b.scratch_bytes),
        ("instructions per step, about", a.instructions_per_step, b.instructions_per_step),
    ];
    for (name, f32, int8) in costs {
        writeln!(out, "  {name:<30} {:>14} {:>14}", thousands(f32), thousands(int8))?;
    }
    let macs = thousands(report.macs_per_step);
    writeln!(out, "  {:<30} {macs:>14} {macs:>14}", "multiply-accumulates per step")?;
    let worse = if report.drop > 0.0 { "worse" } else { "better or equal" };
    // Not a negative zero.
    writeln!(out, "  int8 is {worse} in {}: {:+.3} % of f32\n", report.metric, 100.0 * report.drop + 0.0)?;

    writeln!(out, "layer                            unit of outputs      saturated          of")?;
    if let Some(first) = report.layers.first() {
        let count = thousands(first.input_saturations as usize);
        let of = report.steps * first.layer.inputs();
        writeln!(out, "  {:<30} {:>15.3e} {count:>14} {:>11}", "inputs", first.input_scale, thousands(of))?;
    }
    for (index, layer) in report.layers.iter().enumerate() {
        let kind = match layer.layer {
            LayerSpec::Gru { .. } => "GRU",
            LayerSpec::Embedding { .. } => "embedding",
            LayerSpec::Pool { .. } => "pool",
            LayerSpec::OneHot { .. } => "one-hot",
            LayerSpec::Bidirectional { .. } => "bidirectional",
            _ => "dense",
        };
        let name = format!("{index} ({kind}, {} outputs)", layer.layer.outputs());
        let count = thousands(layer.output_saturations as usize);
        let note = if layer.bounded { "  bounded: nothing is lost" } else { "" };
        let of = thousands(layer.outputs as usize);
        writeln!(out, "  {name:<30} {:>15.3e} {count:>14} {of:>11}{note}", layer.output_scale)?;
    }
    writeln!(out, "\noutput                           max difference  rms difference")?;
    for output in &report.outputs {
        let lost = match output.is_lost() && !report.tolerances.is_empty() {
            true => format!("  lost: it varies by {:.3e}{}", output.std, advice(report)),
            false => String::new(),
        };
        writeln!(out, "  {:<30} {:>15.3e} {:>15.3e}{lost}", output.name, output.max, output.rms)?;
    }
    let answers = thousands(report.answers);
    let parted = thousands(report.parted);
    match report.tolerances[..] {
        [] => writeln!(out, "\n{parted} of {answers} decisions differ")?,
        [first, ref rest @ ..] if rest.iter().all(|other| *other == first) => {
            writeln!(out, "\n{parted} of {answers} answers differ by more than {first:.3e}")?;
        }
        _ => writeln!(out, "\n{parted} of {answers} answers differ by more than 2 % of an output's range")?,
    }
    for parting in &report.partings {
        let values = |values: &[f32]| values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ");
        let (f32, int8) = (values(&parting.f32), values(&parting.int8));
        writeln!(out, "  series {}, step {}: f32 {f32}; int8 {int8}", parting.series, parting.step)?;
    }
    if let Some(drift) = &report.drift {
        writeln!(
            out,
            "\nstream of {} steps: rms difference {:.3e} over steps 1,000 to 2,000, {:.3e} over 1,000 from step {}",
            thousands(drift.steps),
            drift.early,
            drift.late,
            thousands(drift.late_from)
        )?;
    }
    Ok(out)
}
