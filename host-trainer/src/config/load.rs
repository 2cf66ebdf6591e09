//! From a file and `--set` overrides to a [`Config`].

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::error::in_words;
use super::keys::{self, Kind};
use super::{Config, ConfigError, Place};

impl Config {
    /// Reads the file at `path`, with each of `overrides` (`key.path=value`) laid over it.
    ///
    /// Paths in it are taken from the file's folder. `name`, `data.stride` and `train.run_dir` get their defaults.
    ///
    /// # Errors
    /// Whatever is wrong with the file or an override, as a [`ConfigError`] that names the line and the key.
    pub fn load(path: impl AsRef<Path>, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, overrides)
    }

    /// Like [`Config::load`] for a command that reads other data than the configuration's, which may be of another kind: keys
    /// for any kind of file may be given.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_for_other_data(path: &Path, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse_for_other_data(path, &text, overrides)
    }

    /// [`Config::load_for_other_data`] for a file's `text`, as [`Config::parse`].
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse_for_other_data(path: &Path, text: &str, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        Self::parse_for(path, text, overrides, false)
    }

    /// Like [`Config::load`] for a file's `text` that is already here; `path` gives the folder and the name.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str, overrides: &[impl AsRef<str>]) -> Result<Self, ConfigError> {
        Self::parse_for(path, text, overrides, true)
    }

    /// `own_data` is whether the data are the configuration's own.
    fn parse_for(path: &Path, text: &str, overrides: &[impl AsRef<str>], own_data: bool) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let overrides: Vec<&str> = overrides.iter().map(AsRef::as_ref).collect();
        let source = Source { path, text, overrides: &overrides };
        let mut table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            place: source.place(error.span()),
            message: error.message().to_owned(),
        })?;
        let padded = source.padded_overrides();
        for (override_, padded) in overrides.iter().zip(&padded) {
            apply(table.get_mut(), override_, padded)?;
        }
        let mut spans = Vec::new();
        walk(&source, "", table.get_ref(), &mut spans)?;
        let mut config = Config::deserialize(Deserializer::from(table)).map_err(|error| {
            // The innermost key whose value holds the error.
            let span = error.span().unwrap_or(0..0);
            let holds = |value: &Range<usize>| value.start <= span.start && span.end <= value.end && !span.is_empty();
            let key = spans.iter().filter(|(_, value)| holds(value)).min_by_key(|(_, value)| value.len());
            ConfigError::Value {
                place: source.place(error.span()),
                key: key.map_or_else(String::new, |(key, _)| key.clone()),
                message: in_words(error.message()),
            }
        })?;
        config.train.resolve();
        let kinds = || if own_data { config.check_kinds() } else { Ok(()) };
        let invalid = |(key, problem)| {
            let span = spans.iter().find(|(path, _)| path == key).map(|(_, span)| span.clone());
            let place = source.place(span);
            ConfigError::Invalid { place, key, problem }
        };
        config.check().and_then(|()| kinds()).map_err(invalid)?;
        config.resolve(path);
        config.check_files().map_err(invalid)?;
        // It is written down in the run's folder.
        if let Some((key, path)) = config.paths().into_iter().find(|(_, path)| absolute(path).to_str().is_none()) {
            let problem =
                format!("is {}, which is not UTF-8; give the file or its folder another name", path.display());
            return Err(ConfigError::Invalid { place: source.place(None), key, problem });
        }
        Ok(config)
    }

    /// The whole configuration as TOML with every default written out and absolute paths, for the run's folder.
    pub fn to_toml(&self) -> String {
        let mut config = self.clone();
        // Of what came beside the configuration, by a flag, some bytes may not be text.
        config.for_each_path(&|path| absolute(path).to_string_lossy().into_owned().into());
        toml::to_string(&config).expect("strings, numbers and tables are all representable in TOML")
    }

    fn resolve(&mut self, path: &Path) {
        if self.name.is_empty() {
            self.name = path.file_stem().map_or_else(|| "run".to_owned(), |stem| stem.to_string_lossy().into_owned());
        }
        if self.train.run_dir.as_os_str().is_empty() {
            self.train.run_dir = Path::new("runs").join(&self.name);
        }
        self.data.stride = self.data.stride.or(self.data.window);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.for_each_path(&|path| folder.join(path));
    }

    /// All paths with their keys.
    fn paths(&self) -> Vec<(&'static str, &Path)> {
        let validation = self.data.validation.as_ref().and_then(|validation| validation.file.as_deref());
        let always = [("data.train", &*self.data.train), ("train.run_dir", &*self.train.run_dir)];
        let others = [
            ("data.test", self.data.test.as_deref()),
            ("data.validation.file", validation),
            ("train.init", self.train.init.as_deref()),
        ];
        let given = others.into_iter().filter_map(|(key, path)| Some((key, path?)));
        always.into_iter().chain(given).collect()
    }

    fn for_each_path(&mut self, change: &dyn Fn(&Path) -> PathBuf) {
        let validation = self.data.validation.as_mut().and_then(|validation| validation.file.as_mut());
        let always = [&mut self.data.train, &mut self.train.run_dir];
        for path in always.into_iter().chain(self.data.test.as_mut()).chain(validation).chain(self.train.init.as_mut())
        {
            *path = change(path);
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The file and the overrides as one text: an override's spans lie behind the file's, each in an equal stretch.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    overrides: &'a [&'a str],
}

impl Source<'_> {
    /// Length of one override's stretch.
    fn stretch(&self) -> usize {
        self.overrides.iter().map(|text| text.len()).max().unwrap_or(0) + "v = ".len()
    }

    /// Each override's value as a TOML document `v = value`, moved behind the file and the overrides before it by
    /// leading spaces, so that the parser itself gives spans that tell them all apart.
    fn padded_overrides(&self) -> Vec<String> {
        let pad = |(index, text): (usize, &&str)| {
            let value = text.split_once('=').map_or("", |(_, value)| value);
            format!("{:pad$}v = {value}", "", pad = self.text.len() + 1 + index * self.stretch())
        };
        self.overrides.iter().enumerate().map(pad).collect()
    }

    fn place(&self, span: Option<Range<usize>>) -> Place {
        match span {
            Some(span) if span.start <= self.text.len() => {
                let before = &self.text.as_bytes()[..span.start];
                Place::Line(self.path.to_owned(), 1 + before.iter().filter(|&&byte| byte == b'\n').count())
            }
            Some(span) => match self.overrides.get((span.start - self.text.len() - 1) / self.stretch()) {
                Some(text) => Place::Set((*text).to_owned()),
                None => Place::File(self.path.to_owned()),
            },
            None => Place::File(self.path.to_owned()),
        }
    }
}

/// Lays one override over the table. `padded` is its value as [`Source::padded_overrides`] gives it.
fn apply<'a>(table: &mut DeTable<'a>, text: &'a str, padded: &'a str) -> Result<(), ConfigError> {
    let set_error = |problem: &str| ConfigError::Set { text: text.to_owned(), problem: problem.to_owned() };
    let (path, word) = text.split_once('=').ok_or_else(|| set_error("there is no `=`"))?;
    let path = path.trim();
    let names: Vec<&str> = path.split('.').collect();
    let known = names.iter().filter(|name| name.parse::<usize>().is_err()).copied().collect::<Vec<_>>().join(".");
    // A list of layers may be replaced as a whole; every other table is set key by key.
    let kind = keys::kind(&known);
    if matches!(kind, Kind::Table) && !["model.layers", "model.encoder"].contains(&path) {
        // With the numbers of the layers that it goes through.
        let first = keys::first_in(&known);
        let first = format!("{path}.{}", first.rsplit('.').next().unwrap_or(first));
        return Err(set_error(&format!("`{path}` is a table; set its keys one by one, such as `{first}`")));
    }
    if matches!(kind, Kind::Unknown) {
        let place = Place::Set(text.to_owned());
        return Err(ConfigError::UnknownKey { place, key: path.to_owned(), nearest: keys::nearest(&known) });
    }

    let at = padded.len() - word.len();
    let parsed = DeTable::parse(padded).ok().map(Spanned::into_inner).filter(|table| table.len() == 1);
    let value = match parsed.and_then(|table| table.into_iter().next()) {
        Some((_, value)) => value,
        None if word.trim_start().starts_with(['[', '{']) => {
            return Err(set_error("the value cannot be read; words in a list need quotes"));
        }
        // A word without quotes.
        None => Spanned::new(at..padded.len(), DeValue::String(word.trim().into())),
    };

    let (last, parents) = names.split_last().expect("split gives at least one part");
    let mut here = Target::Table(table);
    for name in parents {
        here = here.enter(name, at).ok_or_else(|| set_error(&format!("there is no `{name}` to set a key in")))?;
    }
    match here {
        Target::Table(table) => {
            let key = Spanned::new(at..at, (*last).into());
            // Removed first: an insertion alone would keep the old key's span.
            table.remove(*last);
            table.insert(key, value);
            Ok(())
        }
        Target::Array(_) => Err(set_error(&format!("`{last}` is not a key"))),
    }
}

enum Target<'t, 'a> {
    Table(&'t mut DeTable<'a>),
    Array(&'t mut toml::de::DeArray<'a>),
}

impl<'t, 'a> Target<'t, 'a> {
    fn enter(self, name: &'a str, at: usize) -> Option<Self> {
        let value = match self {
            Target::Table(table) => {
                if !table.contains_key(name) {
                    let empty = Spanned::new(at..at, DeValue::Table(DeTable::new()));
                    table.insert(Spanned::new(at..at, name.into()), empty);
                }
                table.get_mut(name)?
            }
            Target::Array(array) => array.get_mut(name.parse::<usize>().ok()?)?,
        };
        match value.get_mut() {
            DeValue::Table(table) => Some(Target::Table(table)),
            DeValue::Array(array) => Some(Target::Array(array)),
            _ => None,
        }
    }
}

/// Refuses unknown keys, and notes where each value stands.
fn walk(
    source: &Source,
    prefix: &str,
    table: &DeTable,
    spans: &mut Vec<(String, Range<usize>)>,
) -> Result<(), ConfigError> {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        spans.push((path.clone(), value.span()));
        match keys::kind(&path) {
            Kind::Key => {}
            Kind::Table => match value.get_ref() {
                DeValue::Table(table) => walk(source, &path, table, spans)?,
                DeValue::Array(array) => {
                    for entry in array.iter() {
                        if let DeValue::Table(table) = entry.get_ref() {
                            walk(source, &path, table, spans)?;
                        }
                    }
                }
                // Of another type: deserialising says so.
                _ => {}
            },
            Kind::Unknown => {
                // What only the other part of a network may have is no slip of the pen.
                let elsewhere = |nearest: &String| {
                    path.strip_prefix("model.encoder.") == nearest.strip_prefix("model.layers.")
                        && path.starts_with("model.encoder.")
                };
                let place = source.place(Some(key.span()));
                let nearest = keys::nearest(&path).filter(|nearest| !elsewhere(nearest));
                return Err(ConfigError::UnknownKey { place, key: path, nearest });
            }
        }
    }
    Ok(())
}
