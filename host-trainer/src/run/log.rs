//! What happens during training: for a person to watch, and as a table to keep.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::config::{Config, Monitor};
use crate::data::Prepared;
use crate::evaluate::Scores;
use crate::files::{self, FileError};

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
    /// Fold `number` of `count` was finished earlier, and is kept.
    fn fold_kept(&mut self, _number: usize, _count: usize) {}
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
    /// The run is not new: it goes on after `epoch`.
    fn resumed(&mut self, _epoch: usize) {}
    /// Whether the run shall end before the next batch.
    fn interrupted(&self) -> bool {
        false
    }
}

impl EpochLog {
    /// The value that the epoch is judged by: that on the validation part, or the training part where there is none.
    pub fn value(&self, monitor: Monitor) -> f64 {
        monitor.of(self.validation.as_ref().unwrap_or(&self.training))
    }

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

    /// Opens the log at `path` at the end of `epochs`, and drops the rows after that, or what there is of them.
    pub fn reopen(path: &Path, epochs: usize) -> Result<Self, FileError> {
        let text = read(path)?;
        let kept: String = text.split_inclusive('\n').take(1 + epochs).collect();
        files::write(path, kept)?;
        let file = File::options().append(true).open(path).map_err(|source| FileError::new(path, "write", source))?;
        Ok(Self { path: path.to_owned(), writer: csv::Writer::from_writer(file), empty: false })
    }

    /// Reads the first rows of the log at `path`, one for each of `epochs`; none if they are not all there.
    pub fn rows(path: &Path, epochs: usize) -> Result<Option<Vec<EpochLog>>, FileError> {
        let text = read(path)?;
        let mut lines = text.split_inclusive('\n').take(1 + epochs).filter_map(|line| line.strip_suffix('\n'));
        let names: Vec<&str> = lines.next().unwrap_or("").split(',').collect();
        let rows: Vec<EpochLog> = lines.zip(1..).map_while(|(line, epoch)| parse(&names, line, epoch)).collect();
        Ok((rows.len() == epochs).then_some(rows))
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
        self.writer.flush().map_err(failed)?;
        // The checkpoint that follows relies on the row.
        self.writer.get_ref().sync_data().map_err(failed)
    }
}

fn read(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|source| FileError::new(path, "read", source))
}

/// The row of an epoch; what it does not tell is 0.
fn parse(names: &[&str], line: &str, epoch: usize) -> Option<EpochLog> {
    let cells: Vec<&str> = line.split(',').collect();
    let value = |name: &str| cells[names.iter().position(|known| *known == name)?].parse::<f64>().ok();
    if cells.len() != names.len() || value("epoch") != Some(epoch as f64) {
        return None;
    }
    Some(EpochLog {
        epoch,
        learning_rate: value("learning_rate")?,
        training: Scores::from_names(value)?,
        validation: Scores::from_names(|name| value(&format!("val_{name}"))),
        seconds: value("seconds")?,
        steps: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, validation: bool) -> EpochLog {
        // Numbers with many digits, and none.
        let scores = |loss: f64| Scores {
            loss,
            sequence_accuracy: None,
            accuracy: Some(0.1 + 0.2),
            mae: Some(1e-300),
            mse: Some(f64::INFINITY),
            r2: Some(-1.0 / 3.0),
        };
        EpochLog {
            epoch,
            learning_rate: 0.1 / epoch as f64,
            training: scores(2f64.sqrt() / epoch as f64),
            validation: validation.then(|| scores(3f64.sqrt())),
            seconds: 0.125,
            steps: 0,
        }
    }

    #[test]
    fn what_is_logged_is_read_with_the_same_bits_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        for validation in [true, false] {
            let rows: Vec<EpochLog> = (1..=4).map(|epoch| row(epoch, validation)).collect();
            let mut log = Log::create(&path).unwrap();
            rows.iter().for_each(|row| log.append(row).unwrap());
            let whole = std::fs::read_to_string(&path).unwrap();
            assert_eq!(Log::rows(&path, 4).unwrap().unwrap(), rows);
            assert_eq!(Log::rows(&path, 2).unwrap().unwrap(), rows[..2]);
            assert!(Log::rows(&path, 5).unwrap().is_none());

            // Cut off anywhere in the third row or behind it, the log of two epochs is there and becomes whole again.
            let second = whole.match_indices('\n').nth(2).unwrap().0 + 1;
            for end in second..whole.len() {
                std::fs::write(&path, &whole[..end]).unwrap();
                assert_eq!(Log::rows(&path, 2).unwrap().unwrap(), rows[..2]);
                let mut log = Log::reopen(&path, 2).unwrap();
                rows[2..].iter().for_each(|row| log.append(row).unwrap());
                assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
            }
            std::fs::write(&path, &whole[..second - 1]).unwrap();
            assert!(Log::rows(&path, 2).unwrap().is_none(), "the second row may be cut off");
        }
    }
}
