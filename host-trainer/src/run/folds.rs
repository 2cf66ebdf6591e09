//! Cross-validation: several runs, each with another part of the training data as validation part.
//!
//! **If** the series have groups **then** whole groups are held out; **if not**, series are dealt out by the seed. The test
//! part is not used. Every fold is a run in a folder `fold_1`, `fold_2`, … inside that of the configuration, where
//! `folds.json` has the [`CrossValidation`]. **If** such a folder holds a run of the same settings **then** it is kept where it
//! is finished, and else goes on after its last whole epoch.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::folder::{FOLDS, RunFolder};
use super::{Outcome, Progress, RunError, Spread, plan, resume, train};
use crate::config::{Config, ConfigError, Group, Validation};
use crate::data::{self, DataError, FileKind, Part, ReadOptions};
use crate::files::{self, FileError};

/// How training data are dealt out.
#[derive(Clone, Debug, PartialEq)]
pub struct Folds {
    /// How many parts.
    pub count: usize,
    /// The column (`.csv`) or array (`.npz`) of groups, in place of the configuration's.
    pub group: Option<String>,
}

/// Why there is no cross-validation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldsError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data cannot be dealt out.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing to compare.
    #[error("--folds {count}: cross-validation needs at least 2 folds; try --folds 5")]
    TooFew {
        /// Folds asked for.
        count: usize,
    },
    /// A validation part beside those of the folds.
    #[error("{}: [data.validation] is given, but --folds chooses the validation parts itself; take out one of the two",
        path.display())]
    Validation {
        /// The configuration.
        path: PathBuf,
    },
    /// The folder of all folds cannot be used.
    #[error(transparent)]
    Folder(Box<RunError>),
    /// All examples of a class are held out at once.
    #[error("fold {number}: {}: no example of class {class:?} is left in the training part; add examples of it, take the \
        class out, or deal the series out otherwise, by another --folds, --group or --set seed=…", path.display())]
    EmptyClass {
        /// The fold, from 1.
        number: usize,
        /// The training file.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// It was to end before its time.
    #[error(
        "fold {number}: interrupted in epoch {epoch}: all before it is kept; the same command goes on (without --overwrite)"
    )]
    Interrupted {
        /// The fold, from 1.
        number: usize,
        /// The epoch in it, from 1.
        epoch: usize,
    },
    /// A run of a fold failed.
    #[error("fold {number}: {source}")]
    Fold {
        /// The fold, from 1.
        number: usize,
        /// Why.
        source: Box<RunError>,
    },
}

/// What came of a cross-validation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CrossValidation {
    /// The configuration's name.
    pub name: String,
    /// The seed of every fold.
    pub seed: u64,
    /// The folds.
    pub folds: Vec<Fold>,
    /// Over the best epochs of all folds.
    pub best: Spread,
    /// Over the last epochs of all folds.
    pub last: Spread,
}

/// One fold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fold {
    /// Its number, from 1.
    pub number: usize,
    /// The groups that it holds out; empty where it holds out series without groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The folder of its run.
    pub folder: PathBuf,
    /// Its scores on what it holds out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Loads a configuration without validation part for [`split`] and [`cross_validate`]: it gets the first of the folds, so
/// that settings which need a validation part, such as `train.patience`, have one.
///
/// # Errors
/// If the configuration cannot be used, has a validation part, or if there are fewer than two folds.
pub fn load(path: &Path, overrides: &[String], folds: &Folds) -> Result<Config, FoldsError> {
    if folds.count < 2 {
        return Err(FoldsError::TooFew { count: folds.count });
    }
    // What else is wrong with it comes out below.
    if Config::load(path, overrides).is_ok_and(|config| config.data.validation.is_some()) {
        return Err(FoldsError::Validation { path: path.to_owned() });
    }
    let first = format!("data.validation.fold=[1, {}]", folds.count);
    let mut config = Config::load(path, &[overrides, &[first]].concat())?;
    if let Some(column) = &folds.group {
        let group = match FileKind::of(&config.data.train) {
            Some(FileKind::Npz) => &mut config.data.npz.group,
            _ => &mut config.data.csv.group,
        };
        *group = Some(column.clone());
    }
    Ok(config)
}

/// The runs of a cross-validation of a configuration from [`load`].
///
/// # Errors
/// If the training file cannot be read, or has fewer groups or series than there are folds.
pub fn split(config: &Config, count: usize) -> Result<Vec<Config>, DataError> {
    let mut config = config.clone();
    let path = &config.data.train;
    let data = data::read(path, &ReadOptions { targets: None, ..ReadOptions::new(&config, Part::Train) })?;
    let parts: Vec<Validation> = if data.series.iter().any(|series| series.group.is_some()) {
        let groups = data::deal_groups(&data, path, count)?;
        groups.into_iter().map(|groups| Validation { groups: Some(groups), ..Validation::default() }).collect()
    } else {
        // Whether there are enough series for all of them.
        data::split_fold(data, path, [1, count], config.seed)?;
        (1..=count).map(|number| Validation { fold: Some([number, count]), ..Validation::default() }).collect()
    };
    config.data.test = None;
    let run = |(index, part): (usize, Validation)| {
        let mut run = config.clone();
        run.data.validation = Some(part);
        run.train.run_dir.push(format!("fold_{}", index + 1));
        run
    };
    Ok(parts.into_iter().enumerate().map(run).collect())
}

/// Whether all runs of a cross-validation can start; those that are finished are not looked at, unless they are to be
/// overwritten.
///
/// # Errors
/// What would keep the first of those that cannot from starting.
pub(crate) fn check(runs: &[Config], overwrite: bool) -> Result<(), FoldsError> {
    for (number, run) in (1..).zip(runs) {
        if overwrite || Outcome::earlier(run).is_none() {
            plan::check(run).map_err(|error| failed(number, error))?;
        }
    }
    Ok(())
}

/// Trains all folds of a configuration from [`load`], one after the other, but for those that are finished; with `overwrite`,
/// those too.
///
/// # Errors
/// Whatever goes wrong with the data or a run; the folds before it stay.
pub fn cross_validate(
    config: &Config,
    count: usize,
    overwrite: bool,
    progress: &mut dyn Progress,
) -> Result<CrossValidation, FoldsError> {
    let runs = split(config, count)?;
    let _folder =
        RunFolder::claim(&config.train.run_dir, FOLDS).map_err(|error| FoldsError::Folder(Box::new(error)))?;
    for (number, run) in (1..).zip(&runs) {
        if !overwrite && RunFolder::is_occupied(&run.train.run_dir) && !RunFolder::is_of(run) {
            return Err(failed(number, RunError::Occupied { path: run.train.run_dir.clone() }));
        }
    }
    // A fold that cannot be had is told before hours are spent on the others.
    check(&runs, overwrite)?;
    let result = config.train.run_dir.join("folds.json");
    files::remove(&result)?;
    if overwrite {
        // All at once, so that nothing of before passes for finished after an interruption.
        for (number, run) in (1..).zip(&runs) {
            RunFolder::discard(&run.train.run_dir).map_err(|error| failed(number, error))?;
        }
    }
    let mut folds = Vec::with_capacity(count);
    for (number, run) in (1..).zip(runs) {
        let outcome = match Outcome::earlier(&run) {
            Some(outcome) => {
                progress.fold_kept(number, count);
                outcome
            }
            None => {
                progress.fold(number, count);
                let ended = if RunFolder::is_occupied(&run.train.run_dir) {
                    resume(&run, progress).map(drop)
                } else {
                    train(&run, false, progress).map(drop)
                };
                ended.map_err(|error| failed(number, error))?;
                Outcome::read(&run.train.run_dir)?
            }
        };
        let groups = run.data.validation.and_then(|validation| validation.groups).unwrap_or_default();
        folds.push(Fold { number, groups, outcome, folder: run.train.run_dir });
    }
    let spread = |of: fn(&Outcome) -> &_| Spread::of(&folds.iter().map(|fold| of(&fold.outcome)).collect::<Vec<_>>());
    let all = CrossValidation {
        name: config.name.clone(),
        seed: config.seed,
        best: spread(|outcome| &outcome.best),
        last: spread(|outcome| &outcome.last),
        folds,
    };
    files::write(&result, all.to_json())?;
    Ok(all)
}

/// The error of a fold.
fn failed(number: usize, error: RunError) -> FoldsError {
    match error {
        // There is no `data.validation` to change.
        RunError::Data(DataError::EmptyClass { path, class }) => FoldsError::EmptyClass { number, path, class },
        // The run alone could go on by itself, but then the others would be missing.
        RunError::Interrupted { epochs, .. } => FoldsError::Interrupted { number, epoch: epochs + 1 },
        error => FoldsError::Fold { number, source: Box::new(error) },
    }
}

impl CrossValidation {
    /// The result as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a result is plain data") + "\n"
    }
}
