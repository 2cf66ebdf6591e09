//! The folder of a run while the run goes on.

use std::path::{Path, PathBuf};

use super::RunError;
use crate::files;

/// Everything that a run writes.
const FILES: [&str; 8] = [
    "config.toml",
    "log.csv",
    "best.ckpt",
    "last.ckpt",
    "best_int8.ckpt",
    "model.gru",
    "model_int8.gru",
    "report.json",
];

/// What a run writes when all epochs are trained. The report is the last of them, and the first to go.
const RESULTS: [&str; 4] = ["report.json", "model.gru", "model_int8.gru", "best_int8.ckpt"];

/// The folder of a run. **If** it is dropped before [`RunFolder::keep`] **then** what the run has written is removed, with
/// the folders that it made.
pub(super) struct RunFolder {
    path: PathBuf,
    /// The folders that were not there before, innermost first.
    made: Vec<PathBuf>,
    keep: bool,
}

impl RunFolder {
    /// Whether there is a run at `path` that has got as far as a checkpoint.
    pub fn is_occupied(path: &Path) -> bool {
        path.join("last.ckpt").exists()
    }

    /// Makes the folder, and clears away an earlier run, so that its files do not pass for those of this one.
    pub fn make(path: &Path) -> Result<Self, RunError> {
        let new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let made = path.ancestors().take_while(new).map(Path::to_owned).collect();
        let folder = Self { path: path.to_owned(), made, keep: false };
        files::make_folder(path)?;
        files::remove_temporary(path)?;
        for name in FILES {
            files::remove(&path.join(name))?;
        }
        Ok(folder)
    }

    /// The folder of a run that is to go on, as it is.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), made: Vec::new(), keep: true }
    }

    /// Whether the run has got to its end.
    pub fn is_finished(&self) -> bool {
        self.file("report.json").exists()
    }

    /// Removes what the run has come to, and what a killed process has left: epochs follow.
    pub fn reopen(&self) -> Result<(), RunError> {
        files::remove_temporary(&self.path)?;
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

    /// There is something worth keeping.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // The run has failed already, for a reason that it will tell; this is only tidying up.
        for name in FILES {
            let _ = std::fs::remove_file(self.path.join(name));
        }
        for folder in &self.made {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
