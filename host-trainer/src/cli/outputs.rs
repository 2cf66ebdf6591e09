//! Where a command writes: none of its outputs may be one of its inputs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::config::Config;
use crate::files::same;

/// Refuses to write over what may be data, a model or a configuration: `--json` before them takes the next word as its file.
pub fn spare_likely_inputs(outputs: &[(&str, Option<&Path>)]) -> anyhow::Result<()> {
    let is_input = |extension: &OsStr| {
        ["csv", "npz", "gru", "ckpt", "toml"].iter().any(|input| extension.eq_ignore_ascii_case(input))
    };
    for (option, path) in given(outputs) {
        if path.is_dir() || path.extension().is_some_and(is_input) {
            bail!("{option} would write over {}; give model and data before {option}", path.display());
        }
    }
    Ok(())
}

/// Refuses to write over one of the files that the command reads, or two outputs into one file.
pub fn spare(inputs: &[PathBuf], outputs: &[(&str, Option<&Path>)]) -> anyhow::Result<()> {
    let outputs: Vec<_> = given(outputs).collect();
    for (index, &(option, path)) in outputs.iter().enumerate() {
        if inputs.iter().any(|input| same(input, path)) {
            bail!("{option} would write over {}, which this command reads; name another file", path.display());
        }
        if let Some((other, _)) = outputs[..index].iter().find(|(_, other)| same(other, path)) {
            bail!("{option} would write over {}, as {other} does; name another file", path.display());
        }
    }
    Ok(())
}

/// The data that a configuration names, and the model that a training begins with.
pub fn data_files(config: &Config) -> Vec<PathBuf> {
    let data = &config.data;
    let validation = data.validation.as_ref().and_then(|validation| validation.file.as_ref());
    let init = config.train.init.as_deref().map(crate::interop::model::file_of);
    std::iter::once(&data.train).chain(&data.test).chain(validation).cloned().chain(init).collect()
}

/// The configuration beside a model, if there is one, and the data that it names.
pub fn files_beside(model: &Path) -> Vec<PathBuf> {
    let path = model.with_file_name("config.toml");
    let data = Config::load(&path, &[""; 0]).map_or_else(|_| Vec::new(), |config| data_files(&config));
    [vec![path], data].concat()
}

/// The outputs that there are, but for standard output.
fn given<'a>(outputs: &[(&'a str, Option<&'a Path>)]) -> impl Iterator<Item = (&'a str, &'a Path)> {
    let path = |(option, path): &(&'a str, Option<&'a Path>)| path.map(|path| (*option, path));
    outputs.iter().filter_map(path).filter(|(_, path)| path.as_os_str() != "-")
}
