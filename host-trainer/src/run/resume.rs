//! Going on with a run that was interrupted.
//!
//! An epoch ends with a row in `log.csv`, then `best.ckpt` if it is the best, then `last.ckpt`, each written whole. A run is
//! therefore as far as its `last.ckpt`; a later row is dropped, and a later `best.ckpt` is what the repeated epoch will
//! write again. Orders, noise and masks follow from the seed and the epoch's number; what patience and the schedule remember
//! follows from the scores in the log.

use std::path::PathBuf;
use std::time::Instant;

use grulet::BitHash;

use super::{Log, Progress, Report, RunError, RunFolder, Training, as_read, finish};
use crate::checkpoint::{Checkpoint, Origin};
use crate::config::{Config, Schedule};
use crate::data::{self, Prepared};
use crate::files;

/// Goes on with the run in `config.train.run_dir`, whose own `config` this is, but for more `train.epochs` or other
/// `train.threads`. None if there is nothing to do.
///
/// # Errors
/// If the folder has no checkpoint to go on from, or data or settings are not those that the run began with; else as
/// [`train`](super::train).
pub fn resume(config: &Config, progress: &mut dyn Progress) -> Result<Option<Report>, RunError> {
    let start = Instant::now();
    let folder = RunFolder::open(&config.train.run_dir)?;
    let path = folder.file("last.ckpt");
    if !path.exists() {
        let problem =
            "there is no last.ckpt: it has not got to the end of an epoch; start it again with `grulet train`";
        return Err(RunError::Resume { path: config.train.run_dir.clone(), problem: problem.to_owned() });
    }
    let last = Checkpoint::load(&path)?;
    let best = Checkpoint::load(&folder.file("best.ckpt"))?;
    let data = data::prepare(config)?;
    let mut training = Training::new(config, &data)?;
    training.go_to(&folder, last, best)?;
    super::go_on(config, training.trained(), progress)?;
    if folder.is_finished() && training.epochs().is_empty() {
        return Ok(None);
    }

    folder.reopen()?;
    files::write(&folder.file("config.toml"), as_read(config, &data).to_toml())?;
    let epochs = training.trained();
    let log = Log::reopen(&folder.file("log.csv"), epochs)?;
    progress.start(config, &data);
    progress.resumed(epochs);
    finish(training, folder, log, start, progress).map(Some)
}

/// What decides the weights of a run, but for its length.
pub(super) fn origin(config: &Config, data: &Prepared) -> Origin {
    let mut settings = as_read(config, data);
    // Data have a hash of their own, wherever they lie.
    settings.data.train = PathBuf::new();
    settings.data.test = None;
    if let Some(validation) = &mut settings.data.validation {
        validation.file = None;
    }
    (settings.train.run_dir, settings.train.threads) = (PathBuf::new(), None);
    settings.train.init = settings.train.init.map(|_| PathBuf::new());
    if settings.train.schedule != Schedule::Cosine {
        settings.train.epochs = 0;
    }
    let mut hash = BitHash::new();
    for series in data.train.series.iter().chain(data.validation.iter().flat_map(|part| &part.series)) {
        hash.update(&[f32::from_bits(series.x.len() as u32)]);
        hash.update(&series.x);
        hash.update(&series.targets);
        hash.update(&series.weights);
    }
    // The weights that it begins with count, wherever they lie.
    hash.update(data.initial.as_deref().unwrap_or(&[]));
    Origin { settings: grulet::blob::checksum(settings.to_toml().as_bytes()), data: hash.finish() }
}

impl Training<'_> {
    /// Epochs that are trained.
    pub(super) fn trained(&self) -> usize {
        self.rows.as_ref().map_or(0, |(_, last)| last.epoch)
    }

    /// Goes to the end of the epoch in which `last` was made; `best` is the best until then, or later.
    fn go_to(&mut self, folder: &RunFolder, last: Checkpoint, best: Checkpoint) -> Result<(), RunError> {
        self.is_of(&last).map_err(|what| RunError::Resume {
            path: folder.file("last.ckpt"),
            problem: format!("{what}; put back what it began with, or train anew with `--overwrite`"),
        })?;
        let (epochs, wanted) = (last.epoch as usize, self.config.train.epochs);
        let trained = last.epoch.max(best.epoch) as usize;
        if trained > wanted {
            let problem = format!("`train.epochs` is {wanted}, but {trained} are trained; give as many or more");
            return Err(RunError::Resume { path: folder.file("last.ckpt"), problem });
        }
        let monitor = self.config.train.monitor;
        let log = folder.file("log.csv");
        let rows = Log::rows(&log, epochs)?.unwrap_or_default();
        let Some(logged) = rows.last().filter(|row| same(row.value(monitor), last.value)) else {
            let problem = format!("its first {epochs} rows are not those of last.ckpt; train anew with `--overwrite`");
            return Err(RunError::Resume { path: log, problem });
        };
        let first = &rows[0];
        let chosen =
            rows.iter().fold(
                first,
                |best, row| {
                    if monitor.improves(row.value(monitor), best.value(monitor)) { row } else { best }
                },
            );
        if best.origin != last.origin || best.epoch <= last.epoch && best.epoch as usize != chosen.epoch {
            let (chosen, logged) = (chosen.epoch, logged.epoch);
            let problem = format!(
                "is not that of epoch {chosen}, the best of {logged} in log.csv; train anew with `--overwrite`"
            );
            return Err(RunError::Resume { path: folder.file("best.ckpt"), problem });
        }
        rows.into_iter().for_each(|row| self.epoch_ends(row));
        self.trainer.network_mut().params_mut().copy_from_slice(&last.params);
        (self.optimizer, self.card, self.best) = (last.optimizer, last.card, Some(best));
        // A checkpoint's parameters are their average, if there is one.
        self.optimizer.swap_average(self.trainer.network_mut().params_mut());
        Ok(())
    }

    /// Whether a checkpoint is of this run; else what tells that it is not.
    fn is_of(&self, checkpoint: &Checkpoint) -> Result<(), String> {
        let (found, own) = (checkpoint.params.len(), self.trainer.network().params().len());
        if checkpoint.card.layers != self.data.layers || found != own {
            return Err(format!("its layers ({found} parameters) are not those of config.toml and the data ({own})"));
        }
        let (found, own) = (checkpoint.optimizer.rule(), self.optimizer.rule());
        if found != own {
            return Err(format!("its optimiser is {found:?}, but that of config.toml is {own:?}"));
        }
        if checkpoint.origin.data != self.origin.data {
            let data = self.config.data.train.display();
            let init = self.config.train.init.as_ref().map_or("", |_| ", or the weights of `train.init`,");
            return Err(format!("the training or validation data{init} are not those that it was made with ({data})"));
        }
        if checkpoint.origin.settings != self.origin.settings {
            let cosine = match self.config.train.schedule {
                Schedule::Cosine => ", of which a cosine schedule makes `train.epochs` one",
                _ => "",
            };
            return Err(format!("the settings are not those that it was made with{cosine}"));
        }
        Ok(())
    }
}

/// Whether a value is what it was before it was written as text.
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}
