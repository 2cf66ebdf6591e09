//! One process at a time in a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};

use super::RunError;
use crate::files::FileError;

/// A locked file in a folder, which is this process's until it is dropped. **If** the process is killed **then** the system
/// unlocks the file, and the next process takes it over.
pub(crate) struct Lock {
    path: PathBuf,
    /// Open for as long as it is locked.
    _file: File,
}

impl Lock {
    /// Locks the file `name` in `folder`, which is there.
    ///
    /// # Errors
    /// If another process has locked it, or it cannot be made.
    pub fn take(folder: &Path, name: &str) -> Result<Self, RunError> {
        let path = folder.join(name);
        let failed = |source| FileError::new(&path, "lock", source);
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
            match FileExt::try_lock(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(RunError::Locked { path: folder.to_owned() }),
                // A file system without locks: better no protection than no training.
                Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(source)) => return Err(failed(source).into()),
            }
            // A process that was just ending may have removed the file before it was locked here: it protects nothing then.
            if is_at(&file, &path) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked. A file that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the open file is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |data: fs::Metadata| (data.dev(), data.ino());
    matches!((file.metadata().map(place), fs::metadata(path).map(place)), (Ok(own), Ok(other)) if own == other)
}

/// Whether there is a file at `path`.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let take = |name| Lock::take(folder.path(), name);
        let lock = take("a").unwrap();
        let error = take("a").err().unwrap().to_string();
        assert!(error.contains("another process is training into it"), "{error}");
        drop(take("b").unwrap());
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // What a killed process has left is taken over.
        fs::write(folder.path().join("a"), "").unwrap();
        drop(take("a").unwrap());

        // A file that is no longer there is no lock.
        let path = folder.path().join("a");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path));
    }
}
