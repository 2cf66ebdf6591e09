//! What a step of a model takes on a board.

use anyhow::{Context, Result, bail};
use grulet::Blob;
use grulet::spec::Output;
use grulet_board_tools::{Board, Project};
use object::{Object, ObjectSection, SectionKind};
use serde::Serialize;

use super::target::{build, run};
use super::{fill, is_bidirectional, program};

const TEMPLATE: &str = include_str!("templates/bench.rs");
const EMPTY: &str = include_str!("templates/empty.rs");

/// What was counted and measured.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// The board.
    pub board: String,
    /// Its processor.
    pub core: String,
    /// What the counts are: instructions in QEMU, cycles on a chip.
    pub unit: String,
    /// Steps that were counted.
    pub steps: usize,
    /// The fewest in a step.
    pub least: f64,
    /// The most in a step.
    pub most: f64,
    /// The mean of a step.
    pub mean: f64,
    /// Multiply-accumulates of a step.
    pub macs: usize,
    /// The mean of one multiply-accumulate.
    pub per_mac: f64,
    /// Bytes of the stack that steps have used.
    pub stack: u64,
    /// Bytes of state between steps.
    pub state: u64,
    /// Bytes of flash: program, constants and model.
    pub flash: u64,
    /// Bytes of flash of the same firmware without a model.
    pub flash_empty: u64,
    /// Bytes of the model.
    pub model: u64,
    /// Bytes of RAM that are taken from the start, without the stack.
    pub ram: u64,
    /// The same of the firmware without a model.
    pub ram_empty: u64,
}

/// Builds a firmware that takes `steps` steps of the model in `blob`, and runs it on `board`.
///
/// # Errors
/// If the model is of a kind that has no steps, the firmware cannot be built, or it fails.
pub fn bench(blob: &[u8], board: &Board, steps: usize) -> Result<Bench> {
    let model = Blob::parse(blob)?;
    let header = model.header();
    if matches!(header.output, Output::Sequence(_)) {
        bail!("an encoder-decoder takes a number of steps of its own; `cargo xtask icount` counts its parts");
    }
    if is_bidirectional(header) {
        bail!(
            "a model of both directions has no steps of its own: `grulet new` makes a firmware that runs it over windows"
        );
    }
    let body = fill(TEMPLATE, header).replace("@STEPS@", &steps.to_string());
    let main = program("Counts what steps of a model take.", &body);
    let files = [("model.gru", blob)];
    let project = Project { name: "grulet-bench", board, main: &main, stack: true, files: &files };
    let program = build(&project)?;
    let (flash, ram) = sizes(&std::fs::read(&program.path)?)?;
    let empty = build(&Project { name: "grulet-empty", board, main: EMPTY, stack: false, files: &[] })?;
    let (flash_empty, ram_empty) = sizes(&std::fs::read(&empty.path)?)?;
    let printed = run(board, &program.path)?;

    let said = |name: &str| {
        let after = printed.lines().find_map(|line| line.split_once(name));
        let after = after.with_context(|| format!("the target has not said {name:?}; its output:\n{printed}"))?;
        Ok::<_, anyhow::Error>(after.1.trim().to_owned())
    };
    let number = |name: &str| -> Result<u64> { said(name)?.parse().context("the target's output") };
    let ticks: Vec<u64> =
        said("ticks:")?.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("the target's output")?;
    let &[least, most, all] = &ticks[..] else { bail!("the target has said {} counts", ticks.len()) };
    let per_1000 = number("per1000:")? as f64;
    let counts = |ticks: u64| ticks as f64 * 1000.0 / per_1000;
    let mean = counts(all) / steps.max(1) as f64;
    let macs = header.macs();
    Ok(Bench {
        board: board.name.clone(),
        core: board.core.clone(),
        unit: said("unit:")?,
        steps,
        least: counts(least),
        most: counts(most),
        mean,
        macs,
        per_mac: mean / macs.max(1) as f64,
        stack: number("stack:")?,
        state: number("state:")?,
        flash,
        flash_empty,
        model: blob.len() as u64,
        ram,
        ram_empty,
    })
}

/// Bytes of flash and RAM that a program takes.
fn sizes(program: &[u8]) -> Result<(u64, u64)> {
    let file = object::File::parse(program).context("the program")?;
    let (mut flash, mut ram) = (0, 0);
    for section in file.sections() {
        match section.kind() {
            SectionKind::Text | SectionKind::ReadOnlyData => flash += section.size(),
            // Its first values lie in flash.
            SectionKind::Data => {
                flash += section.size();
                ram += section.size();
            }
            SectionKind::UninitializedData => ram += section.size(),
            _ => {}
        }
    }
    Ok((flash, ram))
}
