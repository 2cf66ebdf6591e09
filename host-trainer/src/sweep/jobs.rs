//! The runs of a sweep, several at a time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::SweepError;
use crate::config::Config;
use crate::data::Prepared;
use crate::run::{self, EpochLog, Outcome, Progress, RunError};

/// A run to be done.
pub(super) struct Job {
    /// Number of its combination.
    pub combination: usize,
    pub seed: u64,
    pub fold: Option<usize>,
    pub config: Config,
}

/// Whether the sweep shall end before its time.
pub(super) type Interrupted<'a> = &'a (dyn Fn() -> bool + Sync);

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

    /// None if it was interrupted.
    fn run(&self, interrupted: Interrupted<'_>) -> Option<Result<Outcome, String>> {
        if interrupted() {
            return None;
        }
        match run::train(&self.config, true, &mut Silent { interrupted }) {
            Ok(_) => Some(Outcome::read(self.folder()).map_err(|error| error.to_string())),
            Err(RunError::Interrupted { .. }) => None,
            Err(error) => Some(Err(error.to_string())),
        }
    }
}

/// Does all jobs on so many threads, and tells `watch` of each when it is done. The results are in the order of the jobs.
///
/// Once `interrupted` says so, runs under way end before their next batch, no other begins, and an error says how many are done.
pub(super) fn run_all(
    jobs: Vec<Job>,
    threads: usize,
    overwrite: bool,
    watch: &mut (dyn FnMut(&Done<'_>) + Send),
    interrupted: Interrupted<'_>,
) -> Result<Vec<Ended>, SweepError> {
    let failed = |error: rayon::ThreadPoolBuildError| SweepError::Threads { jobs: threads, reason: error.to_string() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.min(jobs.len())).build().map_err(failed)?;
    let of = jobs.len();
    let watch = Mutex::new((0, watch));
    let run = |job: Job| {
        let earlier = if overwrite { None } else { Outcome::earlier(&job.config) };
        let kept = earlier.is_some();
        let result = match earlier {
            Some(outcome) => Ok(outcome),
            None => job.run(interrupted)?,
        };
        // Whoever has panicked ends the sweep anyway.
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.0 += 1;
        let done = Done { count: watch.0, of, folder: job.folder(), result: &result, kept };
        (watch.1)(&done);
        drop(watch);
        Some((job, result))
    };
    let ended: Vec<Option<Ended>> = pool.install(|| jobs.into_par_iter().with_max_len(1).map(run).collect());
    let done = ended.iter().flatten().filter(|(_, result)| result.is_ok()).count();
    ended.into_iter().collect::<Option<_>>().ok_or(SweepError::Interrupted { done, of })
}

/// Nobody watches.
struct Silent<'a> {
    interrupted: Interrupted<'a>,
}

impl Progress for Silent<'_> {
    fn start(&mut self, _: &Config, _: &Prepared) {}
    fn batch(&mut self, _: usize, _: usize, _: f64) {}
    fn epoch(&mut self, _: &EpochLog) {}
    fn stopped(&mut self, _: usize, _: u32) {}
    fn integers(&mut self, _: usize, _: f64) {}
    fn interrupted(&self) -> bool {
        (self.interrupted)()
    }
}
