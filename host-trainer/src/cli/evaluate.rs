//! `grulet evaluate`

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, ValueEnum};
use grulet::spec::Storage;
use grulet::{Blob, Fast};
use serde::Serialize;

use super::outputs;
use super::source::Source;
use crate::config::Task;
use crate::evaluate::{ClassTable, Details, Loaded, Scores, chart, predict, predict_stored, score};
use crate::files;
use crate::nn::Errors;
use crate::summary::output_names;

/// Classes up to which the confusion matrix is printed.
const PRINTED_CLASSES: usize = 20;

/// Score a model on data with the runtime that runs on the chip: the same bits.
///
/// docs/EVALUATE.md says what the figures mean.
#[derive(Args)]
pub struct Evaluate {
    #[command(flatten)]
    source: Source,
    /// The arithmetic of the firmware's network type, for a model in f32; `exact` unless given.
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Tell how often the right class is among the K most probable; 2, 3 and 5 unless given. May be given more than once.
    #[arg(long, value_name = "K")]
    top_k: Vec<usize>,
    /// Print the evaluation as JSON, or write it to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Draw the confusion matrix, or what is predicted against what is actual, into an SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
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
    details: Option<Details>,
    output_hash: String,
}

impl Evaluate {
    /// Runs the command. Files are written when everything else has succeeded.
    pub fn run(self) -> anyhow::Result<()> {
        let outputs = [("--json", self.json.as_deref()), ("--svg", self.svg.as_deref())];
        outputs::spare_likely_inputs(&outputs)?;
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
        outputs::spare(&self.source.files(&config), &outputs)?;
        let loss = config.train.loss;
        for &k in &self.top_k {
            let classes = model.header().outputs();
            if loss.task() != Task::Classes {
                bail!("--top-k: the model does not choose among several classes; leave it out");
            } else if !(1..classes).contains(&k) {
                bail!("--top-k is {k}, but of {classes} classes it must be from 1 to {}", classes - 1);
            }
        }
        let predictions = match format {
            FormatName::Fast => predict(&Loaded::<Fast>::from_blob(&blob)?, &data)?,
            FormatName::Exact | FormatName::Int8 => predict_stored(&blob, &data)?,
        };
        super::tell_saturated_inputs(&predictions, &data);
        let top = (!self.top_k.is_empty()).then_some(&self.top_k[..]);
        let result = Evaluation {
            model: model.header().name.to_owned(),
            format,
            series: data.series.len(),
            steps: data.total_steps(),
            scores: score(loss.into(), &predictions, &data),
            details: Details::of(loss.into(), &predictions, &data, &output_names(model.header()), top),
            output_hash: format!("{:016x}", predictions.hash()),
        };
        if let Some(path) = &self.svg {
            let Some(details) = &result.details else { bail!("--svg: the data hold no answers to draw") };
            files::write(path, chart(&result.model, details, &predictions, &data)?)?;
        }
        super::print_or_json(self.json.as_deref(), &result, || text(&result))
    }
}

/// The evaluation for a person.
fn text(result: &Evaluation) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "{}: {} series, {} steps", result.model, result.series, result.steps)?;
    for (name, value) in result.scores.list() {
        writeln!(out, "  {name:<9} {value:.6}")?;
    }
    if let Some(Details::Classes { top_k, .. }) = &result.details {
        for top in top_k {
            writeln!(out, "  {:<9} {:.6}", format!("top-{}", top.k), top.accuracy)?;
        }
    }
    writeln!(out, "  hash of all output bits: {}", result.output_hash)?;
    match &result.details {
        Some(Details::Classes { table, .. }) => write_classes(&mut out, "", table)?,
        Some(Details::Binary { outputs }) => {
            for output in outputs {
                let auc = match output.roc_auc {
                    Some(auc) => format!("{}, ROC-AUC {auc:.6}", output.output),
                    None => format!("{}, no ROC-AUC: all targets are alike", output.output),
                };
                write_classes(&mut out, &auc, &output.table)?;
            }
        }
        Some(Details::Regression { all, outputs }) => {
            writeln!(out, "\n{:<24} {:>14} {:>14} {:>10}", "output", "mae", "rmse", "r2")?;
            for output in outputs {
                write_errors(&mut out, &output.output, &output.errors)?;
            }
            write_errors(&mut out, "all", all)?;
        }
        None => {}
    }
    Ok(out)
}

fn write_errors(out: &mut String, name: &str, errors: &Errors) -> std::fmt::Result {
    let r2 = errors.r2.map_or("constant".to_owned(), |r2| format!("{r2:.6}"));
    writeln!(out, "  {name:<22} {:>14.6} {:>14.6} {r2:>10}", errors.mae, errors.rmse)
}

fn write_classes(out: &mut String, title: &str, table: &ClassTable) -> std::fmt::Result {
    let names = table.classes.iter().map(|class| class.name.chars().count());
    let width = names.max().unwrap_or(0).max("macro average".len());
    if !title.is_empty() {
        writeln!(out, "\n{title}")?;
    }
    let indent = width + 2;
    writeln!(out, "\n{:<indent$} {:>10} {:>10} {:>10} {:>10}", "class", "precision", "recall", "f1", "support")?;
    let mut occurring = 0;
    for class in &table.classes {
        let note = match (class.support, class.predicted) {
            (0, 0) => "  never occurs, never predicted",
            (0, _) => "  never occurs",
            (_, 0) => "  never predicted",
            _ => "",
        };
        let (name, support) = (&class.name, class.support);
        let (precision, recall, f1) = (class.precision, class.recall, class.f1);
        writeln!(out, "  {name:<width$} {precision:>10.4} {recall:>10.4} {f1:>10.4} {support:>10}{note}")?;
        occurring += support;
    }
    let (name, average) = ("macro average", table.macro_average);
    let (precision, recall, f1) = (average.precision, average.recall, average.f1);
    writeln!(out, "  {name:<width$} {precision:>10.4} {recall:>10.4} {f1:>10.4} {occurring:>10}")?;

    if table.classes.len() > PRINTED_CLASSES {
        return writeln!(out, "\nthe confusion matrix of {} classes: see --svg or --json", table.classes.len());
    }
    writeln!(out, "\nconfusion matrix: rows are actual, columns predicted")?;
    let cell = |text: &str| text.chars().count().max(6);
    write!(out, "  {:<width$}", "")?;
    for class in &table.classes {
        let (name, cell) = (&class.name, cell(&class.name));
        write!(out, "  {name:>cell$}")?;
    }
    for (class, counts) in table.classes.iter().zip(&table.confusion) {
        write!(out, "\n  {:<width$}", class.name)?;
        for (column, count) in table.classes.iter().zip(counts) {
            let cell = cell(&column.name);
            write!(out, "  {count:>cell$}")?;
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_absent_classes_are_explained() {
        let names = ["right", "only predicted", "only occurs", "neither"].map(str::to_owned);
        let mut out = String::new();
        write_classes(&mut out, "", &ClassTable::count(&names, [(0, 0), (0, 1), (2, 0)].into_iter())).unwrap();
        let expected = "
class             precision     recall         f1    support
  right              0.5000     0.5000     0.5000          2
  only predicted     0.0000     0.0000     0.0000          0  never occurs
  only occurs        0.0000     0.0000     0.0000          1  never predicted
  neither            0.0000     0.0000     0.0000          0  never occurs, never predicted
  macro average      0.1250     0.1250     0.1250          3

confusion matrix: rows are actual, columns predicted
                   right  only predicted  only occurs  neither
  right                1               1            0        0
  only predicted       0               0            0        0
  only occurs          1               0            0        0
  neither              0               0            0        0
";
        assert_eq!(out, expected);
    }
}
