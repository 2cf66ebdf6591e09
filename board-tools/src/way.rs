//! Ways to build for an Arm or RISC-V target: the toolchain's own target, `rustup target add`, or a distribution's rustc that builds
//! the core library from source.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh;

/// A way to build for one target.
pub enum Way {
    /// The active toolchain has the target.
    Rustup,
    /// A distribution's compiler in /usr/bin, with its library source; the linker comes from the active toolchain.
    Distribution {
        /// The folder that holds `rust-lld`.
        linker: PathBuf,
    },
}

/// Packages with a rustc of their own and its library source: Debian 12 has a recent one under these names, later ones
/// under the plain names.
const PACKAGES: [[&str; 3]; 2] = [["rustc-web", "cargo-web", "rust-web-src"], ["rustc", "cargo", "rust-src"]];

impl Way {
    /// The first way that works on this machine for `target`, installing what it needs.
    ///
    /// # Errors
    /// If there is none; the message has the command that makes one.
    pub fn find(target: &str) -> Result<Self> {
        if installed(target) {
            return Ok(Way::Rustup);
        }
        let may_download = env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0");
        if may_download && sh::succeeds(Command::new("rustup").arg("--version")) {
            sh::say(&format!("rustup target add {target}: a few seconds, once"));
            if sh::run(sh::command("rustup").args(["target", "add", target])).is_ok() && installed(target) {
                return Ok(Way::Rustup);
            }
        }
        distribution().with_context(|| {
            format!("cannot build for {target}; the easiest way to be able to: rustup target add {target}")
        })
    }

    /// The way that is there already, with nothing installed for it; rustup's if there is none.
    pub fn present(target: &str) -> Self {
        if installed(target) || !ready() { Way::Rustup } else { distribution().unwrap_or(Way::Rustup) }
    }

    /// The compiler, asked for its version.
    pub fn rustc(&self) -> Command {
        let mut rustc = match self {
            Way::Rustup => sh::command("rustc"),
            Way::Distribution { .. } => sh::command("/usr/bin/rustc"),
        };
        rustc.arg("--version");
        rustc
    }

    /// A cargo command that will build for `target` into the package's own folder; the folder of its results is the second
    /// value.
    pub fn cargo(&self, subcommand: &str, package: &Path, target: &str) -> (Command, PathBuf) {
        self.cargo_into(subcommand, package, target, package)
    }

    /// The same into a folder below `parent`.
    pub fn cargo_into(&self, subcommand: &str, package: &Path, target: &str, parent: &Path) -> (Command, PathBuf) {
        // Folders apart, so that changing the way does not rebuild everything.
        let folder = parent.join(match self {
            Way::Rustup => "target",
            Way::Distribution { .. } => "target-distribution",
        });
        let mut command = match self {
            Way::Rustup => {
                let mut command = sh::command("cargo");
                command.arg(subcommand);
                command
            }
            Way::Distribution { linker } => {
                let mut command = sh::command("/usr/bin/cargo");
                let path = env::var_os("PATH").unwrap_or_default();
                let folders = std::iter::once(linker.clone()).chain(env::split_paths(&path));
                command
                    .arg(subcommand)
                    .args(["-Zbuild-std=core,compiler_builtins", "-Zbuild-std-features=compiler-builtins-mem"])
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("PATH", env::join_paths(folders).unwrap_or(path));
                command
            }
        };
        command.current_dir(package).args(["--target", target, "--target-dir"]).arg(&folder);
        (command, folder.join(target))
    }
}

/// Whether the active toolchain can build for `target`.
fn installed(target: &str) -> bool {
    let folder = sh::output(sh::command("rustc").args(["--print", "target-libdir", "--target", target]));
    folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn distribution() -> Result<Way> {
    let mut attempt = Ok(());
    for packages in &PACKAGES {
        if !ready() {
            attempt = sh::apt_install(packages);
        }
    }
    if !ready() {
        attempt?;
        bail!("/usr/bin/rustc is older than {} or has no library source", env!("CARGO_PKG_RUST_VERSION"));
    }
    let sysroot = sh::output(sh::command("rustc").args(["--print", "sysroot"]))?;
    let toolchain = Path::new(sysroot.trim()).join("lib/rustlib");
    let hosts = toolchain.read_dir().with_context(|| format!("{} cannot be read", toolchain.display()))?;
    let mut linkers = hosts.filter_map(|host| Some(host.ok()?.path().join("bin")));
    match linkers.find(|folder| folder.join("rust-lld").is_file()) {
        Some(linker) => Ok(Way::Distribution { linker }),
        None => bail!("the active toolchain has no rust-lld below {}", toolchain.display()),
    }
}

/// Whether /usr/bin has a rustc that is new enough, its cargo, and the library's source.
fn ready() -> bool {
    let source = |sysroot: String| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir();
    sh::succeeds(Command::new("/usr/bin/cargo").arg("--version"))
        && sh::output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"])).is_ok_and(source)
        && sh::output(Command::new("/usr/bin/rustc").arg("--version")).is_ok_and(|text| new_enough(&text))
}

/// Whether `rustc --version` tells of at least the version that this project needs.
fn new_enough(text: &str) -> bool {
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    let found = text.split_whitespace().nth(1).and_then(minor);
    found.is_some() && found >= minor(env!("CARGO_PKG_RUST_VERSION"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn old_compilers_are_told_from_new_ones() {
        assert!(super::new_enough("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"));
        assert!(super::new_enough("rustc 1.88.0"));
        assert!(!super::new_enough("rustc 1.63.0 (4b91a6ea7 2022-08-08)"));
        assert!(!super::new_enough("something else"));
    }
}
