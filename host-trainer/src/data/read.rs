//! Reading one file into a dataset, whatever its kind.

use std::path::Path;

use grulet::spec::Output;

use super::{DataError, Dataset, Warning, csv, npz, sequence};
use crate::config::{Config, DataConfig, Loss, Names};

/// The kinds of files that data come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A table.
    Csv,
    /// Arrays.
    Npz,
}

impl FileKind {
    /// What the file's name says; `None` if it is neither.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        [(Self::Csv, "csv"), (Self::Npz, "npz")]
            .into_iter()
            .find_map(|(kind, name)| extension.eq_ignore_ascii_case(name).then_some(kind))
    }
}

/// Which set of keys a file is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Training or validation: `[data.npz]`.
    Train,
    /// Test: `[data.npz_test]` over `[data.npz]`.
    Test,
}

/// What is read from a file.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions<'a> {
    /// Names, keys and columns.
    pub data: &'a DataConfig,
    /// Which of the keys.
    pub part: Part,
    /// What the targets are for; `None` reads the inputs alone.
    pub targets: Option<TargetOptions>,
    /// Whether the inputs are tokens, which are one channel and need no axis of their own.
    pub tokens: bool,
    /// Whether groups of series are read, which splits are for.
    pub groups: bool,
    /// The array in which a `.npz` may say itself in what order its classes are, where `data` has another order.
    pub own_classes: Option<&'a str>,
    /// Whether it is read like the training file, so that it need not have an array of names of its own.
    pub alike: bool,
}

/// What targets are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetOptions {
    /// Whether a target belongs to every step or to the whole series.
    pub output: Output,
    /// How class labels are encoded.
    pub loss: Loss,
    /// Whether their weights are read, if the configuration says where they are.
    pub weights: bool,
}

impl<'a> ReadOptions<'a> {
    /// What the configuration of a run reads.
    pub fn new(config: &'a Config, part: Part) -> Self {
        let weights = part == Part::Train;
        let targets =
            TargetOptions { output: config.targets_of(config.model.output), loss: config.train.loss, weights };
        ReadOptions {
            data: &config.data,
            part,
            targets: Some(targets),
            tokens: config.takes_tokens(),
            groups: true,
            own_classes: own_classes(config),
            alike: false,
        }
    }
}

/// The array of class names, if the configuration has them in one.
pub(super) fn own_classes(config: &Config) -> Option<&str> {
    match &config.data.classes {
        Some(Names::Key(key)) => Some(key),
        _ => None,
    }
}

/// Reads the whole series of a `.npz` or `.csv`, in the file's own units: not split, shifted, transformed, normalised or
/// cut. Without targets, [`Dataset::target_width`] is 0.
///
/// # Errors
/// Whatever is wrong with the file, as a [`DataError`] that names the place in it.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    read_watched(path, options, &mut Vec::new())
}

/// The same; what is odd in the file goes to `warnings`.
pub(super) fn read_watched(
    path: &Path,
    options: &ReadOptions,
    warnings: &mut Vec<Warning>,
) -> Result<Dataset, DataError> {
    let data = match FileKind::of(path) {
        Some(FileKind::Npz) => npz::read(path, options)?,
        Some(FileKind::Csv) => match options.data.tokens {
            Some(tokens) => sequence::read_text(path, options, tokens)?,
            None => {
                let (data, odd) = csv::read(path, options)?;
                warnings.extend(odd);
                data
            }
        },
        None => return Err(DataError::UnknownExtension { path: path.to_owned() }),
    };
    if data.inputs() > usize::from(u16::MAX) {
        return Err(DataError::TooManyChannels { path: path.to_owned(), found: data.inputs() });
    }
    Ok(data)
}

/// The names that the configuration gives, one for each of `expected` things, or `default` without any. `lookup` reads
/// a string array of a `.npz`.
pub(super) fn names(
    path: &Path,
    setting: &'static str,
    what: &'static str,
    given: Option<&Names>,
    expected: usize,
    default: impl FnOnce() -> Vec<String>,
    lookup: impl FnOnce(&str) -> Result<Vec<String>, DataError>,
) -> Result<Vec<String>, DataError> {
    let names = match given {
        None => return Ok(default()),
        Some(Names::List(names)) => names.clone(),
        Some(Names::Key(key)) => lookup(key)?,
    };
    if names.len() == expected {
        Ok(names)
    } else {
        Err(DataError::Count { path: path.to_owned(), setting, found: names.len(), expected, what })
    }
}
