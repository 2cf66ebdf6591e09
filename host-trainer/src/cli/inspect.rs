//! `grulet inspect`

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use grulet::blob::AlignedBytes;
use grulet::format::Format;
use grulet::spec::{Output, Storage};
use grulet::{Blob, Exact, Int8};

use super::source;
use crate::cost::{instructions, window_steps};
use crate::evaluate::Loaded;
use crate::quantize::ram;
use crate::summary::{net_type_of, summary_of, thousands};

/// Show what a model is, what it needs, and whether it is intact.
#[derive(Args)]
pub struct Inspect {
    /// A .gru file, or the folder of a run.
    model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let blob = source::load(&self.model)?;
        match Blob::parse(blob.as_ref())?.header().storage {
            Storage::Int8 => self.show::<Int8>(&blob),
            _ => self.show::<Exact>(&blob),
        }
    }

    fn show<F: Format>(&self, blob: &AlignedBytes) -> anyhow::Result<()> {
        let model = Loaded::<F>::from_blob(blob)?;
        let self_test = model.self_test();
        if self.json {
            super::print_json(&json(blob, &model, self_test.is_ok())?)?;
        } else {
            print(blob, &model, &self_test)?;
        }
        Ok(self_test?)
    }
}

fn print<F: Format>(
    blob: &AlignedBytes,
    model: &Loaded<'_, F>,
    self_test: &Result<(), grulet::Error>,
) -> anyhow::Result<()> {
    let header = model.header();
    let mut out = String::new();
    writeln!(out, "{}\n", summary_of(header))?;
    let affine = Blob::parse(blob.as_ref())?.affine();
    let units: Vec<&str> = header.units.iter().collect();
    let channels: Vec<&str> = header.channels.iter().collect();
    writeln!(out, "inputs, each as (x - mean)·scale:")?;
    for (i, (mean, scale)) in affine.mean.iter().zip(affine.scale).enumerate() {
        let unit = units.get(i).filter(|unit| !unit.is_empty()).map_or(String::new(), |unit| format!(" [{unit}]"));
        let name = channels.get(i).map_or_else(|| format!("x{i}"), |name| (*name).to_owned());
        writeln!(out, "  {:<28} mean {mean:<12} scale {scale}", name + &unit)?;
    }
    writeln!(out, "outputs: {}", source::output_names(header).join(", "))?;
    let when = match (header.output, header.window) {
        (Output::EveryStep, window) if header.is_bidirectional() && window > 0 => {
            format!("at every step of a window of {window}, when it is complete")
        }
        (Output::EveryStep, _) if header.is_bidirectional() => {
            "at every step of a series, when it is complete".to_owned()
        }
        (Output::EveryStep, _) => "at every step".to_owned(),
        (Output::LastStep, 0) => "at the last step of a series".to_owned(),
        (Output::Sequence(decoding), _) => {
            format!("as a sequence of up to {} tokens, by an encoder-decoder", decoding.longest)
        }
        (Output::LastStep, window) => format!("at the last step of a window of {window}"),
    };
    let ahead = if header.horizon > 0 { format!(", {} steps ahead", header.horizon) } else { String::new() };
    let rate = if header.sample_rate > 0.0 { format!(", at {} Hz", header.sample_rate) } else { String::new() };
    writeln!(out, "answers {when}{ahead}{rate}")?;
    let from = &header.provenance;
    writeln!(
        out,
        "from {}: {}, seed {}, epoch {}, {} {}",
        from.tool, from.data, from.seed, from.epoch, from.metric, from.value
    )?;
    let (state, of_state, of_capacity) = match window_steps(header) {
        Some(steps) if header.window > 0 => (ram(model).0, format!("RAM for a window of {steps} steps"), String::new()),
        // It takes series of any length.
        Some(steps) => {
            let of_capacity = format!(" for series of up to {steps} steps");
            (ram(model).0 / steps, "RAM for each step of the longest series".to_owned(), of_capacity)
        }
        None => (ram(model).0, "state per stream".to_owned(), String::new()),
    };
    let (step, any) = match header.output.encoder() {
        0 => ("step", "AnyModel"),
        _ => ("step of the encoder and one of the decoder", "AnySeq2Seq"),
    };
    writeln!(
        out,
        "needs {} bytes of flash, {} bytes of {of_state}, {} multiply-accumulates per {step} (about {} instructions on a Cortex-M4F); {any}: CAP = {}{of_capacity}",
        thousands(blob.as_ref().len()),
        thousands(state),
        thousands(header.macs()),
        thousands(instructions(&header.layers, header.storage)),
        model.capacity()
    )?;
    match self_test {
        Ok(()) => writeln!(out, "self-test over {} steps: passed", header.golden.steps)?,
        Err(error) => writeln!(out, "self-test: {error}")?,
    }
    super::print(&out)
}

fn json<F: Format>(blob: &AlignedBytes, model: &Loaded<'_, F>, self_test: bool) -> anyhow::Result<serde_json::Value> {
    let header = model.header();
    let parsed = Blob::parse(blob.as_ref())?;
    let affine = parsed.affine();
    Ok(serde_json::json!({
        "name": header.name,
        "layers": header.layers,
        "output": header.output,
        "parameters": header.parameters(),
        "macs_per_step": header.macs(),
        "instructions_per_step": instructions(&header.layers, header.storage),
        "bytes": blob.as_ref().len(),
        "state_bytes": ram(model).0,
        "capacity": model.capacity(),
        "storage": header.storage,
        "net": net_type_of(header),
        "inputs": { "channels": header.channels.iter().collect::<Vec<_>>(), "units": header.units.iter().collect::<Vec<_>>(),
                    "mean": affine.mean, "scale": affine.scale },
        "outputs": { "names": source::output_names(header), "scale": affine.output_scale, "offset": affine.output_offset },
        "sample_rate": header.sample_rate,
        "window": header.window,
        "horizon": header.horizon,
        "provenance": header.provenance,
        "self_test": self_test,
    }))
}
