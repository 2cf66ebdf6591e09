//! Fuzzing the readers of files: each target of `fuzz/`, from its corpus on, with the active toolchain.

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::sh;

/// Arguments of `cargo xtask fuzz`.
#[derive(Args)]
pub struct Fuzz {
    /// Which targets, such as `keras`; all of them unless given.
    names: Vec<String>,
    /// How long each runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// What libFuzzer needs of every crate: a counter on each edge, and the operands of comparisons. As cargo-fuzz has it, but
/// for the address sanitizer, which stable toolchains lack; `unsafe` code is not what these targets walk.
const INSTRUMENTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1";

/// MB that a target may take.
const MEMORY: u32 = 256;

impl Fuzz {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let folder = sh::root().join("fuzz");
        let known = sh::stems(&folder.join("fuzz_targets"), "rs")?;
        if let Some(name) = self.names.iter().find(|name| !known.contains(name)) {
            bail!("there is no target {name}; there are {}", known.join(", "));
        }
        let host = sh::output(sh::command("rustc").args(["--print", "host-tuple"]))?;
        sh::say("building the targets: some minutes the first time");
        let mut cargo = sh::command("cargo");
        cargo.args(["build", "--release", "--quiet", "--target", host.trim()]).current_dir(&folder);
        sh::run(cargo.env("RUSTFLAGS", INSTRUMENTED))?;
        for name in known.iter().filter(|name| self.names.is_empty() || self.names.contains(name)) {
            sh::say(&format!("{} s of {name}", self.seconds));
            let (found, artifacts) = (folder.join("target/corpus").join(name), folder.join("artifacts").join(name));
            for folder in [&found, &artifacts] {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            }
            let mut target = sh::command(folder.join("target").join(host.trim()).join("release").join(name));
            // What is new goes into the first folder.
            target.arg(&found).arg(folder.join("corpus").join(name));
            target.arg(format!("-max_total_time={}", self.seconds)).arg(format!("-rss_limit_mb={MEMORY}"));
            target.arg(format!("-artifact_prefix={}/", artifacts.display())).arg("-print_final_stats=1");
            sh::run(&mut target).with_context(|| format!("{name}: the bytes are in {}", artifacts.display()))?;
        }
        Ok(())
    }
}
