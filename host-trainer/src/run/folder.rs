//! The folder of a run while the run goes on.

use std::path::{Path, PathBuf};

use super::RunError;
use super::lock::Lock;
use crate::config::{Config, Names};
use crate::files;

/// Everything that a run writes. What tells that there is a run is set aside first, and brought back last: a process that is
/// killed on the way leaves no half of one that passes for a whole.
pub(crate) const FILES: [&str; 8] = [
    "last.ckpt",
    "config.toml",
    "log.csv",
    "best.ckpt",
    "best_int8.ckpt",
    "model.gru",
    "model_int8.gru",
    "report.json",
];

/// What a run writes when all epochs are trained. The report is the last of them, and the first to go.
const RESULTS: [&str; 4] = ["report.json", "model.gru", "model_int8.gru", "best_int8.ckpt"];

/// The folder of a run, in which no other process trains. **If** it is dropped before [`RunFolder::keep`] **then** what the run
/// has written is removed, with the folders that it made, and an earlier run comes back.
pub(crate) struct RunFolder {
    path: PathBuf,
    /// The folders that were not there before, innermost first.
    made: Vec<PathBuf>,
    lock: Option<Lock>,
    /// A process was killed in it.
    abandoned: bool,
    /// What is there is of this run.
    cleared: bool,
    keep: bool,
}

/// The names of the locked files of those that write different files, and may share a folder.
pub(crate) const RUN: &str = ".lock";
pub(crate) const FOLDS: &str = ".folds.lock";
pub(crate) const SWEEP: &str = ".sweep.lock";

impl RunFolder {
    /// Whether there is a run at `path` that has got as far as a checkpoint.
    pub fn is_occupied(path: &Path) -> bool {
        path.join("last.ckpt").exists()
    }

    /// Whether the run in the folder of `config`, finished or not, has its settings.
    pub fn is_of(config: &Config) -> bool {
        let path = config.train.run_dir.join("config.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { return false };
        let Ok(earlier) = Config::parse(&path, &text, &[] as &[&str]) else { return false };
        let mut config = config.clone();
        // A run notes the classes and columns that it has found in the data.
        if !matches!(config.data.classes, Some(Names::List(_))) {
            config.data.classes = earlier.data.classes;
        }
        config.data.csv.features = config.data.csv.features.or(earlier.data.csv.features);
        config.to_toml() == text
    }

    /// Removes the run at `path`, if there is one, but for what is not a run's.
    pub fn discard(path: &Path) -> Result<(), RunError> {
        if path.is_dir() {
            let mut folder = Self::claim(path, RUN)?;
            folder.clear()?;
            folder.keep();
        }
        Ok(())
    }

    /// Makes the folder, and locks it by a file of that name.
    pub fn claim(path: &Path, lock: &str) -> Result<Self, RunError> {
        let new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let made = path.ancestors().take_while(new).map(Path::to_owned).collect();
        let abandoned = path.join(lock).exists();
        let mut folder = Self { path: path.to_owned(), made, lock: None, abandoned, cleared: false, keep: false };
        files::make_folder(path)?;
        folder.lock = Some(Lock::take(path, lock)?);
        Ok(folder)
    }

    /// Refuses a folder with an earlier run, or with a file of somebody else's that the run would replace. What a process has
    /// left that was killed before its first checkpoint may be replaced.
    pub fn refuse_replacing(&self) -> Result<(), RunError> {
        if Self::is_occupied(&self.path) {
            return Err(RunError::Occupied { path: self.path.clone() });
        }
        match FILES.iter().map(|name| self.path.join(name)).find(|file| file.exists()) {
            Some(path) if !self.abandoned => Err(RunError::InTheWay { path }),
            _ => Ok(()),
        }
    }

    /// Sets an earlier run aside, so that its files do not pass for those of this one, until this one has something to keep.
    /// What was set aside before a process was killed stays so.
    pub fn clear(&mut self) -> Result<(), RunError> {
        self.cleared = true;
        files::remove_temporary(&self.path)?;
        if Self::is_occupied(&self.path) {
            self.forget_earlier();
        }
        for name in FILES {
            let (path, aside) = (self.path.join(name), self.aside(name));
            if aside.exists() {
                files::remove(&path)?;
            } else if path.exists() {
                files::rename(&path, &aside)?;
            }
        }
        Ok(())
    }

    /// Where a file of an earlier run is set aside.
    fn aside(&self, name: &str) -> PathBuf {
        self.path.join(format!(".earlier_{name}"))
    }

    /// The folder of a run that is to go on, as it is.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let lock = path.is_dir().then(|| Lock::take(path, RUN)).transpose()?;
        Ok(Self { path: path.to_owned(), made: Vec::new(), lock, abandoned: false, cleared: false, keep: true })
    }

    /// Whether the run has got to its end.
    pub fn is_finished(&self) -> bool {
        self.file("report.json").exists()
    }

    /// Removes what the run has come to, and what a killed process has left: epochs follow.
    pub fn reopen(&self) -> Result<(), RunError> {
        files::remove_temporary(&self.path)?;
        self.forget_earlier();
        for name in RESULTS {
            files::remove(&self.file(name))?;
        }
        Ok(())
    }

    /// The path of one of the run's files.
    pub fn file(&self, name: &str) -> PathBuf {
        debug_assert!(FILES.contains(&name));
        self.path.join(name)
    }

    /// There is something worth keeping, and an earlier run is not any more.
    pub fn keep(&mut self) {
        if !std::mem::replace(&mut self.keep, true) {
            self.forget_earlier();
        }
    }

    fn forget_earlier(&self) {
        for name in FILES {
            // What stays does no harm.
            let _ = std::fs::remove_file(self.aside(name));
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // The run has failed already, for a reason that it will tell; this is only tidying up.
        if self.cleared && !self.keep {
            for name in FILES.iter().rev() {
                let _ = std::fs::remove_file(self.path.join(name));
                let _ = std::fs::rename(self.aside(name), self.path.join(name));
            }
        }
        drop(self.lock.take());
        // Only those that are empty.
        for folder in &self.made {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
