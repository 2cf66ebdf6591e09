//! Many runs with other settings, and a table of which was best on the validation part.
//!
//! In the order that things pass: what is varied (`vary`) → combinations, each checked before anything is trained → runs,
//! one per combination, seed and fold, on several threads (`jobs`) → [`Ranking`], which is `sweep.csv` too (`ranking`).
//!
//! Every run has a folder of its own inside that of the configuration. **If** a folder holds a finished run of the same
//! settings **then** it is not run again. The test part is not used.

mod jobs;
mod ranking;
mod vary;

use std::path::PathBuf;

pub use jobs::Done;
pub use ranking::{Combination, Ranking, Run, quoted};
pub use vary::Axis;

use crate::config::{Config, ConfigError};
use crate::data::DataError;
use crate::files::{self, FileError};
use crate::run::folds::{self, Folds, FoldsError};
use crate::run::{RunError, RunFolder, SWEEP};
use jobs::Job;

/// What a sweep tries.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The configuration.
    pub config: PathBuf,
    /// Settings that all runs have in place of the configuration's.
    pub set: Vec<String>,
    /// Settings that differ.
    pub vary: Vec<Axis>,
    /// So many random combinations; all combinations unless given.
    pub random: Option<usize>,
    /// Seeds that each combination is run with; the configuration's if empty.
    pub seeds: Vec<u64>,
    /// Cross-validation of each combination.
    pub folds: Option<Folds>,
    /// Runs at the same time, each on one thread; as many as there are cores unless given. No result depends on it.
    pub jobs: Option<usize>,
    /// Whether finished runs are run again.
    pub overwrite: bool,
}

/// Why there is no sweep.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// What is varied cannot be read.
    #[error(
        "--vary {text}: {problem}; write --vary 'train.learning_rate=[1e-3, 3e-3]', or --vary train.learning_rate=1e-4..1e-2 with --random"
    )]
    Vary {
        /// The text after `--vary`.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting that a sweep cannot vary.
    #[error("--vary {key}: {problem}")]
    Key {
        /// The setting.
        key: String,
        /// Why not, and what to do.
        problem: &'static str,
    },
    /// A range in a grid.
    #[error("--vary {key}: a range has no end of values; say how many to draw, such as --random 20, or list them")]
    Range {
        /// The setting.
        key: String,
    },
    /// Nothing to rank by.
    #[error("{}: a sweep compares by a validation part; set `data.validation.fraction = 0.1`, or give --folds 5", path.display())]
    NoValidation {
        /// The configuration.
        path: PathBuf,
    },
    /// The configuration, or that of every combination, cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The same with folds.
    #[error(transparent)]
    Folds(#[from] FoldsError),
    /// The data cannot be dealt out to folds.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder of all runs cannot be used.
    #[error(transparent)]
    Folder(Box<RunError>),
    /// The threads cannot be had.
    #[error("--jobs {jobs}: cannot start the threads: {reason}; ask for fewer")]
    Threads {
        /// Threads asked for.
        jobs: usize,
        /// What the system said.
        reason: String,
    },
    /// It was to end before its time.
    #[error("interrupted: {done} of {of} runs are finished and kept; the same command goes on (without --overwrite)")]
    Interrupted {
        /// Runs that are finished, earlier ones included.
        done: usize,
        /// All runs.
        of: usize,
    },
    /// No combination is worth a table.
    #[error("all {count} combinations failed; the first: {reason}")]
    AllFailed {
        /// Combinations.
        count: usize,
        /// Why the first one did.
        reason: String,
    },
}

/// Settings, or whole tables of them, that are the sweep's own, or that make validation losses of different kinds.
const NOT_VARIED: [(&str, &str); 25] = [
    ("seed", "give the seeds as --seeds 1,2,3: each combination is run with all of them"),
    ("train.run_dir", "every run has a folder of its own already; --set train.run_dir=… says where"),
    ("train.threads", "every run has one thread; --jobs says how many run at a time"),
    ("data.test", "the test part is not used by a sweep"),
    ("train.loss", "other losses cannot be compared; run a sweep for each, with --set train.loss=…"),
    ("data.normalize_targets", "losses of other units cannot be compared; set it for all with --set"),
    ("train.init", "losses in the units of other models cannot be compared; set it for all with --set"),
    ("data.target_transform", "losses of other units cannot be compared; set it for all with --set"),
    ("data.npz.y_scale", "losses of other units cannot be compared; set it for all with --set"),
    ("data.npz.y", "losses on other targets cannot be compared; set it for all with --set"),
    ("data.csv.label", "losses on other targets cannot be compared; set it for all with --set"),
    ("data.npz.y_lengths", "losses on other targets cannot be compared; set it for all with --set"),
    ("data.csv.target", "losses on other targets cannot be compared; set it for all with --set"),
    ("data.tokens", "losses on other targets cannot be compared; set it for all with --set"),
    ("data.horizon", "losses on other targets cannot be compared; set it for all with --set"),
    ("model.output", "losses on other targets cannot be compared; set it for all with --set"),
    ("data.train", "losses on other data cannot be compared; set it for all with --set"),
    ("data.npz.weight", "losses of other weights cannot be compared; set it for all with --set"),
    ("data.csv.weight", "losses of other weights cannot be compared; set it for all with --set"),
    ("data.npz.lengths", "losses on other examples cannot be compared; set it for all with --set"),
    ("data.csv.series", "losses on other examples cannot be compared; set it for all with --set"),
    ("data.csv.time", "losses on other examples cannot be compared; set it for all with --set"),
    ("data.npz.group", "losses on other examples cannot be compared; set it for all with --set"),
    ("data.csv.group", "losses on other examples cannot be compared; set it for all with --set"),
    ("data.validation", "losses on other examples cannot be compared; set it for all with --set, or give --folds"),
];

/// Settings that may be varied, though they change which steps of the validation part are scored, and how often.
pub const SCORED_STEPS: [&str; 4] = ["data.window", "data.stride", "train.ignore_steps", "train.stateful"];

impl Sweep {
    /// Runs all that has not been run yet, tells `watch` of each, and writes `sweep.csv`. Ends early once `interrupted` says so.
    ///
    /// # Errors
    /// If nothing can be run, or all combinations fail. One that fails while others do not is in the ranking, with its reason.
    pub fn run(
        &self,
        watch: &mut (dyn FnMut(&Done<'_>) + Send),
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Ranking, SweepError> {
        for (index, axis) in self.vary.iter().enumerate() {
            let refuse = |problem| Err(SweepError::Key { key: axis.key.clone(), problem });
            let fixed =
                |key: &str| axis.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            if let Some((_, problem)) = NOT_VARIED.iter().find(|(key, _)| fixed(key)) {
                return refuse(problem);
            }
            if self.vary[..index].iter().any(|other| other.key == axis.key) {
                return refuse("is given twice; write all its values into one list");
            }
            let key_of = |set: &String| set.split('=').next().is_some_and(|key| key.trim() == axis.key);
            if self.set.iter().any(key_of) {
                return refuse("is given by --set too, which would not count; leave it out there");
            }
        }
        let base = self.load(&[])?;
        let combinations = match self.random {
            Some(count) => vary::draw(&self.vary, count, base.seed),
            None => vary::grid(&self.vary)?,
        };
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        seeds.dedup();
        if seeds.is_empty() {
            seeds.push(base.seed);
        }

        let folder = &base.train.run_dir;
        let (mut jobs, mut refused) = (Vec::new(), Vec::new());
        for (combination, settings) in combinations.iter().enumerate() {
            let runs = match self.runs(settings) {
                Ok(runs) => runs,
                Err(error) => {
                    refused.push((combination, error));
                    continue;
                }
            };
            for &seed in &seeds {
                for (fold, config) in &runs {
                    let folder = folder.join(folder_name(settings, seed, *fold));
                    jobs.push(Job::new(combination, seed, *fold, config, folder));
                }
            }
        }
        if jobs.is_empty() && !refused.is_empty() {
            return Err(refused.remove(0).1);
        }
        self.check_folds(&jobs)?;
        let _folder = RunFolder::claim(folder, SWEEP).map_err(|error| SweepError::Folder(Box::new(error)))?;
        let threads = self.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        if self.overwrite {
            // All at once, so that nothing of before passes for finished after an interruption.
            for job in &jobs {
                RunFolder::discard(&job.config.train.run_dir).map_err(|error| SweepError::Folder(Box::new(error)))?;
            }
        }
        let runs = jobs::run_all(jobs, threads, self.overwrite, watch, interrupted)?;
        let refused = refused.into_iter().map(|(combination, error)| (combination, error.to_string())).collect();
        let ranking = Ranking::of(&self.set, combinations, refused, runs);
        files::write(&folder.join("sweep.csv"), ranking.to_csv())?;
        match ranking.combinations.first() {
            Some(Combination { failed: Some(reason), .. }) => {
                Err(SweepError::AllFailed { count: ranking.combinations.len(), reason: reason.clone() })
            }
            _ => Ok(ranking),
        }
    }

    /// Looks for a fold that holds out all examples of a class, before anything is trained: no combination could have it, unless
    /// they differ in their data. What else may keep a run from starting is its own.
    fn check_folds(&self, jobs: &[Job]) -> Result<(), SweepError> {
        let Some(Folds { count, .. }) = self.folds else { return Ok(()) };
        if self.vary.iter().any(|axis| axis.key.starts_with("data.")) {
            return Ok(());
        }
        let first: Vec<Config> = jobs
            .iter()
            .take_while(|job| job.combination == jobs[0].combination)
            .map(|job| job.config.clone())
            .collect();
        for of_seed in first.chunks(count) {
            if let Err(error @ FoldsError::EmptyClass { .. }) = folds::check(of_seed, self.overwrite) {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The configuration with `settings` laid over it.
    fn load(&self, settings: &[String]) -> Result<Config, SweepError> {
        let set = [&self.set, settings].concat();
        match &self.folds {
            Some(folds) => Ok(folds::load(&self.config, &set, folds)?),
            None => Ok(Config::load(&self.config, &set)?),
        }
    }

    /// The runs of one combination, with their numbers where they are folds.
    fn runs(&self, settings: &[String]) -> Result<Vec<(Option<usize>, Config)>, SweepError> {
        let config = self.load(settings)?;
        if config.data.validation.is_none() {
            return Err(SweepError::NoValidation { path: self.config.clone() });
        }
        let Some(folds) = &self.folds else { return Ok(vec![(None, config)]) };
        Ok((1..).map(Some).zip(folds::split(&config, folds.count)?).collect())
    }
}

/// The name of a run's folder: its settings, which say all about it.
fn folder_name(settings: &[String], seed: u64, fold: Option<usize>) -> String {
    /// Longer ones, or with more to it than a file system takes everywhere, are told apart by a hash.
    const LONGEST: usize = 120;
    let mut parts = settings.to_vec();
    parts.sort_unstable();
    let settings = parts.join(",");
    let plain = |letter: char| letter.is_ascii_alphanumeric() || ".,=+-_".contains(letter);
    let mut name: String = settings.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    if name != settings || name.len() > LONGEST {
        name.truncate(LONGEST);
        name += &format!("~{:016x}", fnv1a(settings.as_bytes()));
    }
    let fold = fold.map_or_else(String::new, |fold| format!(",fold={fold}"));
    format!("{name},seed={seed}{fold}")
}

/// The hash FNV-1a (Fowler, Noll and Vo 1991), whose values never change.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_name_says_what_it_holds_whatever_the_order() {
        let settings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let name = |list: &[&str]| folder_name(&settings(list), 3, None);
        assert_eq!(name(&["b.c=8", "a=1e-3"]), "a=1e-3,b.c=8,seed=3");
        assert_eq!(folder_name(&settings(&["a=1"]), 1, Some(2)), "a=1,seed=1,fold=2");
        // Only the hash tells these apart.
        let (one, other) = (name(&["a=[0.1, 0.2]"]), name(&["a=(0.1, 0.2)"]));
        assert!(one != other && one.starts_with("a=_0.1,_0.2_~") && other.starts_with("a=_0.1,_0.2_~"), "{one}");
        let long = |end: &str| name(&[&format!("a={}{end}", "x".repeat(300))]);
        assert!(long("1") != long("2") && long("1").len() < 200);
        // The published test vector for "foobar".
        assert_eq!(fnv1a(b"foobar"), 0x85944171f73967e8);
    }
}
