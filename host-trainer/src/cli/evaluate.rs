//! `grulet evaluate`

use std::fmt::Write;

use anyhow::bail;
use clap::{Args, ValueEnum};
use grulet::spec::Storage;
use grulet::{AnyModel, Blob, Fast};
use serde::Serialize;

use super::source::Source;
use crate::evaluate::{Scores, predict, predict_stored, score};

/// Score a model on data with the runtime that runs on the chip: the same bits.
#[derive(Args)]
pub struct Evaluate {
    #[command(flatten)]
    source: Source,
    /// The arithmetic of the firmware's network type, for a model in f32; `exact` unless given.
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A number format.
#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum FormatName {
    /// f32 with accurate activations.
    Exact,
    /// f32 with cheaper activations.
    Fast,
    /// Integers.
    #[value(skip)]
    Int8,
}

#[derive(Serialize)]
struct Evaluation {
    model: String,
    format: FormatName,
    series: usize,
    steps: usize,
    scores: Scores,
    output_hash: String,
}

impl Evaluate {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let blob = self.source.blob()?;
        let model = Blob::parse(blob.as_ref())?;
        let format = match (model.header().storage, self.format) {
            (Storage::Int8, Some(_)) => {
                bail!("--format: the model is in int8, and exact and fast are for models in f32; leave it out")
            }
            (Storage::Int8, None) => FormatName::Int8,
            (_, format) => format.unwrap_or(FormatName::Exact),
        };
        let (config, data) = self.source.data(model.header(), true)?;
        let predictions = match format {
            FormatName::Fast => predict(&AnyModel::<Fast>::from_blob(&blob)?, &data)?,
            FormatName::Exact | FormatName::Int8 => predict_stored(&blob, &data)?,
        };
        let result = Evaluation {
            model: model.header().name.to_owned(),
            format,
            series: data.series.len(),
            steps: data.total_steps(),
            scores: score(config.train.loss.into(), &predictions, &data),
            output_hash: format!("{:016x}", predictions.hash()),
        };
        if self.json {
            return super::print_json(&result);
        }
        let mut out = String::new();
        writeln!(out, "{}: {} series, {} steps", result.model, result.series, result.steps)?;
        for (name, value) in result.scores.list() {
            writeln!(out, "  {name:<9} {value:.6}")?;
        }
        writeln!(out, "  hash of all output bits: {}", result.output_hash)?;
        super::print(&out)
    }
}
