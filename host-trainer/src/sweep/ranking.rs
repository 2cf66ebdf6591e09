//! Which combination was best.

use std::path::PathBuf;

use serde::Serialize;

use super::jobs::Ended;
use crate::run::{NamedScores, Outcome, Spread};

/// All combinations, the one with the lowest validation loss first; those that failed come last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// The combinations.
    pub combinations: Vec<Combination>,
}

/// Settings that were tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Combination {
    /// The settings that differ, as `key=value`.
    pub settings: Vec<String>,
    /// All settings, as arguments of `grulet train` in a shell.
    pub set: String,
    /// Why it has no scores: a run failed.
    pub failed: Option<String>,
    /// Over the best epochs of all its runs.
    #[serde(flatten)]
    pub scores: Spread,
    /// Its runs, by seed and fold.
    pub runs: Vec<Run>,
}

/// A run of a combination.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// Its fold, from 1, in a cross-validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    /// Its folder.
    pub folder: PathBuf,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What it reached.
    #[serde(flatten)]
    pub outcome: Option<Outcome>,
}

impl Ranking {
    /// Sorts what came of the combinations: `refused` before they were run, or of `runs`.
    pub(super) fn of(
        set: &[String],
        settings: Vec<Vec<String>>,
        refused: Vec<(usize, String)>,
        runs: Vec<Ended>,
    ) -> Self {
        // A run of its own has a folder of its own.
        let set: Vec<&String> = set.iter().filter(|set| !set.starts_with("train.run_dir")).collect();
        let combination = |settings: Vec<String>| Combination {
            set: set
                .iter()
                .copied()
                .chain(&settings)
                .map(|set| format!("--set {}", quoted(set)))
                .collect::<Vec<_>>()
                .join(" "),
            settings,
            failed: None,
            scores: Spread::default(),
            runs: Vec::new(),
        };
        let mut combinations: Vec<Combination> = settings.into_iter().map(combination).collect();
        for (index, reason) in refused {
            combinations[index].failed = Some(reason);
        }
        for (job, result) in runs {
            let (outcome, failed) = match result {
                Ok(outcome) => (Some(outcome), None),
                Err(reason) => (None, Some(reason)),
            };
            let run = Run { seed: job.seed, fold: job.fold, folder: job.config.train.run_dir, failed, outcome };
            combinations[job.combination].runs.push(run);
        }
        combinations.iter_mut().for_each(Combination::sum_up);
        // Stable: equal ones stay in the order of the combinations. A loss that is not a number comes behind all numbers.
        combinations
            .sort_by(|a, b| a.failed.is_some().cmp(&b.failed.is_some()).then_with(|| a.loss().total_cmp(&b.loss())));
        Self { combinations }
    }

    /// Names of the scores that combinations have.
    pub fn scores(&self) -> Vec<&str> {
        self.combinations.first().map_or_else(Vec::new, |best| best.scores.mean.iter().map(|(name, _)| name).collect())
    }

    /// `sweep.csv`: a row per combination.
    pub fn to_csv(&self) -> Vec<u8> {
        let keys = self.combinations.first().map_or_else(Vec::new, |first| pairs(first).map(|(key, _)| key).collect());
        let names = self.scores();
        let heads = names.iter().flat_map(|name| [format!("val_{name}"), format!("val_{name}_std")]);
        let header = ["rank".to_owned()].into_iter().chain(keys.iter().map(ToString::to_string)).chain(heads);
        let header = header.chain(["runs", "failed", "set"].map(str::to_owned));
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut rows = vec![header.collect::<Vec<_>>()];
        for (rank, combination) in (1..).zip(&self.combinations) {
            let failed = combination.failed.clone();
            let rank = if failed.is_none() { rank.to_string() } else { String::new() };
            let mut row = vec![rank];
            row.extend(pairs(combination).map(|(_, value)| value.to_owned()));
            let score =
                |scores: &NamedScores, name| scores.get(name).map_or_else(String::new, |value| value.to_string());
            let Spread { mean, std } = &combination.scores;
            row.extend(names.iter().flat_map(|name| [score(mean, name), score(std, name)]));
            row.extend([combination.runs.len().to_string(), failed.unwrap_or_default(), combination.set.clone()]);
            rows.push(row);
        }
        for row in rows {
            writer.write_record(row).expect("all rows are of one length, and memory takes them");
        }
        writer.into_inner().expect("memory takes all")
    }
}

impl Combination {
    /// Scores of all runs, or why there are none.
    fn sum_up(&mut self) {
        if let Some((run, reason)) = self.runs.iter().find_map(|run| Some((run, run.failed.as_ref()?))) {
            let fold = run.fold.map_or_else(String::new, |fold| format!(", fold {fold}"));
            self.failed = Some(format!("seed {}{fold}: {reason}", run.seed));
            return;
        }
        let best: Vec<&NamedScores> = self.runs.iter().filter_map(|run| Some(&run.outcome.as_ref()?.best)).collect();
        self.scores = Spread::of(&best);
    }

    fn loss(&self) -> f64 {
        self.scores.mean.get("loss").map_or(f64::INFINITY, |loss| if loss.is_nan() { f64::INFINITY } else { loss })
    }
}

/// Keys and values of the settings that differ.
fn pairs(combination: &Combination) -> impl Iterator<Item = (&str, &str)> {
    combination.settings.iter().filter_map(|setting| setting.split_once('='))
}

/// An argument as a POSIX shell takes it.
pub fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || ".,=+-_/:".contains(letter);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
