//! What a GRU step costs on each core, as a table that CI compares with.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use grulet::blob::{Contents, Header, LayerWeights, Range, write, write_int8};
use grulet::spec::{Candidate, Gate, LayerSpec, Output, Reset, Storage};
use object::{Object, ObjectSection};

use crate::firmware::{BOARDS, Board, Build, large_boards};
use crate::{qemu, sh};

/// Arguments of `cargo xtask icount`.
#[derive(Args)]
pub struct Icount {
    /// Write the table anew instead of comparing with it.
    #[arg(long)]
    overwrite: bool,
}

/// Inputs × hidden units.
const SHAPES: [(u16, u16); 4] = [(1, 128), (6, 32), (10, 64), (42, 96)];

/// A figure may grow by 2 % before CI fails.
const TOLERANCE: f64 = 1.02;

/// Instructions of two ticks over the repetitions: readings of a constant time differ by no more.
const RESOLUTION: u64 = 10;

/// What stands beside the table.
const METHOD: &str = "\
# What a GRU step costs

One step of a single GRU layer in native units (`step_raw`): both products, gates, candidate, new state. Printed by
`cargo xtask icount --overwrite`; `cargo xtask ci` fails if a figure grows by more than 2 %.

- *instructions*: counted in QEMU under `-icount shift=0` by SysTick (a tick is 40 instructions) over 8 repetitions of each
  of 1,000 inputs and states, an eighth of them all extremes; the time of the same loop without the step is subtracted.
  Resolution: 5 instructions, so that a constant count is read as two neighbouring values: for `Int8` more is an error.
  `f32` without an FPU: 20 inputs, once each. *Per MAC*: the maximum over 3·H·(I+H).
- *code*: `.text` and `.rodata` of a program with loader, self-test and step, less the same of the empty program
  and the model. *stack*: deepest use during a step, on painted memory. *state*: `size_of` the stream's state.
- Tables, where a format has any, are part of *code*.
";

/// One line of the table.
struct Row {
    name: String,
    figures: [u64; 5],
    macs: u64,
}

impl Icount {
    /// The comparison that CI makes.
    pub const COMPARE: Icount = Icount { overwrite: false };

    /// Runs the command.
    pub fn run(self) -> Result<()> {
        qemu::ensure()?;
        sh::say("counting instructions: some minutes");
        let folder = sh::root().join("target/icount");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut rows = Vec::new();
        for board in large_boards() {
            for (inputs, hidden) in SHAPES {
                for storage in [Storage::F32, Storage::Int8] {
                    for reset in [Reset::Before, Reset::After] {
                        let row = measure(board, storage, inputs, hidden, reset, &folder)?;
                        let [min, max, ..] = row.figures;
                        if storage == Storage::Int8 && max - min > RESOLUTION {
                            bail!("{}: {min} to {max} instructions: the time depends on the data", row.name);
                        }
                        sh::say(&row.line());
                        rows.push(row);
                    }
                }
            }
        }
        let path = sh::root().join("benches/icount.md");
        let compiler = compiler()?;
        let text = table(&rows, &compiler);
        if self.overwrite {
            return fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
        }
        let expected = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; --overwrite makes it", path.display()))?;
        println!("{text}");
        if !expected.contains(&compiler) {
            sh::say("another compiler than the table's: nothing is compared");
            return Ok(());
        }
        compare(&expected, &rows)
    }
}

impl Row {
    fn line(&self) -> String {
        let [min, max, code, stack, state] = self.figures;
        let per_mac = max as f64 / self.macs as f64;
        format!("| {} | {min} | {max} | {per_mac:.2} | {code} | {stack} | {state} |", self.name)
    }
}

fn measure(board: &Board, storage: Storage, inputs: u16, hidden: u16, reset: Reset, folder: &Path) -> Result<Row> {
    let format = if storage == Storage::Int8 { "Int8" } else { "Exact" };
    let layer = LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh };
    let model = folder.join(format!("{inputs}x{hidden}_{format}_{reset:?}.gru"));
    let bytes = model_of(layer, storage)?;
    fs::write(&model, &bytes).with_context(|| format!("cannot write {}", model.display()))?;

    let soft_float = board.target == "thumbv7m-none-eabi" && storage == Storage::F32;
    let (inputs_measured, repeats) = if soft_float { ("20", "1") } else { ("1000", "8") };
    let build = Build {
        environment: vec![
            ("GRULET_MODEL", model.display().to_string()),
            ("GRULET_NET", format!("(Gru<{inputs}, {hidden}, {format}, Reset{reset:?}>,)")),
            ("GRULET_INPUTS", inputs_measured.to_owned()),
            ("GRULET_REPEATS", repeats.to_owned()),
        ],
    };
    let printed = board.run("icount", &build)?;
    let value = |name: &str| -> Result<u64> {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.parse().ok()).with_context(|| format!("no `{name}` in the output:\n{printed}"))
    };
    let code = size(&board.build("size", &build)?)? - size(&board.build("empty", &build)?)?;
    Ok(Row {
        name: format!("{} | {inputs}×{hidden} | {format} | {}", board.core, format!("{reset:?}").to_lowercase()),
        figures: [value("instructions min")?, value("instructions max")?, code, value("stack")?, value("state")?],
        macs: layer.macs() as u64,
    })
}

/// Bytes of code and constants of a program; the empty program holds the model too.
fn size(program: &Path) -> Result<u64> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let elf = object::File::parse(&*bytes).with_context(|| program.display().to_string())?;
    let sections = elf.sections().filter(|section| matches!(section.name(), Ok(".text" | ".rodata" | ".data")));
    Ok(sections.map(|section| section.size()).sum())
}

/// A model of one layer with weights without a pattern, small enough to leave its gates alive.
fn model_of(layer: LayerSpec, storage: Storage) -> Result<Vec<u8>> {
    let (i, h) = (layer.inputs(), layer.outputs());
    let weight = |n: usize| {
        move |k: usize| ((k * 2_654_435_761 + n) % 2001) as f32 * 1e-3 / (h as f32).sqrt() - 0.5 / (h as f32).sqrt()
    };
    let kernel: Vec<f32> = (0..i * 3 * h).map(weight(1)).collect();
    let recurrent: Vec<f32> = (0..h * 3 * h).map(weight(2)).collect();
    let biases = if matches!(layer, LayerSpec::Gru { reset: Reset::After, .. }) { 6 * h } else { 3 * h };
    let bias: Vec<f32> = (0..biases).map(weight(3)).collect();
    let golden: Vec<f32> = (0..4 * i).map(|k| (k % 7) as f32 * 0.3 - 1.0).collect();
    let header = Header {
        storage,
        layers: [layer].into_iter().collect(),
        output: Output::EveryStep,
        name: "icount",
        outputs: Default::default(),
        channels: Default::default(),
        units: Default::default(),
        sample_rate: 0.0,
        window: 0,
        horizon: 0,
        provenance: Default::default(),
        golden: Default::default(),
    };
    let layers = [LayerWeights { kernel: &kernel, recurrent: &recurrent, bias: &bias }];
    let contents = Contents {
        header,
        layers: &layers,
        mean: &[],
        scale: &[],
        output_scale: &[],
        output_offset: &[],
        golden: &golden,
    };
    let blob = match storage {
        Storage::Int8 => write_int8(&contents, &[Range { input: 1.0, output: 1.0 }])?,
        _ => write(&contents)?,
    };
    Ok(blob.as_ref().to_vec())
}

/// The compiler that the firmware is built with.
fn compiler() -> Result<String> {
    let way = crate::arm::Way::find(BOARDS[0].target)?;
    Ok(format!("Compiler: {}", sh::output(&mut way.rustc())?.lines().next().unwrap_or_default()))
}

fn table(rows: &[Row], compiler: &str) -> String {
    let mut text = format!("{METHOD}\n{compiler}\n\n");
    text += "| core | I×H | format | reset | instructions min | max | per MAC | code | stack | state |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let _ = writeln!(text, "{}", row.line());
    }
    text
}

/// Fails if a figure of `rows` is more than 2 % above the one in the table `expected`.
fn compare(expected: &str, rows: &[Row]) -> Result<()> {
    for row in rows {
        let start = format!("| {} | ", row.name);
        let Some(line) = expected.lines().find_map(|line| line.strip_prefix(&start)) else {
            bail!("benches/icount.md has no row for {}; renew it with --overwrite", row.name);
        };
        let cells: Vec<&str> = line.split(" | ").collect();
        // The third cell, per MAC, follows from the second.
        let before =
            [0, 1, 3, 4, 5].map(|i| cells.get(i).and_then(|cell| cell.trim_end_matches(" |").parse::<u64>().ok()));
        for (what, (before, now)) in ["instructions min", "instructions max", "code", "stack", "state"]
            .iter()
            .zip(before.iter().zip(row.figures))
        {
            let Some(before) = before else { bail!("benches/icount.md: the row of {} is malformed", row.name) };
            if now as f64 > *before as f64 * TOLERANCE {
                bail!(
                    "{}: {what} grew from {before} to {now}; make it smaller, or renew the table with --overwrite",
                    row.name
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_beyond_two_percent_is_refused() {
        let row = |max| Row { name: "M | 1×2 | Exact | before".into(), figures: [90, max, 500, 60, 8], macs: 18 };
        let text = table(&[row(1000)], "Compiler: x");
        assert!(compare(&text, &[row(1020)]).is_ok());
        let error = compare(&text, &[row(1021)]).expect_err("it grew").to_string();
        assert!(error.contains("instructions max grew from 1000 to 1021"), "{error}");
        let other = Row { name: "N | 1×2 | Exact | before".into(), ..row(1) };
        assert!(compare(&text, &[other]).is_err());
    }
}
