//! `grulet predict`

use std::path::PathBuf;

use clap::Args;
use grulet::Blob;
use grulet::spec::Output;

use super::source::{Source, output_names};
use crate::evaluate::predict_stored;
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
}

impl Predict {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let blob = self.source.blob()?;
        let model = Blob::parse(blob.as_ref())?;
        let header = model.header();
        let (_, data) = self.source.data(header, false)?;
        let predictions = predict_stored(&blob, &data)?;
        let names = output_names(header);

        // Which series, and which step of it, each answer is to.
        let answered = data.series.iter().enumerate().flat_map(|(index, series)| {
            let steps = data.steps(index);
            let first = if header.output == Output::EveryStep { 0 } else { steps - 1 };
            (first..steps).map(move |step| (&series.name, series.start + step))
        });
        let rows = answered.zip(predictions.values.chunks_exact(predictions.width));
        let text = if self.json {
            let rows: Vec<serde_json::Value> = rows
                .map(|((series, step), values)| {
                    let outputs: serde_json::Map<_, _> =
                        names.iter().cloned().zip(values.iter().map(|&value| value.into())).collect();
                    serde_json::json!({ "series": series, "step": step, "outputs": outputs })
                })
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
        match &self.output {
            Some(path) => files::write(path, text)?,
            None => super::print(&text)?,
        }
        Ok(())
    }
}
