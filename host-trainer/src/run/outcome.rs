//! What the folder of a finished run says of its validation part.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

use super::RunFolder;
use crate::config::Config;
use crate::files::{self, FileError};

/// Scores by name, in the order of `log.csv`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedScores(Vec<(String, f64)>);

/// The scores of a run on its validation part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The epoch whose model was exported.
    pub best_epoch: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// Scores after the best epoch.
    pub best: NamedScores,
    /// Scores after the last epoch.
    pub last: NamedScores,
}

/// Mean and standard deviation of each score over several runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The means.
    pub mean: NamedScores,
    /// The standard deviations, with `n - 1` in the denominator; empty for a single run.
    pub std: NamedScores,
}

/// The part of `report.json` that is needed here.
#[derive(Deserialize)]
struct Epochs {
    best_epoch: usize,
    epochs: usize,
}

impl Outcome {
    /// What a run of this configuration has come to, if its folder has one that is finished.
    pub(crate) fn earlier(config: &Config) -> Option<Self> {
        RunFolder::is_of(config).then(|| Self::read(&config.train.run_dir).ok())?
    }

    /// Reads `report.json` and `log.csv` of a run in `folder`.
    ///
    /// # Errors
    /// If the run is not finished, or a file is damaged.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let (report, log) = (folder.join("report.json"), folder.join("log.csv"));
        let damaged = |path: &Path, problem: String| {
            FileError::new(path, "read", io::Error::new(io::ErrorKind::InvalidData, problem))
        };
        let Epochs { best_epoch, epochs } =
            serde_json::from_slice(&files::read(&report)?).map_err(|error| damaged(&report, error.to_string()))?;
        let text = files::read(&log)?;
        let scores = |epoch| {
            validation_of(&text, epoch)
                .ok_or_else(|| damaged(&log, format!("there are no validation scores of epoch {epoch}")))
        };
        Ok(Self { best_epoch, epochs, best: scores(best_epoch)?, last: scores(epochs)? })
    }
}

/// The columns `val_…` of an epoch's row.
fn validation_of(log: &[u8], epoch: usize) -> Option<NamedScores> {
    let mut reader = csv::Reader::from_reader(log);
    let header = reader.headers().ok()?.clone();
    let row = reader.records().filter_map(Result::ok).find(|row| row.get(0) == Some(&epoch.to_string()))?;
    let mut scores = Vec::new();
    for (name, value) in header.iter().zip(&row) {
        if let Some(name) = name.strip_prefix("val_") {
            scores.push((name.to_owned(), value.parse().ok()?));
        }
    }
    (!scores.is_empty()).then_some(NamedScores(scores))
}

impl NamedScores {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The score of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

impl Serialize for NamedScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl Spread {
    /// Of the scores that all runs have.
    pub fn of(runs: &[&NamedScores]) -> Self {
        let mut spread = Self::default();
        let Some(first) = runs.first() else { return spread };
        for (name, _) in first.iter() {
            let Some(values) = runs.iter().map(|run| run.get(name)).collect::<Option<Vec<f64>>>() else { continue };
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            spread.mean.0.push((name.to_owned(), mean));
            if values.len() > 1 {
                let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                spread.std.0.push((name.to_owned(), (squares / (count - 1.0)).sqrt()));
            }
        }
        spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_and_the_last_epoch_are_found_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert!(Outcome::read(folder.path()).is_err(), "not finished");
        put("report.json", r#"{"name": "a", "best_epoch": 2, "epochs": 11}"#);
        let mut log = "epoch,loss,val_loss,val_accuracy,learning_rate\n".to_owned();
        (1..=11).for_each(|epoch| log += &format!("{epoch},9,{epoch}.5,0.{epoch},0.1\n"));
        put("log.csv", &log);
        let outcome = Outcome::read(folder.path()).unwrap();
        assert_eq!(outcome.best.iter().collect::<Vec<_>>(), [("loss", 2.5), ("accuracy", 0.2)]);
        assert_eq!(outcome.last.iter().collect::<Vec<_>>(), [("loss", 11.5), ("accuracy", 0.11)]);
        put("log.csv", "epoch,loss\n2,9\n11,9\n");
        let error = Outcome::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no validation scores of epoch 2"), "{error}");
    }

    #[test]
    fn the_spread_is_of_the_scores_that_all_have() {
        let scores = |list: &[(&str, f64)]| NamedScores(list.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect());
        let (a, b) = (scores(&[("loss", 1.0), ("r2", 0.5)]), scores(&[("loss", 4.0)]));
        let spread = Spread::of(&[&a, &b]);
        assert_eq!(spread.mean, scores(&[("loss", 2.5)]));
        assert_eq!(spread.std, scores(&[("loss", 4.5f64.sqrt())]));
        assert_eq!(Spread::of(&[&a]), Spread { mean: a, std: NamedScores::default() });
    }
}
