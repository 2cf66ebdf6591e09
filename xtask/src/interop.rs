//! Models exchanged with other frameworks, as those run them: each script of `tests/interop` in an environment of Python.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::sh;

/// Arguments of `cargo xtask interop`.
#[derive(Args)]
pub struct Interop {
    /// Which scripts, such as `with_onnx`; all of them unless given.
    names: Vec<String>,
}

/// What the scripts import, as pip names it. JAX is the smallest of Keras's backends.
const PACKAGES: [&str; 7] = ["numpy", "h5py", "jax", "keras", "onnx", "onnxruntime", "safetensors"];

impl Interop {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let folder = sh::root().join("tests/interop");
        let known = sh::stems(&folder, "py")?;
        if let Some(name) = self.names.iter().find(|name| !known.contains(name)) {
            bail!("there is no script {name}; there are {}", known.join(", "));
        }
        let python = environment(&sh::root().join("target/interop"))?;
        sh::say("building the trainer: a minute or two the first time");
        let grulet = sh::built_grulet()?;
        for name in known.iter().filter(|name| self.names.is_empty() || self.names.contains(name)) {
            sh::say(&format!("interop with {name}"));
            let script = folder.join(name).with_extension("py");
            sh::run(sh::command(&python).arg(script).arg(&grulet).env("KERAS_BACKEND", "jax"))?;
        }
        Ok(())
    }
}

/// The interpreter of an environment in `folder` that has the packages.
fn environment(folder: &Path) -> Result<PathBuf> {
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let imports = format!("import {}", PACKAGES.join(", "));
    let ready = || sh::succeeds(sh::command(&python).args(["-c", &imports]).env("KERAS_BACKEND", "jax"));
    if ready() {
        return Ok(python);
    }
    if !sh::succeeds(sh::command("python3").arg("--version")) {
        bail!("there is no python3; install it (Debian: sudo apt-get install python3 python3-venv)");
    }
    sh::say(&format!("installing {} into {}: a few minutes, once", PACKAGES.join(", "), folder.display()));
    sh::output(sh::command("python3").args(["-m", "venv"]).arg(folder))
        .context("cannot make a Python environment (Debian: sudo apt-get install python3-venv)")?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    sh::output(sh::command(&python).args(install).args(PACKAGES))
        .context("cannot install the packages; this needs the network, once")?;
    if !ready() {
        bail!("the packages are installed but cannot be imported; remove {} and try again", folder.display());
    }
    Ok(python)
}
