//! A `.npz`: a zip archive of `.npy` arrays, stored or deflated.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::error::nearest;
use super::{DataError, NpyArray};

/// An open `.npz`.
#[derive(Debug)]
pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    keys: Vec<String>,
}

impl Npz {
    /// Opens the archive at `path` and lists its arrays.
    ///
    /// # Errors
    /// If there is no such file, or it is not a zip archive.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        // A folder opens like a file and fails on reading only.
        let metadata = file.metadata().map_err(read)?;
        if metadata.is_dir() {
            return Err(read(std::io::ErrorKind::IsADirectory.into()));
        }
        if metadata.len() == 0 {
            return Err(DataError::Empty { path: path.to_owned(), fix: "write it with numpy.savez" });
        }
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| DataError::Corrupt {
            path: path.to_owned(),
            array: String::new(),
            problem: format!("not a readable .npz archive ({error})"),
        })?;
        let keys = archive.file_names().filter_map(Result::ok);
        let keys = keys.filter_map(|name| name.strip_suffix(".npy").map(str::to_owned)).collect();
        Ok(Npz { path: path.to_owned(), archive, keys })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the arrays.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Whether there is an array `key`.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// Reads the array `key`, which the configuration's `setting` asks for.
    ///
    /// # Errors
    /// If there is no such array or it is damaged.
    pub fn array(&mut self, key: &str, setting: &'static str) -> Result<NpyArray, DataError> {
        if !self.has(key) {
            return Err(DataError::MissingKey {
                path: self.path.clone(),
                key: key.to_owned(),
                setting,
                nearest: nearest(key, self.keys.iter().map(String::as_str)),
                keys: self.keys.clone(),
            });
        }
        let entry = self.archive.by_name(&format!("{key}.npy")).map_err(|error| error.to_string());
        entry.and_then(NpyArray::read).map_err(|problem| DataError::Corrupt {
            path: self.path.clone(),
            array: key.to_owned(),
            problem,
        })
    }
}
