//! What a step of a model takes on a board.

use anyhow::{Context, Result, bail};
use grulet::spec::{LayerSpec, Output, with_one_hot};
use grulet::{Blob, Header};
use grulet_board_tools::{Board, Project};
use object::elf::{SHF_ALLOC, SHF_WRITE};
use object::{Object, ObjectSection, SectionFlags, SectionKind};
use serde::Serialize;

use super::target::{build, run};
use super::{Kind, STEPS, fill, program, unit_bytes};
use crate::cost::state_bytes;
use crate::nn::first_head_layer;

const TEMPLATE: &str = include_str!("templates/bench.rs");
const STREAM: &str = include_str!("templates/bench_stream.rs");
const WINDOW: &str = include_str!("templates/bench_window.rs");
const SEQUENCE: &str = include_str!("templates/bench_sequence.rs");
const EMPTY: &str = include_str!("templates/empty.rs");

/// Bytes of RAM that are kept for the rest of the program.
const STACK: usize = 1 << 10;

/// What was counted and measured.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// The board.
    pub board: String,
    /// Its processor.
    pub core: String,
    /// What the counts are: instructions in QEMU, cycles on a chip.
    pub unit: String,
    /// Counts of a step; of a window, and of a step of it; or of a step of an encoder, and of a decoder.
    pub counts: Vec<Count>,
    /// Bytes of the stack that steps have used, beside the state; none if they are more than was looked at.
    pub stack: Option<u64>,
    /// Bytes of state between steps: of a stream, of a window with its steps, or of an encoder and a decoder together.
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

/// How many instructions or cycles something takes.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// What: `step`, `window`, `encoder step` or `decoder step`.
    pub of: String,
    /// How many of it were counted.
    pub number: usize,
    /// The fewest; of a step of a window, of the mean of its steps, as the next is too.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// The mean.
    pub mean: f64,
    /// Multiply-accumulates.
    pub macs: f64,
    /// The mean of one multiply-accumulate.
    pub per_mac: f64,
}

impl Count {
    /// A part of it, as many times as it has `parts`.
    fn part(&self, of: &str, parts: usize) -> Self {
        let share = parts.max(1) as f64;
        Self {
            of: of.to_owned(),
            number: self.number * parts,
            least: self.least / share,
            most: self.most / share,
            mean: self.mean / share,
            macs: self.macs / share,
            per_mac: self.per_mac,
        }
    }
}

/// Builds a firmware that takes `steps` steps of the model in `blob`, and runs it on `board`: of a stream; in windows, as many as
/// have so many steps; of an encoder, and as many of its decoder.
///
/// # Errors
/// If a window is too large for the board, the firmware cannot be built, or it fails.
pub fn bench(blob: &[u8], board: &Board, steps: usize) -> Result<Bench> {
    let model = Blob::parse(blob)?;
    let header = model.header();
    let kind = Kind::of(header);
    let window = if header.window > 0 { header.window } else { STEPS } as usize;
    if kind == Kind::Window {
        check_memory(board, header, window)?;
    }
    let (template, number) = match kind {
        Kind::Stream => (STREAM, steps),
        Kind::Window => (WINDOW, steps.div_ceil(window)),
        Kind::Sequence => (SEQUENCE, steps),
    };
    let body = TEMPLATE.replace("@BENCH@\n", template);
    let body = fill(&body, header).replace("@STEPS@", &window.to_string()).replace("@COUNT@", &number.to_string());
    let main = program("Counts what steps of a model take.", &body);
    let files = [("model.gru", blob)];
    let project = Project { name: "grulet-bench", board, main: &main, measures: true, files: &files };
    let program = build(&project)?;
    let (flash, ram) = sizes(&std::fs::read(&program.path)?)?;
    let empty = build(&Project { name: "grulet-empty", board, main: EMPTY, measures: false, files: &[] })?;
    let (flash_empty, ram_empty) = sizes(&std::fs::read(&empty.path)?)?;
    let printed = run(board, &program.path)?;

    let said = |name: &str| {
        let after = printed.lines().find_map(|line| line.split_once(name));
        let after = after.with_context(|| format!("the target has not said {name:?}; its output:\n{printed}"))?;
        Ok::<_, anyhow::Error>(after.1.trim().to_owned())
    };
    let number_of = |name: &str| -> Result<u64> { said(name)?.parse().context("the target's output") };
    let per_1000 = number_of("per1000:")? as f64;
    let count = |of: &str, macs: usize| -> Result<Count> {
        let ticks = said(&format!("ticks of {of}:"))?;
        let ticks: Vec<u64> =
            ticks.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("the target's output")?;
        let &[least, most, all] = &ticks[..] else { bail!("the target has said {} counts", ticks.len()) };
        let counts = |ticks: u64| ticks as f64 * 1000.0 / per_1000;
        let mean = counts(all) / number as f64;
        let (least, most, macs) = (counts(least), counts(most), macs as f64);
        Ok(Count { of: of.to_owned(), number, least, most, mean, macs, per_mac: mean / macs.max(1.0) })
    };
    let macs = |layers: &[LayerSpec]| macs_of(layers).sum();
    let counts = match kind {
        Kind::Stream => vec![count("step", header.macs())?],
        Kind::Window => {
            let count = count("window", window_macs(&header.layers, header.output, window))?;
            let step = count.part("step", window);
            vec![count, step]
        }
        Kind::Sequence => {
            let (encoder, decoder) = header.parts();
            vec![count("encoder step", macs(encoder))?, count("decoder step", macs(decoder))?]
        }
    };
    Ok(Bench {
        board: board.name.clone(),
        core: board.core.clone(),
        unit: said("unit:")?,
        counts,
        stack: Some(number_of("stack:")?).filter(|&bytes| bytes > 0),
        state: number_of("state:")?,
        flash,
        flash_empty,
        model: blob.len() as u64,
        ram,
        ram_empty,
    })
}

/// Whether a board has the RAM for a window and its samples, which lie on the stack above the part that is painted.
fn check_memory(board: &Board, header: &Header<'_>, window: usize) -> Result<()> {
    let needed = state_bytes(header, unit_bytes(header)) + 4 * window * header.inputs() + STACK;
    let (needed, ram) = (needed as u64 + board.paint(), board.memory().1);
    if needed > ram {
        let fix = match header.window {
            0 => "a larger board (the model names no window, and is counted with this one)",
            _ => "a larger board, or train with a shorter window",
        };
        bail!(
            "a window of {window} steps may need {needed} bytes of RAM to be counted in, but the {} has {ram}; choose {fix}",
            board.name
        );
    }
    Ok(())
}

/// Multiply-accumulates of a window of so many steps.
fn window_macs(layers: &[LayerSpec], output: Output, steps: usize) -> usize {
    let once = first_head_layer(layers, output);
    let times = |index: usize| if index < once { steps } else { 1 };
    macs_of(layers).enumerate().map(|(index, macs)| times(index) * macs).sum()
}

/// Multiply-accumulates of each layer.
fn macs_of(layers: &[LayerSpec]) -> impl Iterator<Item = usize> {
    with_one_hot(layers).map(|(layer, one_hot)| if one_hot { layer.macs_after_one_hot() } else { layer.macs() })
}

/// Bytes of flash and RAM that a program takes.
fn sizes(program: &[u8]) -> Result<(u64, u64)> {
    let file = object::File::parse(program).context("the program")?;
    let (mut flash, mut ram) = (0, 0);
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        // The stack, which RISC-V's linker script makes a section, is all RAM that is left.
        if sh_flags & u64::from(SHF_ALLOC) == 0 || section.name() == Ok(".stack") {
            continue;
        }
        if section.kind() != SectionKind::UninitializedData {
            flash += section.size();
        }
        // Its first values lie in flash.
        if sh_flags & u64::from(SHF_WRITE) != 0 {
            ram += section.size();
        }
    }
    Ok((flash, ram))
}

#[cfg(test)]
mod tests {
    use grulet::blob::AlignedBytes;

    use super::*;

    const WINDOW: &[u8] = include_bytes!("../../../tests/models/window.gru");

    #[test]
    fn layers_after_the_last_state_run_once_where_one_answer_is_wanted() {
        let blob = AlignedBytes::new(WINDOW);
        let blob = Blob::parse(blob.as_ref()).unwrap();
        let layers = &blob.header().layers;
        // Bidirectional<3, 5>, Dense<10, 4>, Bidirectional<4, 3>, Dense<3, 2>.
        let (body, head) = (6 * 5 * 8 + 10 * 4 + 6 * 3 * 7, 3 * 2);
        assert_eq!(window_macs(layers, Output::EveryStep, 9), 9 * (body + head));
        assert_eq!(window_macs(layers, Output::LastStep, 9), 9 * body + head);
        // Nothing is multiplied with a token.
        let one_hot = [LayerSpec::OneHot { vocabulary: 6 }, layers[0]];
        assert_eq!(window_macs(&one_hot, Output::EveryStep, 9), 9 * 6 * 5 * 5);
    }

    #[test]
    fn a_window_beyond_the_board_is_refused() {
        let blob = AlignedBytes::new(WINDOW);
        let blob = Blob::parse(blob.as_ref()).unwrap();
        let (small, large) = (Board::named("microbit").unwrap(), Board::named("mps2-an386").unwrap());
        let mut header = blob.header().clone();
        check_memory(&small, &header, 16).unwrap();
        header.window = 100;
        let error = check_memory(&small, &header, 100).unwrap_err().to_string();
        assert!(error.contains("a window of 100 steps") && error.contains("microbit has 16384"), "{error}");
        check_memory(&large, &header, 100).unwrap();
    }
}
