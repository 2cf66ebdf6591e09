//! Keys for a kind of file that is not there.
//!
//! **If** a key says what is what in a kind of file, and the configuration names no such file, **then** it would be ignored
//! silently, and is refused. Values that are the default are none the worse.

use super::Config;
use crate::data::FileKind;

/// A key, whether it is given, and what serves in its place in the other kind of file; may be empty.
type Given = (&'static str, bool, &'static str);

impl Config {
    /// The first key for files that the configuration does not name, and what to do about it.
    pub(super) fn check_kinds(&self) -> Result<(), (&'static str, String)> {
        let data = &self.data;
        let validation = data.validation.as_ref().and_then(|validation| validation.file.as_ref());
        let files = [Some(&data.train), data.test.as_ref(), validation].into_iter().flatten();
        // What is neither is refused where it is read.
        let Some(kinds) = files.map(|file| FileKind::of(file)).collect::<Option<Vec<_>>>() else { return Ok(()) };
        let (npz, csv) = (kinds.contains(&FileKind::Npz), kinds.contains(&FileKind::Csv));
        if !npz {
            refuse(&self.npz_keys(), "names what is what in a .npz, but the files are .csv")?;
        }
        if !csv {
            refuse(&[("data.tokens", data.tokens.is_some(), "")], "parts the texts of a .csv, but the files are .npz")?;
            let problem = "names a column of a .csv, but the files are .npz";
            refuse(&[self.series_keys(), self.text_keys(), self.split_keys()].concat(), problem)?;
        } else if !npz && data.tokens.is_some() {
            refuse(&self.series_keys(), "does not go with `data.tokens`, where each row is a pair of texts")?;
        } else if !npz {
            refuse(&self.text_keys(), "names a column of texts, which needs `data.tokens`")?;
        }
        Ok(())
    }

    fn npz_keys(&self) -> Vec<Given> {
        let (train, test) = (&self.data.npz, &self.data.npz_test);
        vec![
            ("data.npz.x", named(&train.x, "x"), "data.csv.features"),
            ("data.npz.y", named(&train.y, "y"), "data.csv.label"),
            ("data.npz.y_lengths", train.y_lengths.is_some(), ""),
            ("data.npz.lengths", train.lengths.is_some(), "data.csv.series"),
            ("data.npz.group", train.group.is_some(), "data.csv.group"),
            ("data.npz.weight", train.weight.is_some(), "data.csv.weight"),
            ("data.npz.x_scale", train.x_scale.is_some(), ""),
            ("data.npz.y_scale", train.y_scale.is_some(), ""),
            ("data.npz_test.x", named(&test.x, "x"), ""),
            ("data.npz_test.y", named(&test.y, "y"), ""),
            ("data.npz_test.y_lengths", test.y_lengths.is_some(), ""),
            ("data.npz_test.lengths", test.lengths.is_some(), ""),
            ("data.npz_test.group", test.group.is_some(), ""),
            ("data.npz_test.x_scale", test.x_scale.is_some(), ""),
            ("data.npz_test.y_scale", test.y_scale.is_some(), ""),
        ]
    }

    /// The columns of series.
    fn series_keys(&self) -> Vec<Given> {
        let csv = &self.data.csv;
        let label = csv.label.as_ref().is_some_and(|label| label.as_slice() != ["label"]);
        vec![
            ("data.csv.series", named(&csv.series, "series"), ""),
            ("data.csv.time", named(&csv.time, "t"), ""),
            ("data.csv.label", label, if self.data.tokens.is_some() { "data.csv.target" } else { "data.npz.y" }),
            (
                "data.csv.features",
                csv.features.is_some(),
                if self.data.tokens.is_some() { "data.csv.source" } else { "data.npz.x" },
            ),
        ]
    }

    /// The columns of texts.
    fn text_keys(&self) -> Vec<Given> {
        let csv = &self.data.csv;
        vec![
            ("data.csv.source", named(&csv.source, "source"), ""),
            ("data.csv.target", named(&csv.target, "target"), ""),
        ]
    }

    /// The columns of both.
    fn split_keys(&self) -> Vec<Given> {
        let csv = &self.data.csv;
        vec![
            ("data.csv.group", csv.group.is_some(), "data.npz.group"),
            ("data.csv.weight", csv.weight.is_some(), "data.npz.weight"),
        ]
    }
}

/// Whether a name is given that is not the usual one.
fn named(name: &Option<String>, usual: &str) -> bool {
    name.as_deref().is_some_and(|name| name != usual)
}

fn refuse(keys: &[Given], problem: &str) -> Result<(), (&'static str, String)> {
    match keys.iter().find(|(_, given, _)| *given) {
        None => Ok(()),
        Some((key, _, "")) => Err((key, format!("{problem}; leave it out"))),
        Some((key, _, other)) => Err((key, format!("{problem}; use `{other}`, or leave it out"))),
    }
}
