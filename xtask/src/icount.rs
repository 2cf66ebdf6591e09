//! What a GRU step costs on each core, as a table that CI compares with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use grulet::blob::{Contents, Header, LayerWeights, Range, write, write_int8};
use grulet::spec::{Candidate, Gate, LayerSpec, Output, Reset, Storage};
use object::{Object, ObjectSection, ObjectSymbol};
use rayon::prelude::*;

use crate::firmware::{Build, Firmware as _};
use crate::sh;
use grulet_board_tools::Board;
use grulet_board_tools::Way;
use grulet_board_tools::qemu;

/// Arguments of `cargo xtask icount`.
#[derive(Args)]
pub struct Icount {
    /// Write the table anew instead of comparing with it.
    #[arg(long)]
    overwrite: bool,
}

/// Counts instructions on this machine.
const VALGRIND: &str = "valgrind";

/// The symbol of the only table that the runtime has.
const TABLE: &str = "TANH_HALF";

/// Inputs × hidden units.
const SHAPES: [(u16, u16); 4] = [(1, 128), (6, 32), (10, 64), (42, 96)];

/// A figure may grow by 2 % before CI fails.
const TOLERANCE: f64 = 1.02;

/// The columns, but for *per MAC*, which follows from the others.
const FIGURES: [&str; 8] =
    ["instructions min", "instructions max", "code", "tables", "weights", "scratch", "stack", "state"];

/// What stands beside the table.
const METHOD: &str = "\
# What a GRU step costs

One step of a single GRU layer in native units (`step_raw`): both products, gates, candidate, new state. Printed by
`cargo xtask icount --overwrite`; `cargo xtask ci` fails if a figure grows by more than 2 %.

- *instructions*: counted in QEMU under `-icount shift=0` by SysTick (a tick is 40 to 63 instructions) over 8 repetitions of
  each of 1,000 inputs and states, an eighth of them all extremes; the time of the same loop without the step is subtracted.
  Resolution: an eighth of a tick, so that a constant count is read as two neighbouring values: for `Int8` more is an error.
  `f32` without an FPU: 20 inputs, once each. *Per MAC*: the maximum over 3·H·(I+H).
- *code*: `.text` and `.rodata` of a program with loader, self-test and step, less the same of the empty program
  and the model. *tables*: how much of *code* is tables. *weights*: the layer's tensors in the model.
- *scratch*: `Network::SCRATCH`, operands and sums. *stack*: deepest use during a step, the scratch included, on painted
  memory. *state*: `size_of` the stream's state. All in bytes.
- x86-64: `AnyStream::step` in the release profile, by callgrind: the difference between 300 steps and 100, over 200.
";

/// One line of the table.
#[derive(Clone)]
struct Row {
    name: String,
    /// By [`FIGURES`], where they were measured.
    figures: [Option<u64>; 8],
    macs: u64,
}

impl Icount {
    /// The comparison that CI makes.
    pub const COMPARE: Icount = Icount { overwrite: false };

    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let boards = Board::full()?;
        qemu::ensure(&boards)?;
        if !sh::succeeds(Command::new(VALGRIND).arg("--version")) {
            sh::apt_install(&[VALGRIND])?;
        }
        sh::say("counting instructions: some minutes");
        let folder = sh::root().join("target/icount");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut cases = Vec::new();
        for shape in SHAPES {
            for storage in [Storage::F32, Storage::Int8] {
                cases.extend([Reset::Before, Reset::After].map(|reset| (shape, storage, reset)));
            }
        }
        // The boards' targets differ, and so their programs' folders: one board's programs run while another's are built.
        let rows = boards.par_iter().map(|board| {
            let measure = |&((inputs, hidden), storage, reset)| {
                let row = measure(board, storage, inputs, hidden, reset, &folder)?;
                sh::say(&row.line());
                Ok(row)
            };
            cases.iter().map(measure).collect::<Result<Vec<Row>>>()
        });
        let mut rows = rows.collect::<Result<Vec<_>>>()?.concat();
        let host = cases.par_iter().map(|&((inputs, hidden), storage, reset)| {
            let row = measure_host(storage, inputs, hidden, reset, &folder)?;
            sh::say(&row.line());
            Ok(row)
        });
        rows.extend(host.collect::<Result<Vec<Row>>>()?);
        let path = sh::root().join("benches/icount.md");
        let compilers = Compilers::find()?;
        let text = table(&rows, &compilers);
        if self.overwrite {
            return fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
        }
        let expected = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; --overwrite makes it", path.display()))?;
        println!("{text}");
        compare(&expected, &rows, &compilers)
    }
}

impl Row {
    fn line(&self) -> String {
        let cell = |figure: &Option<u64>| figure.map_or("–".to_owned(), |figure| figure.to_string());
        let mut cells: Vec<String> = self.figures.iter().map(cell).collect();
        let per_mac = self.figures[1].map_or("–".to_owned(), |max| format!("{:.2}", max as f64 / self.macs as f64));
        cells.insert(2, per_mac);
        format!("| {} | {} |", self.name, cells.join(" | "))
    }
}

/// The layer that is measured, and the start of its row.
fn subject(core: &str, storage: Storage, inputs: u16, hidden: u16, reset: Reset) -> (LayerSpec, String) {
    let layer = LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh };
    let reset = format!("{reset:?}").to_lowercase();
    (layer, format!("{core} | {inputs}×{hidden} | {} | {reset}", format_of(storage)))
}

fn format_of(storage: Storage) -> &'static str {
    if storage == Storage::Int8 { "Int8" } else { "Exact" }
}

/// A model of one layer, in a file of its row: others are read while this is written.
fn model_file(layer: LayerSpec, storage: Storage, row: &str, folder: &Path) -> Result<PathBuf> {
    let path = folder.join(row.replace(" | ", "_")).with_extension("gru");
    fs::write(&path, model_of(layer, storage)?).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn measure(board: &Board, storage: Storage, inputs: u16, hidden: u16, reset: Reset, folder: &Path) -> Result<Row> {
    let (layer, name) = subject(&board.core, storage, inputs, hidden, reset);
    let model = model_file(layer, storage, &name, folder)?;
    let soft_float = !board.has_fpu() && storage == Storage::F32;
    let (inputs_measured, repeats) = if soft_float { ("20", "1") } else { ("1000", "8") };
    let build = Build {
        environment: vec![
            ("GRULET_MODEL", model.display().to_string()),
            ("GRULET_NET", format!("(Gru<{inputs}, {hidden}, {}, Reset{reset:?}>,)", format_of(storage))),
            ("GRULET_INPUTS", inputs_measured.to_owned()),
            ("GRULET_REPEATS", repeats.to_owned()),
        ],
    };
    let programs = board.build_all(&["icount", "size", "empty"], &build)?;
    let printed = qemu::run(board, &programs.join("icount"))?;
    let value = |name: &str| -> Result<u64> {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|value| value.parse().ok()).with_context(|| format!("no `{name}` in the output:\n{printed}"))
    };
    let (min, max) = (value("instructions min")?, value("instructions max")?);
    if storage == Storage::Int8 && max - min > value("resolution")? {
        bail!("{name}: {min} to {max} instructions: the time depends on the data");
    }
    let (program, tables) = size(&programs.join("size"))?;
    let (empty, _) = size(&programs.join("empty"))?;
    let weights = layer.lines(storage) * 16;
    let figures =
        [min, max, program - empty, tables, weights, value("scratch")?, value("stack")?, value("state")?].map(Some);
    Ok(Row { name, figures, macs: layer.macs() as u64 })
}

/// A step on this machine, by callgrind.
fn measure_host(storage: Storage, inputs: u16, hidden: u16, reset: Reset, folder: &Path) -> Result<Row> {
    let (layer, name) = subject(std::env::consts::ARCH, storage, inputs, hidden, reset);
    let model = model_file(layer, storage, &name, folder)?;
    let program = std::env::current_exe().context("this program's own file")?;
    let out = model.with_extension("callgrind");
    let count = |steps: u64| -> Result<u64> {
        let mut valgrind = sh::command(VALGRIND);
        valgrind.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", out.display()));
        sh::output(valgrind.arg(&program).arg("steps").arg(&model).arg(steps.to_string()))?;
        let text = fs::read_to_string(&out).with_context(|| format!("cannot read {}", out.display()))?;
        let total = text.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok());
        total.with_context(|| format!("{} has no summary", out.display()))
    };
    let step = (count(300)? - count(100)?) / 200;
    let mut figures = [None; 8];
    (figures[0], figures[1]) = (Some(step), Some(step));
    Ok(Row { name, figures, macs: layer.macs() as u64 })
}

/// Bytes of code and constants of a program, and how many of them are tables; the empty program holds the model too.
pub fn size(program: &Path) -> Result<(u64, u64)> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let elf = object::File::parse(&*bytes).with_context(|| program.display().to_string())?;
    let sections = elf.sections().filter(|section| matches!(section.name(), Ok(".text" | ".rodata" | ".data")));
    let tables = elf.symbols().filter(|symbol| symbol.name().is_ok_and(|name| name.contains(TABLE)));
    Ok((sections.map(|section| section.size()).sum(), tables.map(|symbol| symbol.size()).sum()))
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
    let header = Header { name: "icount", ..Header::new(storage, [layer].into_iter().collect(), Output::EveryStep) };
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

/// The compilers that the firmware and this program are built with.
struct Compilers {
    firmware: String,
    host: String,
}

/// All targets have the same compiler.
const FIRMWARE_TARGET: &str = "thumbv7em-none-eabihf";

impl Compilers {
    fn find() -> Result<Self> {
        let version = |rustc: &mut Command| Ok(sh::output(rustc)?.lines().next().unwrap_or_default().to_owned());
        let firmware: Result<String> = version(&mut Way::find(FIRMWARE_TARGET)?.rustc());
        let host: Result<String> = version(sh::command("rustc").arg("--version"));
        Ok(Self { firmware: firmware?, host: host? })
    }

    /// What stands above the table.
    fn lines(&self) -> [String; 2] {
        [format!("Cortex-M: {}", self.firmware), format!("x86-64: {}", self.host)]
    }
}

fn table(rows: &[Row], compilers: &Compilers) -> String {
    let mut columns = FIGURES.to_vec();
    columns.insert(2, "per MAC");
    let mut text = format!("{METHOD}\nCompilers:\n- {}\n\n", compilers.lines().join("\n- "));
    text += &format!("| core | I×H | format | reset | {} |\n", columns.join(" | "));
    text += &format!("{}|\n", "|---".repeat(4 + columns.len()));
    for row in rows {
        text += &format!("{}\n", row.line());
    }
    text
}

/// Fails if a figure of `rows` is more than 2 % above the one in the table `expected`, of the cores whose compiler is the same.
fn compare(expected: &str, rows: &[Row], compilers: &Compilers) -> Result<()> {
    let [firmware, host] = compilers.lines().map(|line| expected.contains(&line));
    for (same, what) in [(firmware, "Cortex-M"), (host, "x86-64")] {
        if !same {
            sh::say(&format!("another compiler for {what} than the table's: its figures are not compared"));
        }
    }
    for row in rows {
        if !(if row.name.starts_with("Cortex") { firmware } else { host }) {
            continue;
        }
        let start = format!("| {} | ", row.name);
        let Some(line) = expected.lines().find_map(|line| line.strip_prefix(&start)) else {
            bail!("benches/icount.md has no row for {}; renew it with --overwrite", row.name);
        };
        let mut cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        if cells.len() != FIGURES.len() + 1 {
            bail!("benches/icount.md: the row of {} has {} figures: renew it with --overwrite", row.name, cells.len());
        }
        cells.remove(2); // per MAC
        for ((what, cell), now) in FIGURES.iter().zip(cells).zip(row.figures) {
            let Some(now) = now else { continue };
            let before: u64 =
                cell.parse().with_context(|| format!("benches/icount.md: {what} of {} is `{cell}`", row.name))?;
            if now as f64 > before as f64 * TOLERANCE {
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
        let name = "Cortex-M | 1×2 | Exact | before";
        let figures = |max| [90, max, 500, 0, 64, 20, 60, 8].map(Some);
        let row = |max| Row { name: name.into(), figures: figures(max), macs: 18 };
        let compilers = Compilers { firmware: "rustc 1".into(), host: "rustc 2".into() };
        let text = table(&[row(1000)], &compilers);
        let result = |row| compare(&text, &[row], &compilers).map_err(|error| error.to_string());
        assert_eq!(result(row(1020)), Ok(()));
        let error = result(row(1021)).expect_err("it grew");
        assert!(error.contains("instructions max grew from 1000 to 1021"), "{error}");
        let mut state = row(1000);
        state.figures[7] = Some(9);
        assert!(result(state).expect_err("it grew").contains("state grew from 8 to 9"));
        assert!(result(Row { name: "Cortex-N".into(), ..row(1) }).expect_err("no such row").contains("no row"));
        // Of another compiler, nothing is said.
        let other = Compilers { firmware: "rustc 3".into(), ..compilers };
        assert!(compare(&text, &[row(1021)], &other).is_ok());
    }
}
