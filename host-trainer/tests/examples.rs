//! Every example trains, for a few epochs of it, and learns what it is for. `cargo xtask examples` trains them in full.

use std::path::{Path, PathBuf};

use grulet::Blob;
use grulet_trainer::anomaly::{Detector, LabelScores};
use grulet_trainer::config::Config;
use grulet_trainer::data::{self, Part, Prepared};
use grulet_trainer::evaluate::{Scores, predict_stored};
use grulet_trainer::run::{self, EpochLog, Progress, Report};
use tempfile::TempDir;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

struct Silent;

impl Progress for Silent {
    fn start(&mut self, _: &Config, data: &Prepared) {
        assert_eq!(data.warnings, []);
    }
    fn batch(&mut self, _: usize, _: usize, _: f64) {}
    fn stopped(&mut self, _: usize, _: u32) {}
    fn epoch(&mut self, _: &EpochLog) {}
    fn integers(&mut self, _: usize, _: f64) {}
}

/// A run that is over, and its folder for as long as it is looked at.
struct Run {
    config: Config,
    report: Report,
    folder: TempDir,
}

impl Run {
    /// Trains an example with other settings than its own.
    fn train(name: &str, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = format!("train.run_dir={:?}", folder.path().join("run"));
        let settings: Vec<&str> = settings.iter().copied().chain([&run_dir[..]]).collect();
        let config = Config::load(self::folder().join(name), &settings).unwrap();
        let report = run::train(&config, false, &mut Silent).unwrap();
        Run { config, report, folder }
    }

    fn accuracy(&self) -> f64 {
        self.report.test.as_ref().unwrap().accuracy.unwrap()
    }

    fn mse(&self) -> f64 {
        self.report.test.as_ref().unwrap().mse.unwrap()
    }

    /// The test scores of the baseline whose name begins so.
    fn baseline(&self, name: &str) -> &Scores {
        let found = self.report.baselines.iter().find(|baseline| baseline.name.starts_with(name));
        &found.unwrap_or_else(|| panic!("{name} in {:?}", self.report.baselines)).scores
    }
}

/// Each example has one of the tests below.
const TESTED: [&str; 8] = [
    "addition.toml",
    "digits_rows.toml",
    "gait_phase.toml",
    "tutorial.toml",
    "tutorial_learnable.toml",
    "watch_exercises.toml",
    "water_anomaly.toml",
    "water_flow.toml",
];

#[test]
fn every_example_fits_its_data_and_is_on_the_page() {
    let page = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() && name != "README.md" {
            assert!(page.contains(&name), "{name} is not on the page");
        }
        if name.ends_with(".toml") {
            let config = Config::load(&path, &[""; 0]).unwrap();
            let prepared = data::prepare(&config).unwrap_or_else(|error| panic!("{error}"));
            assert!(prepared.test.is_some() && prepared.warnings.is_empty(), "{name}");
            found.push(name);
        }
    }
    found.sort();
    assert_eq!(found, TESTED, "each example needs a test here");
}

#[test]
fn gait_phase_is_foreseen_better_than_by_simple_means() {
    let run = Run::train("gait_phase.toml", &["train.epochs=6"]);
    assert!(run.mse() <= 0.06, "{}", run.mse());
    assert_eq!(run.report.parameters, 946);
    // Figures that others measured on the same walks.
    let (persistence, ridge) = (run.baseline("persistence").mse.unwrap(), run.baseline("ridge").mse.unwrap());
    assert!((persistence - 0.40).abs() < 0.005 && (ridge - 0.126).abs() < 0.003, "{persistence} {ridge}");
}

#[test]
fn exercises_are_told_apart_on_people_not_seen_before() {
    let run = Run::train("watch_exercises.toml", &["train.epochs=10"]);
    assert!(run.accuracy() >= 0.75, "{}", run.accuracy());
    assert!(run.baseline("majority").accuracy.unwrap() < 0.2);
    let logistic = run.baseline("logistic").accuracy.unwrap();
    assert!((logistic - 0.803).abs() < 0.005, "{logistic}");
}

#[test]
fn digits_are_read_row_by_row() {
    let run = Run::train("digits_rows.toml", &["train.epochs=15"]);
    assert!(run.accuracy() > 0.85, "{}", run.accuracy());
    assert!(run.accuracy() > run.baseline("logistic").accuracy.unwrap());
}

#[test]
fn the_tutorials_network_learns_what_can_be_learned() {
    let run = Run::train("tutorial_learnable.toml", &["train.epochs=5"]);
    assert!(run.accuracy() >= 0.93, "{}", run.accuracy());
    assert!(run.accuracy() > run.baseline("logistic").accuracy.unwrap());
    assert_eq!(run.report.parameters, 50_049);

    let run = Run::train("tutorial.toml", &["train.epochs=3"]);
    // 5,000 tosses of a coin: four standard deviations.
    assert!((run.accuracy() - 0.5).abs() < 4.0 * 0.5 / 5000f64.sqrt(), "{}", run.accuracy());
}

#[test]
fn the_flow_of_the_next_hour_is_forecast() {
    let run = Run::train("water_flow.toml", &["train.epochs=60"]);
    let (ridge, persistence) = (run.baseline("ridge").mse.unwrap(), run.baseline("persistence").mse.unwrap());
    assert!(run.mse() < ridge && run.mse() < persistence, "{}", run.mse());
}

#[test]
fn faults_in_the_flow_are_found() {
    let run = Run::train("water_anomaly.toml", &["train.epochs=25"]);
    let bytes = grulet::blob::AlignedBytes::new(&std::fs::read(run.folder.path().join("run/model.gru")).unwrap());
    let header = Blob::parse(bytes.as_ref()).unwrap().header().clone();
    let training = data::training_part(&run.config, &header).unwrap();
    let detector = Detector::fit(&header, &predict_stored(&bytes, &training).unwrap(), &training, 0.99).unwrap();
    let path = run.config.data.test.clone().unwrap();
    let test = data::held_out(&run.config, &header, &path, Part::Test, true).unwrap();
    let sums = detector.sums(&predict_stored(&bytes, &test).unwrap(), &test);
    let labels = data::step_labels(&run.config, &header, &path, Part::Test, "fault").unwrap();
    let scores = LabelScores::of(&detector, &sums, &labels, "none").unwrap();
    // A sensor that is stuck is as good as unseen in a flow that hardly varies; all others are found.
    for kind in scores.kinds.iter().filter(|kind| kind.label != "stuck") {
        assert_eq!(kind.events_found, kind.events, "{kind:?}");
    }
    assert!(scores.precision > 0.6 && scores.roc_auc > Some(0.65), "{scores:?}");
}

#[test]
fn sums_begin_to_be_right() {
    let run = Run::train("addition.toml", &["train.epochs=8", "train.qat_epochs=0"]);
    assert!(run.accuracy() > 0.6, "{}", run.accuracy());
}
