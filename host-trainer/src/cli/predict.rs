//! `grulet predict`

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use grulet::blob::AlignedBytes;
use grulet::spec::{Output, Storage};
use grulet::{AnySeq2Seq, Blob, Exact, Format, Header, Int8};
use serde::{Serialize, Serializer};

use super::outputs;
use super::source::{Source, output_names};
use crate::config::Tokens;
use crate::data::{Dataset, text};
use crate::evaluate::{MAX_BEAM, Written, predict_stored, write_sequences};
use crate::files;

/// Print a model's answers to data, as CSV, with the runtime that runs on the chip.
#[derive(Args)]
pub struct Predict {
    #[command(flatten)]
    source: Source,
    /// Write to this file instead of standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Print JSON: one object per answer.
    #[arg(long)]
    json: bool,
    /// Of an encoder-decoder: follow so many sequences side by side, at most 8, and print the most probable of them. 1, which is
    /// greedy decoding as on the chip, unless given.
    #[arg(long, value_name = "WIDTH")]
    beam: Option<usize>,
}

impl Predict {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let blob = self.source.blob()?;
        let model = Blob::parse(blob.as_ref())?;
        let header = model.header();
        let (config, data) = self.source.data(header, false)?;
        outputs::spare(&self.source.files(&config), &[("--output", self.output.as_deref())])?;
        if header.output.encoder() > 0 {
            return self.write(&self.sequences(&blob, &data, config.data.tokens)?);
        }
        if self.beam.is_some() {
            bail!("--beam: the model is no encoder-decoder, and writes no sequences; leave it out");
        }
        let predictions = predict_stored(&blob, &data)?;
        super::tell_saturated_inputs(&predictions, &data);
        let names = output_names(header);

        // Which series, and which step of it, each answer is to.
        let answered = data.series.iter().enumerate().flat_map(|(index, series)| {
            let steps = data.steps(index);
            let first = if header.output == Output::EveryStep { 0 } else { steps - 1 };
            (first..steps).map(move |step| (&series.name, series.start + step))
        });
        let rows = answered.zip(predictions.values.chunks_exact(predictions.width));
        let text = if self.json {
            let rows: Vec<Answer<'_>> = rows
                .map(|((series, step), values)| Answer { series, step, outputs: Outputs { names: &names, values } })
                .collect();
            serde_json::to_string_pretty(&rows)? + "\n"
        } else {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["series", "step"].into_iter().chain(names.iter().map(String::as_str)))?;
            for ((series, step), values) in rows {
                let values = values.iter().map(f32::to_string);
                writer.write_record([series.clone(), step.to_string()].into_iter().chain(values))?;
            }
            String::from_utf8(writer.into_inner()?)?
        };
        self.write(&text)
    }

    /// What an encoder-decoder writes to each series.
    fn sequences(&self, blob: &AlignedBytes, data: &Dataset, kind: Option<Tokens>) -> anyhow::Result<String> {
        let beam = self.beam.unwrap_or(1);
        if !(1..=MAX_BEAM).contains(&beam) {
            bail!("--beam is {beam}, but must be from 1 to {MAX_BEAM}");
        }
        let (header, written) = match Blob::parse(blob.as_ref())?.header().storage {
            Storage::Int8 => sequences(&AnySeq2Seq::<Int8>::from_blob(blob)?, data, beam)?,
            _ => sequences(&AnySeq2Seq::<Exact>::from_blob(blob)?, data, beam)?,
        };
        let names = output_names(&header);
        let rows = data.series.iter().zip(&written);
        if self.json {
            let rows: Vec<serde_json::Value> = rows
                .map(|(series, written)| {
                    serde_json::json!({
                        "series": series.name,
                        "tokens": written.tokens,
                        "text": text(&written.tokens, &names, kind),
                        "log_probability": written.log_probability,
                        "stopped": written.stopped,
                    })
                })
                .collect();
            return Ok(serde_json::to_string_pretty(&rows)? + "\n");
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["series", "text", "log_probability", "stopped"])?;
        for (series, written) in rows {
            let text = text(&written.tokens, &names, kind);
            let (probability, stopped) = (written.log_probability.to_string(), written.stopped.to_string());
            writer.write_record([&series.name, &text, &probability, &stopped])?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    fn write(&self, text: &str) -> anyhow::Result<()> {
        match &self.output {
            Some(path) if path.as_os_str() != "-" => files::write(path, text)?,
            _ => super::print(text)?,
        }
        Ok(())
    }
}

/// An answer, as JSON has it.
#[derive(Serialize)]
struct Answer<'a> {
    series: &'a str,
    step: usize,
    outputs: Outputs<'a>,
}

/// The outputs by their names, in their order.
struct Outputs<'a> {
    names: &'a [String],
    values: &'a [f32],
}

impl Serialize for Outputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values))
    }
}

/// What the model says of itself, and what it writes.
fn sequences<'a, F: Format>(
    model: &AnySeq2Seq<'a, F>,
    data: &Dataset,
    beam: usize,
) -> anyhow::Result<(Header<'a>, Vec<Written>)> {
    Ok((model.header().clone(), write_sequences(model, data, beam)?))
}
