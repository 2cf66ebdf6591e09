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
        for name in FILES {
            files::remove(&path.join(name))?;
        }
        Ok(folder)
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
