//! The examples train as they stand and reach what their page says.

use std::path::{Path, PathBuf};

use grulet_trainer::config::Config;
use grulet_trainer::data::{self, Prepared};
use grulet_trainer::run::{self, EpochLog, Progress, Report};

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

fn train(name: &str) -> Report {
    let runs = tempfile::tempdir().unwrap();
    let set = format!("train.run_dir={:?}", runs.path().join("run"));
    let config = Config::load(folder().join(name), &[set]).unwrap();
    run::train(&config, false, &mut Silent).unwrap()
}

/// The test MSE of the baseline whose name begins so.
fn baseline(report: &Report, name: &str) -> f64 {
    let found = report.baselines.iter().find(|baseline| baseline.name.starts_with(name));
    found.and_then(|baseline| baseline.scores.mse).unwrap_or_else(|| panic!("{name} in {:?}", report.baselines))
}

#[test]
fn every_example_fits_its_data_and_is_on_the_page() {
    let page = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let mut count = 0;
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
            count += 1;
        }
    }
    assert_eq!(count, 7);
}

#[test]
fn gait_phase_is_foreseen_better_than_by_simple_means() {
    let report = train("gait_phase.toml");
    let mse = report.test.as_ref().unwrap().mse.unwrap();
    assert!(mse <= 0.045, "{mse}");
    assert_eq!(report.parameters, 946);
    // Figures that others measured on the same walks.
    let (persistence, ridge) = (baseline(&report, "persistence"), baseline(&report, "ridge"));
    assert!((persistence - 0.40).abs() < 0.005 && (ridge - 0.126).abs() < 0.003, "{persistence} {ridge}");
}

#[test]
fn exercises_are_told_apart_on_people_not_seen_before() {
    let report = train("watch_exercises.toml");
    let accuracy = report.test.as_ref().unwrap().accuracy.unwrap();
    assert!(accuracy >= 0.81, "{accuracy}");
    let [majority, logistic] = &report.baselines[..] else { panic!("{:?}", report.baselines) };
    assert!(majority.scores.accuracy.unwrap() < 0.2 && logistic.name.starts_with("logistic"), "{majority:?}");
    assert!((logistic.scores.accuracy.unwrap() - 0.803).abs() < 0.005, "{logistic:?}");
}

#[test]
fn the_tutorials_network_learns_what_can_be_learned() {
    let report = train("tutorial_learnable.toml");
    let accuracy = report.test.as_ref().unwrap().accuracy.unwrap();
    assert!(accuracy >= 0.95, "{accuracy}");
    assert_eq!(report.parameters, 50_049);

    let report = train("tutorial.toml");
    let accuracy = report.test.as_ref().unwrap().accuracy.unwrap();
    // 5,000 tosses of a coin: four standard deviations.
    assert!((accuracy - 0.5).abs() < 4.0 * 0.5 / 5000f64.sqrt(), "{accuracy}");
}

#[test]
fn tables_train_as_well() {
    let report = train("water_flow.toml");
    let mse = report.test.as_ref().unwrap().mse.unwrap();
    assert!(mse < baseline(&report, "ridge") && mse < baseline(&report, "persistence"), "{mse}");
    let accuracy = train("digits_rows.toml").test.unwrap().accuracy.unwrap();
    assert!(accuracy >= 0.9, "{accuracy}");
}
