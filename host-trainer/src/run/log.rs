//! What happens during training: for a person to watch, and as a table to keep.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::data::Prepared;
use crate::evaluate::Scores;
use crate::files::FileError;

/// One epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLog {
    /// Its number, from 1.
    pub epoch: usize,
    /// The learning rate of its last step.
    pub learning_rate: f64,
    /// Scores on the training part while it went along.
    pub training: Scores,
    /// Scores on the validation part at its end.
    pub validation: Option<Scores>,
    /// Time that it took.
    pub seconds: f64,
    /// Batches.
    pub steps: usize,
}

/// Watches a run.
pub trait Progress {
    /// Fold `number` of `count` of a cross-validation begins.
    fn fold(&mut self, _number: usize, _count: usize) {}
    /// The data are read, and training begins.
    fn start(&mut self, config: &Config, data: &Prepared);
    /// Batch `batch` of `batches` is done; the mean loss of the epoch so far.
    fn batch(&mut self, batch: usize, batches: usize, loss: f64);
    /// An epoch is done.
    fn epoch(&mut self, row: &EpochLog);
    /// `train.patience` has ended the training after `epoch`; `best` is the one that is exported.
    fn stopped(&mut self, epoch: usize, best: u32);
    /// An epoch of quantisation-aware training is done, 0 for the model before it; the loss of the integers.
    fn integers(&mut self, epoch: usize, loss: f64);
}

impl EpochLog {
    /// Scores by name, those of the validation part with `val_` before them.
    pub fn scores(&self) -> impl Iterator<Item = (String, f64)> {
        let training = self.training.list().map(|(name, value)| (name.to_owned(), value));
        let validation = self.validation.iter().flat_map(Scores::list);
        training.chain(validation.map(|(name, value)| (format!("val_{name}"), value)))
    }
}

/// `log.csv`: one row per epoch, each written out at once.
pub(super) struct Log {
    path: PathBuf,
    writer: csv::Writer<File>,
    empty: bool,
}

impl Log {
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let file = File::create(path).map_err(|source| FileError::new(path, "write", source))?;
        Ok(Self { path: path.to_owned(), writer: csv::Writer::from_writer(file), empty: true })
    }

    pub fn append(&mut self, row: &EpochLog) -> Result<(), FileError> {
        let failed = |source: std::io::Error| FileError::new(&self.path, "write", source);
        if std::mem::take(&mut self.empty) {
            let names = row.scores().map(|(name, _)| name);
            let header =
                std::iter::once("epoch".to_owned()).chain(names).chain(["learning_rate".into(), "seconds".into()]);
            self.writer.write_record(header).map_err(|error| failed(error.into()))?;
        }
        let values = row.scores().map(|(_, value)| value.to_string());
        let rest = [row.learning_rate.to_string(), format!("{:.3}", row.seconds)];
        let record = std::iter::once(row.epoch.to_string()).chain(values).chain(rest);
        self.writer.write_record(record).map_err(|error| failed(error.into()))?;
        self.writer.flush().map_err(failed)
    }
}
