//! Every example trained in full, with several seeds, as a table.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::sh;

/// Arguments of `cargo xtask examples`.
#[derive(Args)]
pub struct Examples {
    /// Which examples, such as `gait_phase`; all of them unless given.
    names: Vec<String>,
    /// Each is trained with the seeds from 1 to this.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
}

/// How the faults of `water_anomaly` are looked for, as its configuration says.
const ANOMALY: [&str; 6] = ["--quantile", "0.99", "--label", "fault", "--normal", "none"];

/// A figure of one run, and what simple methods reach.
struct Figure {
    metric: &'static str,
    value: f64,
    /// The best one's name and value.
    baseline: Option<(String, f64)>,
}

impl Examples {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let folder = sh::root().join("examples");
        let known = configurations(&folder)?;
        if let Some(name) = self.names.iter().find(|name| !known.contains(name)) {
            bail!("there is no example {name}; there are {}", known.join(", "));
        }
        sh::say("building the trainer: a minute or two the first time");
        let grulet = sh::built_grulet()?;
        let mut rows = Vec::new();
        for name in known.iter().filter(|name| self.names.is_empty() || self.names.contains(name)) {
            let mut runs = Vec::new();
            let mut parameters = 0;
            for seed in 1..=self.seeds {
                sh::say(&format!("{name}, seed {seed}"));
                let (found, report) = train(&grulet, name, seed)?;
                parameters = report["parameters"].as_u64().unwrap_or(0);
                runs.push(found);
            }
            rows.extend(lines(name, &runs, parameters));
        }
        println!("by the exported model on the test part, seeds 1 to {}\n", self.seeds);
        println!(
            "| example | metric | mean | min–max | best without a network | parameters |\n|---|---|---|---|---|---|"
        );
        rows.iter().for_each(|row| println!("{row}"));
        Ok(())
    }
}

/// The names of the configurations, sorted.
fn configurations(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if let (Some("toml"), Some(stem)) = (path.extension().and_then(|e| e.to_str()), path.file_stem()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Trains one, and reads its figures and its report.
fn train(grulet: &Path, name: &str, seed: u64) -> Result<(Vec<Figure>, Value)> {
    let run: PathBuf = sh::root().join(format!("target/examples/{name}/seed_{seed}"));
    let mut train = sh::command(grulet);
    train.arg("train").arg(format!("examples/{name}.toml")).arg("--overwrite");
    let run_dir = format!("train.run_dir={:?}", run.display().to_string());
    sh::output(train.args(["--set", &run_dir, "--set", &format!("seed={seed}")]))?;
    let path = run.join("report.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let found = if name == "water_anomaly" {
        let found = sh::output(sh::command(grulet).arg("anomaly").arg(&run).args(ANOMALY).arg("--json"))?;
        faults(&serde_json::from_str(&found).context("what `grulet anomaly` printed")?)
    } else {
        figures(&report)
    };
    if found.is_empty() {
        bail!("{}: no score of the test part", path.display());
    }
    Ok((found, report))
}

/// What the report says of the test part.
fn figures(report: &Value) -> Vec<Figure> {
    // Of two metrics of a kind the first counts: sequences before their tokens.
    let score = |name: &'static str| move |scores: &Value| scores[name].as_f64();
    let test = &report["test"];
    let mut found = Vec::new();
    let mut figure = |metric, of: &dyn Fn(&Value) -> Option<f64>, high: bool| {
        let Some(value) = of(test) else { return false };
        let baselines = report["baselines"].as_array().into_iter().flatten();
        let named =
            baselines.filter_map(|baseline| Some((baseline["name"].as_str()?.to_owned(), of(&baseline["scores"])?)));
        let better = |a: f64, b: f64| if high { a.total_cmp(&b) } else { b.total_cmp(&a) };
        found.push(Figure { metric, value, baseline: named.max_by(|a, b| better(a.1, b.1)) });
        true
    };
    if !figure("sequence accuracy", &score("sequence_accuracy"), true) {
        figure("accuracy", &score("accuracy"), true);
    }
    figure("mse", &score("mse"), false);
    figure("1 - r2", &|scores| Some(1.0 - scores["r2"].as_f64()?), false);
    found
}

/// What `grulet anomaly` says of the faults.
fn faults(found: &Value) -> Vec<Figure> {
    let labels = &found["labels"];
    let share = || Some(labels["events_found"].as_f64()? / labels["events"].as_f64()?);
    let values = [
        ("faults found", share()),
        ("precision of steps", labels["precision"].as_f64()),
        ("recall of steps", labels["recall"].as_f64()),
        ("roc-auc of steps", labels["roc_auc"].as_f64()),
    ];
    values.into_iter().filter_map(|(metric, value)| Some(Figure { metric, value: value?, baseline: None })).collect()
}

/// A line for each figure, over all seeds.
fn lines(name: &str, runs: &[Vec<Figure>], parameters: u64) -> Vec<String> {
    let line = |index: usize| {
        let figure = &runs[0][index];
        let values: Vec<f64> = runs.iter().filter_map(|run| Some(run.get(index)?.value)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let baseline = figure.baseline.as_ref().map_or("–".to_owned(), |(name, value)| format!("{name}: {value:.4}"));
        format!("| {name} | {} | {mean:.4} | {low:.4}–{high:.4} | {baseline} | {parameters} |", figure.metric)
    };
    (0..runs[0].len()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_best_baseline_stands_beside_the_mean() {
        let report = |mse: f64| {
            let baselines = json!([
                { "name": "mean", "scores": { "mse": 9.0, "r2": -0.5 } },
                { "name": "ridge", "scores": { "mse": 4.0, "r2": 0.5 } },
            ]);
            json!({ "test": { "loss": 1.0, "mse": mse, "r2": 0.75 }, "baselines": baselines })
        };
        let runs = [figures(&report(2.0)), figures(&report(3.0))];
        let expected = [
            "| e | mse | 2.5000 | 2.0000–3.0000 | ridge: 4.0000 | 7 |",
            "| e | 1 - r2 | 0.2500 | 0.2500–0.2500 | ridge: 0.5000 | 7 |",
        ];
        assert_eq!(lines("e", &runs, 7), expected);
    }

    #[test]
    fn high_accuracies_are_good_and_sequences_come_before_tokens() {
        let baselines =
            json!([{ "name": "a", "scores": { "accuracy": 0.3 } }, { "name": "b", "scores": { "accuracy": 0.1 } }]);
        let found = figures(&json!({ "test": { "accuracy": 0.9 }, "baselines": baselines }));
        assert_eq!((found.len(), found[0].baseline.clone()), (1, Some(("a".to_owned(), 0.3))));
        let test = json!({ "accuracy": 0.9, "sequence_accuracy": 0.8 });
        let found = figures(&json!({ "test": test, "baselines": baselines }));
        assert_eq!((found.len(), found[0].metric, found[0].baseline.is_some()), (1, "sequence accuracy", false));
    }

    #[test]
    fn found_faults_are_a_share_of_the_events() {
        let labels = json!({ "events": 4, "events_found": 3, "precision": 0.5, "recall": 0.25, "roc_auc": null });
        let found = faults(&json!({ "labels": labels }));
        let values: Vec<_> = found.iter().map(|figure| (figure.metric, figure.value)).collect();
        assert_eq!(values, [("faults found", 0.75), ("precision of steps", 0.5), ("recall of steps", 0.25)]);
    }
}
