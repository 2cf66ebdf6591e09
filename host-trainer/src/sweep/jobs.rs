//! The runs of a sweep, several at a time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::SweepError;
use crate::config::{Config, Names};
use crate::data::Prepared;
use crate::run::{self, EpochLog, Outcome, Progress};

/// A run to be done.
pub(super) struct Job {
    /// Number of its combination.
    pub combination: usize,
    pub seed: u64,
    pub fold: Option<usize>,
    pub config: Config,
}

/// A job and what came of it, or why it failed.
pub(super) type Ended = (Job, Result<Outcome, String>);

/// A run that is done.
pub struct Done<'a> {
    /// How many are done, this one included.
    pub count: usize,
    /// How many there are.
    pub of: usize,
    /// The folder of the run.
    pub folder: &'a Path,
    /// What it says, or why it failed.
    pub result: &'a Result<Outcome, String>,
    /// Whether it was finished already.
    pub kept: bool,
}

impl Job {
    /// A run of `config` in `folder`, on one thread and without the test part.
    pub fn new(combination: usize, seed: u64, fold: Option<usize>, config: &Config, folder: PathBuf) -> Self {
        let mut config = config.clone();
        config.seed = seed;
        config.data.test = None;
        config.train.threads = Some(1);
        config.train.run_dir = folder;
        Self { combination, seed, fold, config }
    }

    fn folder(&self) -> &Path {
        &self.config.train.run_dir
    }

    /// What an earlier run of the same settings says, if it is finished.
    fn earlier(&self) -> Option<Outcome> {
        let text = std::fs::read_to_string(self.folder().join("config.toml")).ok()?;
        let earlier = Config::parse(&self.folder().join("config.toml"), &text, &[] as &[&str]).ok()?;
        let mut config = self.config.clone();
        // A run notes the classes that it has found in the data.
        if !matches!(config.data.classes, Some(Names::List(_))) {
            config.data.classes = earlier.data.classes.clone();
        }
        if config.to_toml() == text { Outcome::read(self.folder()).ok() } else { None }
    }

    fn run(&self) -> Result<Outcome, String> {
        run::train(&self.config, true, &mut Silent).map_err(|error| error.to_string())?;
        Outcome::read(self.folder()).map_err(|error| error.to_string())
    }
}

/// Does all jobs on so many threads, and tells `watch` of each when it is done. The results are in the order of the jobs.
pub(super) fn run_all(
    jobs: Vec<Job>,
    threads: usize,
    overwrite: bool,
    watch: &mut (dyn FnMut(&Done<'_>) + Send),
) -> Result<Vec<Ended>, SweepError> {
    let failed = |error: rayon::ThreadPoolBuildError| SweepError::Threads { jobs: threads, reason: error.to_string() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.min(jobs.len())).build().map_err(failed)?;
    let of = jobs.len();
    let watch = Mutex::new((0, watch));
    let run = |job: Job| {
        let earlier = if overwrite { None } else { job.earlier() };
        let kept = earlier.is_some();
        let result = earlier.map_or_else(|| job.run(), Ok);
        // Whoever has panicked ends the sweep anyway.
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.0 += 1;
        let done = Done { count: watch.0, of, folder: job.folder(), result: &result, kept };
        (watch.1)(&done);
        drop(watch);
        (job, result)
    };
    Ok(pool.install(|| jobs.into_par_iter().with_max_len(1).map(run).collect()))
}

/// Nobody watches.
struct Silent;

impl Progress for Silent {
    fn start(&mut self, _: &Config, _: &Prepared) {}
    fn batch(&mut self, _: usize, _: usize, _: f64) {}
    fn epoch(&mut self, _: &EpochLog) {}
    fn stopped(&mut self, _: usize, _: u32) {}
    fn integers(&mut self, _: usize, _: f64) {}
}
