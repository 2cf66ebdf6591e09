//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use crate::data::nearest;

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, counted from 1.
    Line(PathBuf, usize),
    /// The file as a whole, where a setting is missing.
    File(PathBuf),
    /// The text after `--set`.
    Set(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Set(text) => write!(f, "--set {text}"),
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("{place}: not valid TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser expected.
        message: String,
    },
    /// A key that the schema does not have.
    #[error("{place}: unknown key `{key}`{}", hint(.nearest))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key with its tables, such as `train.epoch`.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type, a word that is no choice, or a missing key.
    #[error("{place}: {}{message}", of_key(.key))]
    Value {
        /// Where.
        place: Place,
        /// The key with its tables; empty for the file as a whole.
        key: String,
        /// What was expected.
        message: String,
    },
    /// A value that cannot work, alone or with another.
    #[error("{place}: `{key}`: {problem}")]
    Invalid {
        /// Where.
        place: Place,
        /// The key with its tables.
        key: &'static str,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// An override that is not `key.path=value`.
    #[error("--set {text}: {problem}; write --set key.path=value, such as --set train.epochs=10")]
    Set {
        /// The text after `--set`.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(key) => format!("; did you mean `{key}`?"),
        None => "; docs/CONFIG.md lists the keys".to_owned(),
    }
}

fn of_key(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("`{key}`: ") }
}

/// A message of the deserialiser for those who do not know its types.
pub(super) fn in_words(message: &str) -> String {
    if message == "wanted string or table" {
        return "expected a word in quotes".to_owned();
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("missing key {field}");
    }
    if let Some((word, choices)) = message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", ")) {
        let words = choices.split('`').skip(1).step_by(2);
        let meant = nearest(word.trim_matches('`'), words);
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        return format!("unknown word {word}, {choices}{meant}");
    }
    let problem = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    let Some((found, expected)) = problem.and_then(|problem| problem.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let expected = match expected {
        "u16" => "a whole number from 0 to 65535",
        "u64" | "usize" => "a whole number, 0 or more",
        "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a string" => "a word in quotes",
        table if table.starts_with("struct ") => "a table of keys",
        other => other,
    };
    let found = found.trim_end_matches(" as i128").trim_end_matches(" as u128");
    let kinds = ["integer ", "floating point ", "boolean ", "string "];
    let found = kinds.iter().find_map(|kind| found.strip_prefix(kind)).unwrap_or(found);
    format!("expected {expected}, found {found}")
}
