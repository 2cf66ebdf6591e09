//! Samples into a model on an emulated board, as they come, and its outputs back.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use grulet::blob::{AlignedBytes, Blob};
use grulet::spec::Storage;
use grulet::{AnyModel, Exact, Int8};
use grulet_board_tools::{Board, qemu};

use crate::firmware::{Build, Firmware as _};
use crate::sh;

/// The binary that answers.
const BINARY: &str = "pipe";

/// Arguments of `cargo xtask pipe`.
#[derive(Args)]
pub struct Pipe {
    /// The board, one that QEMU emulates.
    #[arg(long, default_value = "mps2-an386")]
    board: String,
    /// A .gru file; the firmware's own model unless given.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

impl Pipe {
    /// Runs the command: standard input is the board's, and so is standard output.
    pub fn run(self) -> Result<()> {
        let board = Board::named(&self.board)?;
        if board.qemu.is_none() {
            bail!("{} is on the desk, and probe-rs gives it no input; choose one that QEMU emulates", board.name);
        }
        let mut build = Build::default();
        if let Some(path) = &self.model {
            let capacity = capacity(path).with_context(|| path.display().to_string())?;
            let path = std::path::absolute(path)?.display().to_string();
            build.environment = vec![("GRULET_MODEL", path), ("GRULET_CAPACITY", capacity.to_string())];
        }
        qemu::ensure(std::slice::from_ref(&board))?;
        let program = board.build(BINARY, &build)?;
        sh::run(&mut qemu::command(&board, &program)?)
    }
}

/// Gives the firmware's own model lines that it cannot answer, among others.
pub fn check_faults() -> Result<()> {
    let board = Board::named("mps2-an386")?;
    let mut input = tempfile::tempfile()?;
    let long = "1".repeat(70);
    write!(input, "0.35,-1.2\nhip,velocity\n0.1\n1,2,3\n{}\n{long}\n0.35,-1.2\n", "1,".repeat(300))?;
    input.rewind()?;
    let program = board.build(BINARY, &Build::default())?;
    let error = qemu::run_with(&board, &program, input.into()).err().context("lines without an answer are no error")?;
    let error = error.to_string();
    for line in [
        "error: line 2: \"hip\" is no number; a sample has 2 of them",
        "error: line 3: 1 numbers, but a sample has 2",
        "error: line 4: 3 numbers, but a sample has 2",
        "error: line 5: 300 numbers, but a sample has 2",
        "error: line 6: \"1111111111",
    ] {
        ensure!(error.contains(line), "no {line:?} in {error}");
    }
    let answers = error.lines().filter(|line| line.starts_with(['-', '0'])).count();
    ensure!(answers == 2, "{answers} answers in {error}");
    Ok(())
}

/// Words that a stream of a model needs.
fn capacity(path: &std::path::Path) -> Result<usize> {
    let blob = AlignedBytes::new(&fs::read(path)?);
    let header = Blob::parse(blob.as_ref())?;
    if header.header().is_bidirectional() {
        bail!("a bidirectional model answers when a series is complete; give one that answers step by step");
    }
    Ok(match header.header().storage {
        Storage::Int8 => AnyModel::<Int8>::from_blob(&blob)?.capacity(),
        _ => AnyModel::<Exact>::from_blob(&blob)?.capacity(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_stream_is_refused() {
        let run = |board: &str, model: &str| {
            let model = sh::root().join("tests/models").join(model);
            let error = Pipe { board: board.into(), model: Some(model) }.run().expect_err("it cannot stream");
            format!("{error:#}")
        };
        assert!(run("pico", "gait_phase.gru").contains("probe-rs gives it no input"));
        assert!(run("mps2-an386", "window.gru").contains("step by step"));
        assert!(run("mps2-an386", "addition.gru").contains("addition.gru"));
        assert!(run("mps2-an386", "none.gru").contains("none.gru"));
    }
}
