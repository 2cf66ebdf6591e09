//! Files that are either written whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the names of temporary files begin.
const TEMPORARY: &str = ".grulet-";

/// A file or folder that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action}: {source}; {advice}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was tried.
    pub action: &'static str,
    /// What the system said.
    pub source: io::Error,
    advice: &'static str,
}

impl FileError {
    /// `action` on `path` failed.
    pub fn new(path: &Path, action: &'static str, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "change its permissions or choose another folder"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space or choose another folder",
            _ => "check the path and its folder",
        };
        Self { path: path.to_owned(), action, source, advice }
    }
}

/// Writes `path` by way of a temporary file beside it: an existing file stays as it was unless all is written. What is no
/// file, such as `/dev/stdout`, is written to as it is; a link stays a link.
///
/// # Errors
/// If the folder or the file cannot be written.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), FileError> {
    let failed = |source| FileError::new(path, "write", source);
    if std::fs::metadata(path).is_ok_and(|old| !old.is_file() && !old.is_dir()) {
        let device = std::fs::OpenOptions::new().write(true).open(path);
        return device.and_then(|mut device| device.write_all(contents.as_ref())).map_err(failed);
    }
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| end_of_links(path));
    let path = &*target;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    // As of any new file, less what the process's mask takes away.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Of the temporary file's own name, which stands behind the reason, nobody knows.
    let named = |error: io::Error| {
        let text = error.to_string();
        let reason = text.split(" at path ").next().unwrap_or(&text);
        failed(io::Error::new(error.kind(), reason.to_owned()))
    };
    let mut file = builder.prefix(TEMPORARY).tempfile_in(folder).map_err(named)?;
    file.write_all(contents.as_ref()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    #[cfg(unix)]
    if let Ok(old) = std::fs::metadata(path) {
        file.as_file().set_permissions(old.permissions()).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The file that a path names, through links to what is not there yet.
fn end_of_links(path: &Path) -> PathBuf {
    // As many as Linux follows.
    let mut path = path.to_owned();
    for _ in 0..40 {
        let Ok(next) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    path
}

/// Removes what a process that was killed in [`write()`] has left in `folder`.
///
/// # Errors
/// If the folder cannot be read or a file in it not be removed.
pub fn remove_temporary(folder: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::new(folder, "read", source);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes the folder at `path`, with those above it.
///
/// # Errors
/// If it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(|source| FileError::new(path, "make the folder", source))
}

/// Gives a file another name.
///
/// # Errors
/// If it cannot be had.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    std::fs::rename(from, to).map_err(|source| FileError::new(from, "rename", source))
}

/// Removes the file at `path`, if there is one.
///
/// # Errors
/// If it is there and cannot be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(FileError::new(path, "replace", source)),
        _ => Ok(()),
    }
}

/// Reads the file at `path`.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError::new(path, "read", source))
}

/// Whether both are one file, by whatever path. What is no file, such as `/dev/stdout`, takes any number of outputs.
pub fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        (Err(_), Err(_)) => std::path::absolute(a).ok() == std::path::absolute(b).ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, "old").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");

        // A folder of that name cannot be replaced by a file.
        let taken = folder.path().join("folder");
        make_folder(&taken.join("inside")).unwrap();
        let error = write(&taken, "x").unwrap_err();
        assert!(error.to_string().contains("folder: cannot write"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            write(&link, "linked").unwrap();
            assert_eq!(read(&path).unwrap(), b"linked", "a link is followed, not replaced");
        }
        assert!(read(&folder.path().join("none")).unwrap_err().to_string().ends_with("check the path"));
    }
}
