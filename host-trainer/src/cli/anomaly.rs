//! `grulet anomaly`

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use grulet::Blob;
use serde::Serialize;

use super::outputs;
use super::source::Source;
use crate::anomaly::{self, Detector, LabelScores, Stretch, series_steps, stretches};
use crate::data::{self, Dataset, FileKind};
use crate::evaluate::predict_stored;
use crate::files;
use crate::summary::thousands;

/// Stretches up to which they are printed.
const PRINTED_STRETCHES: usize = 10;

/// Find steps at which a forecast is much further off than on the training part, and print what a firmware needs for that.
///
/// docs/EVALUATE.md says what the figures mean.
#[derive(Args)]
pub struct Anomaly {
    #[command(flatten)]
    source: Source,
    /// The fraction of the training steps that are to count as normal.
    #[arg(long, default_value_t = 0.999)]
    quantile: f64,
    /// A column of the .csv, or an array of the .npz, that says of every step what is wrong with it. It is no input.
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The label of steps with which nothing is wrong.
    #[arg(long, value_name = "WORD", default_value = "0", requires = "label")]
    normal: String,
    /// Print the result as JSON, or write it to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Write the score of every step to this file, as CSV.
    #[arg(short, long, value_name = "CSV")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Found {
    model: String,
    horizon: usize,
    detector: Detector,
    series: usize,
    steps: usize,
    flagged: usize,
    stretches: Vec<Stretch>,
    labels: Option<LabelScores>,
}

impl Anomaly {
    /// Runs the command. Files are written when everything else has succeeded.
    pub fn run(self) -> anyhow::Result<()> {
        outputs::spare_likely_inputs(&[("--json", self.json.as_deref())])?;
        let blob = self.source.blob()?;
        let model = Blob::parse(blob.as_ref())?;
        let header = model.header();
        if self.source.config_path().is_none() {
            bail!(
                "there is no configuration beside the model, and so no training part to compare with; \
                 give the folder of its run, or --config"
            );
        }
        let mut config = self.source.config(header)?;
        anomaly::check(&config, header)?;
        let written = [("--json", self.json.as_deref()), ("--output", self.output.as_deref())];
        outputs::spare(&self.source.files(&config), &written)?;
        let path = self.source.data_file(&config)?;
        // So that a column of labels is no input, even where the inputs are all columns that are nothing else.
        if config.data.csv.features.is_none() && FileKind::of(&config.data.train) == Some(FileKind::Csv) {
            config.data.csv.features = Some(data::feature_columns(&config.data.train, &config.data)?);
        }
        if let Some(label) = &self.label
            && config.data.csv.features.as_ref().is_some_and(|features| features.contains(label))
        {
            bail!("--label {label}: that column is an input of the model; name the column that says what is wrong");
        }

        let training = data::training_part(&config, header)?;
        let detector = Detector::fit(header, &predict_stored(&blob, &training)?, &training, self.quantile)
            .with_context(|| config.data.train.display().to_string())?;
        let part = self.source.part();
        let data = data::held_out(&config, header, &path, part, true)?;
        let predictions = predict_stored(&blob, &data)?;
        super::tell_saturated_inputs(&predictions, &data);
        let sums = detector.sums(&predictions, &data);
        let labels = match &self.label {
            Some(label) => Some(data::step_labels(&config, header, &path, part, label)?),
            None => None,
        };
        let scores = match &labels {
            Some(labels) => {
                let scores = LabelScores::of(&detector, &sums, labels, &self.normal);
                Some(scores.with_context(|| path.display().to_string())?)
            }
            None => None,
        };
        let horizon = config.data.horizon();
        let found = Found {
            model: header.name.to_owned(),
            horizon,
            series: data.series.len(),
            steps: sums.len(),
            flagged: sums.iter().filter(|&&sum| detector.is_anomaly(sum)).count(),
            stretches: stretches(&detector, &sums, &data, horizon),
            labels: scores,
            detector,
        };
        if let Some(path) = &self.output {
            files::write(path, table(&found, &sums, &data, labels.as_ref())?)?;
        }
        super::print_or_json(self.json.as_deref(), &found, || text(&found))
    }
}

/// Every step with its score.
fn table(found: &Found, sums: &[f32], data: &Dataset, labels: Option<&Dataset>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = ["series", "step", "score", "anomaly", "label"];
    writer.write_record(&columns[..4 + usize::from(labels.is_some())])?;
    for (index, (name, steps)) in series_steps(data).enumerate() {
        for (step, &sum) in sums[steps].iter().enumerate() {
            let (score, flag) = (found.detector.score(sum), u8::from(found.detector.is_anomaly(sum)));
            let mut row =
                vec![name.to_owned(), (step + found.horizon).to_string(), score.to_string(), flag.to_string()];
            if let Some(labels) = labels {
                row.push(labels.classes[labels.series[index].targets[step] as usize].clone());
            }
            writer.write_record(row)?;
        }
    }
    Ok(writer.into_inner()?)
}

/// The result for a person.
fn text(found: &Found) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let detector = &found.detector;
    let percent = |part: usize, all: usize| 100.0 * part as f64 / all as f64;
    let (steps, above) = (thousands(detector.training_steps), thousands(detector.training_flagged));
    writeln!(
        out,
        "{}: threshold {:.4}, the quantile {} of {steps} training steps, of which {above} are above",
        found.model, detector.threshold, detector.quantile
    )?;
    let (flagged, share) = (thousands(found.flagged), percent(found.flagged, found.steps));
    let (steps, series) = (thousands(found.steps), thousands(found.series));
    writeln!(out, "{flagged} of {steps} steps in {series} series are flagged, {share:.2} %")?;

    if !found.stretches.is_empty() {
        writeln!(out, "\n{:<24} {:>10} {:>10} {:>10} {:>14}", "flagged: series", "from", "to", "steps", "peak score")?;
    }
    for Stretch { series, from, to, peak } in found.stretches.iter().take(PRINTED_STRETCHES) {
        writeln!(out, "  {series:<22} {from:>10} {to:>10} {:>10} {peak:>14.4}", to - from + 1)?;
    }
    let more = found.stretches.len().saturating_sub(PRINTED_STRETCHES);
    if more > 0 {
        writeln!(out, "  and {} shorter ones: see --json or --output", thousands(more))?;
    }

    if let Some(labels) = &found.labels {
        writeln!(out)?;
        for (name, value) in [("precision", labels.precision), ("recall", labels.recall), ("f1", labels.f1)] {
            writeln!(out, "  {name:<9} {value:.6}")?;
        }
        match labels.roc_auc {
            Some(auc) => writeln!(out, "  {:<9} {auc:.6}", "roc-auc")?,
            None => writeln!(out, "  no ROC-AUC: all labels are alike")?,
        }
        writeln!(out, "\n{:<24} {:>10} {:>10} {:>10} {:>10}", "label", "steps", "flagged", "events", "found")?;
        for kind in &labels.kinds {
            let (steps, flagged) = (kind.steps, kind.flagged);
            writeln!(
                out,
                "  {:<22} {steps:>10} {flagged:>10} {:>10} {:>10}",
                kind.label, kind.events, kind.events_found
            )?;
        }
        let flagged: usize = labels.kinds.iter().map(|kind| kind.flagged).sum();
        let (steps, events) = (labels.steps, labels.events);
        writeln!(out, "  {:<22} {steps:>10} {flagged:>10} {events:>10} {:>10}", "all", labels.events_found)?;
    }

    let outputs = detector.inverse_rms.len();
    writeln!(out, "\nfor the firmware, as docs/EVALUATE.md shows:")?;
    writeln!(out, "const INVERSE_RMS: [f32; {outputs}] = {:?};", detector.inverse_rms)?;
    writeln!(out, "const LIMIT: f32 = {:?};", detector.limit)?;
    Ok(out)
}
