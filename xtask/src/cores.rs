//! The same models on every emulated core, as a table that CI compares with.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use grulet::blob::{AlignedBytes, Blob};
use grulet::spec::Storage;
use grulet::{AnyModel, BitHash, Exact, Format, Int8};
use rayon::prelude::*;

use crate::firmware::{Build, Firmware as _};
use crate::icount::size;
use crate::sh;
use grulet_board_tools::Board;
use grulet_board_tools::Way;
use grulet_board_tools::qemu;

/// Arguments of `cargo xtask cores`.
#[derive(Args)]
pub struct Cores {
    /// Write the table anew instead of comparing with it.
    #[arg(long)]
    overwrite: bool,
}

/// The models, in the order in which `firmware-example/src/bin/cores.rs` runs them, and the network of those whose flash is
/// measured.
const MODELS: [(&str, Option<&str>); 10] = [
    ("gait_phase", Some("(Gru<2, 16>, Dense<16, 2>)")),
    ("gait_phase_int8", Some("(Gru<2, 16, Int8>, Dense<16, 2, Linear, Int8>)")),
    ("tokens", None),
    ("tokens_int8", None),
    ("pool", None),
    ("pool_int8", None),
    // From a .keras file and a .pt file, by `grulet import` and `grulet quantize`: `host-trainer/tests/import/boards.rs`.
    ("imported_keras", None),
    ("imported_keras_int8", None),
    ("imported_torch", None),
    ("imported_torch_int8", None),
];

/// Steps of each, as there.
const STEPS: usize = 200;

/// A figure may grow by 2 % before CI fails.
const TOLERANCE: f64 = 1.02;

/// The columns that may not grow.
const FIGURES: [&str; 4] = ["instructions per step", "flash", "RAM", "stack"];

/// What stands beside the table.
const METHOD: &str = "\
# The same models on every core

Printed by `cargo xtask cores --overwrite` from `firmware-example/src/bin/cores.rs` in QEMU; `cargo xtask ci` fails if a bit
differs from the host's, or a figure grows by more than 2 %.

- *hash*: of the bits of all outputs over 200 steps; the host runs the same inputs through `AnyModel`.
- *instructions per step*: of `Stream::step`, sensor units to real outputs, averaged over the steps. *of the clock*: their
  share of so many MHz at the rate of the model's sensor, at one instruction a cycle; a real core takes more cycles than
  instructions. Above 100 % it could not keep up.
- *flash*: a whole program of this network, with its start-up: model, loader, self-test, step. *RAM*: `size_of` the stream,
  all that is kept between steps. *stack*: the deepest use during a step, on painted memory. All in bytes. Measured once
  per target.
- The board `stm32vldiscovery` has 8 KB of RAM, `microbit` 16 KB, and their programs run in it.
";

/// One line of the table.
#[derive(Clone)]
struct Row {
    /// Core, board, model and format.
    name: String,
    hash: String,
    /// Share of the clock at the sensor's rate, and the clock.
    load: String,
    /// By [`FIGURES`], where they were measured.
    figures: [Option<u64>; 4],
}

impl Row {
    fn line(&self) -> String {
        let [instructions, flash, ram, stack] =
            self.figures.map(|figure| figure.map_or("–".to_owned(), |figure| figure.to_string()));
        format!("| {} | {} | {instructions} | {} | {flash} | {ram} | {stack} |", self.name, self.hash, self.load)
    }
}

impl Cores {
    /// The comparison that CI makes.
    pub const COMPARE: Cores = Cores { overwrite: false };

    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let boards = Board::emulated()?;
        qemu::ensure(&boards)?;
        let models = MODELS.iter().map(|(name, net)| Model::read(name, *net)).collect::<Result<Vec<_>>>()?;
        // A target's code is the same on all its boards, and in one folder: its boards take turns, other targets do not wait.
        let mut targets: Vec<&str> = boards.iter().map(|board| &*board.target).collect();
        targets.sort_unstable();
        targets.dedup();
        let of_target = |target: &&str| -> Result<Vec<(&str, Vec<Row>)>> {
            let boards: Vec<&Board> = boards.iter().filter(|board| board.target == *target).collect();
            let sizes = models.iter().map(|model| model.flash(boards[0])).collect::<Result<Vec<_>>>()?;
            boards.into_iter().map(|board| Ok((&*board.name, of_board(board, &models, &sizes)?))).collect()
        };
        let found = targets.par_iter().map(of_target).collect::<Result<Vec<_>>>()?.concat();
        let mut rows: Vec<Row> = models.iter().map(Model::on_host).collect();
        for board in &boards {
            rows.extend(found.iter().filter(|(name, _)| *name == board.name).flat_map(|(_, rows)| rows.clone()));
        }
        let compiler = sh::output(&mut Way::find(&boards[0].target)?.rustc())?;
        let compiler = format!("Compiler: {}", compiler.lines().next().unwrap_or_default());
        let path = sh::root().join("benches/cores.md");
        if self.overwrite {
            return fs::write(&path, table(&rows, &compiler))
                .with_context(|| format!("cannot write {}", path.display()));
        }
        let expected = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; --overwrite makes it", path.display()))?;
        compare(&expected, &rows, &compiler)
    }
}

/// The rows of a board, with the bytes of flash of each model's program.
fn of_board(board: &Board, models: &[Model], flash: &[Option<u64>]) -> Result<Vec<Row>> {
    sh::say(&format!("{} models on {} ({})", models.len(), board.name, board.core));
    let printed = board.run("cores", &Build::default())?;
    let lines: Vec<&str> = printed.lines().collect();
    ensure!(lines.len() == models.len(), "`cores` printed {} lines, not {}:\n{printed}", lines.len(), models.len());
    let row = |((model, line), flash): ((&Model, &str), &Option<u64>)| {
        let row = model.row(board, line, *flash)?;
        eprintln!("{}", row.line());
        Ok(row)
    };
    models.iter().zip(lines).zip(flash).map(row).collect()
}

/// A model of the table.
struct Model {
    name: String,
    format: &'static str,
    path: PathBuf,
    net: Option<&'static str>,
    /// Hz of its sensor; 0 if it has none.
    rate: f32,
    /// That of the outputs on this machine.
    hash: String,
}

impl Model {
    fn read(name: &str, net: Option<&'static str>) -> Result<Self> {
        let path = sh::root().join("tests/models").join(name).with_extension("gru");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let blob = AlignedBytes::new(&bytes);
        let header = Blob::parse(blob.as_ref())?;
        let (header, storage) = (header.header(), header.header().storage);
        let (format, hash) = match storage {
            Storage::Int8 => ("Int8", hash::<Int8>(&blob)?),
            _ => ("Exact", hash::<Exact>(&blob)?),
        };
        let name = name.trim_end_matches("_int8").to_owned();
        Ok(Self { name, format, net, rate: header.sample_rate, hash: format!("{hash:016x}"), path })
    }

    fn on_host(&self) -> Row {
        let name = format!("{} | host | {} | {}", std::env::consts::ARCH, self.name, self.format);
        Row { name, hash: self.hash.clone(), load: "–".to_owned(), figures: [None; 4] }
    }

    /// Bytes of a program of it, on this board's target.
    fn flash(&self, board: &Board) -> Result<Option<u64>> {
        let Some(net) = self.net else { return Ok(None) };
        let environment = vec![("GRULET_MODEL", self.path.display().to_string()), ("GRULET_NET", net.to_owned())];
        let (bytes, _) = size(&board.build("size", &Build { environment })?)?;
        Ok(Some(bytes))
    }

    /// What `cores` printed of it on a board.
    fn row(&self, board: &Board, line: &str, flash: Option<u64>) -> Result<Row> {
        let name = format!("{} | {} | {} | {}", board.core, board.name, self.name, self.format);
        let fields: Vec<&str> = line.split(' ').collect();
        let [instructions, ram, stack, bytes, hash] = fields[..] else {
            bail!("{name}: `cores` printed `{line}`");
        };
        let number = |text: &str| text.parse::<u64>().with_context(|| format!("{name}: `cores` printed `{line}`"));
        let here = fs::metadata(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?.len();
        ensure!(number(bytes)? == here, "{name}: the model has {bytes} bytes on the board, {here} here: another model");
        ensure!(hash == self.hash, "{name}: bits differ: hash {hash}, on the host {}", self.hash);
        let instructions = number(instructions)?;
        let load = match board.clock {
            Some(clock) if self.rate > 0.0 => {
                let share = instructions as f64 * f64::from(self.rate) / (f64::from(clock) * 1e6);
                format!("{:.1} % of {clock} MHz at {} Hz", share * 100.0, self.rate)
            }
            _ => "–".to_owned(),
        };
        let figures = [Some(instructions), flash, Some(number(ram)?), Some(number(stack)?)];
        Ok(Row { name, hash: hash.to_owned(), load, figures })
    }
}

/// The hash of the outputs' bits for the inputs of `cores`.
fn hash<F: Format>(blob: &AlignedBytes) -> Result<u64> {
    let model = AnyModel::<F>::from_blob(blob)?;
    let mut stream = model.heap_stream();
    let mut hash = BitHash::new();
    for t in 0..STEPS {
        let inputs = 0..model.header().inputs();
        let x: Vec<f32> = inputs.map(|i| ((7 * t + 3 * i) % 41) as f32 / 4.0 - 1.0).collect();
        hash.update(stream.step(&x)?);
    }
    Ok(hash.finish())
}

fn table(rows: &[Row], compiler: &str) -> String {
    let [instructions, flash, ram, stack] = FIGURES;
    let mut text = format!("{METHOD}\n{compiler}\n\n");
    text += &format!(
        "| core | board | model | format | hash | {instructions} | of the clock | {flash} | {ram} | {stack} |\n"
    );
    text += &format!("{}|\n", "|---".repeat(10));
    for row in rows {
        text += &format!("{}\n", row.line());
    }
    text
}

/// Fails if a hash in the table `expected` is another, or a figure more than 2 % larger by the same compiler.
fn compare(expected: &str, rows: &[Row], compiler: &str) -> Result<()> {
    let renew = "renew it with `cargo xtask cores --overwrite`";
    let same = expected.contains(compiler);
    if !same {
        sh::say("another compiler than the table's: figures are not compared");
    }
    for row in rows {
        let start = format!("| {} | ", row.name);
        let Some(line) = expected.lines().find_map(|line| line.strip_prefix(&start)) else {
            bail!("benches/cores.md has no row for {}; {renew}", row.name);
        };
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let [hash, instructions, _, flash, ram, stack] = cells[..] else {
            bail!("benches/cores.md: the row of {} has {} cells; {renew}", row.name, cells.len());
        };
        ensure!(hash == row.hash, "{}: hash {}, {hash} in benches/cores.md; if it should, {renew}", row.name, row.hash);
        for ((what, cell), now) in FIGURES.iter().zip([instructions, flash, ram, stack]).zip(row.figures) {
            let Some(now) = now.filter(|_| same) else { continue };
            let before: u64 =
                cell.parse().with_context(|| format!("benches/cores.md: {what} of {} is `{cell}`", row.name))?;
            ensure!(
                now as f64 <= before as f64 * TOLERANCE,
                "{}: {what} grew from {before} to {now}; make it smaller, or {renew}",
                row.name
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hash: &str, instructions: u64, stack: u64) -> Row {
        let figures = [Some(instructions), None, Some(72), Some(stack)];
        Row { name: "Cortex | board | model | Exact".into(), hash: hash.into(), load: "–".into(), figures }
    }

    #[test]
    fn other_bits_and_growth_beyond_two_percent_are_refused() {
        let text = table(&[row("aa", 1000, 100)], "rustc 1");
        let error = |row, compiler| compare(&text, &[row], compiler).map_err(|error| error.to_string());
        assert_eq!(error(row("aa", 1020, 102), "rustc 1"), Ok(()));
        assert!(error(row("ab", 1000, 100), "rustc 2").expect_err("other bits").contains("hash ab, aa in"));
        assert!(error(row("aa", 1021, 100), "rustc 1").expect_err("it grew").contains("step grew from 1000 to 1021"));
        assert!(error(row("aa", 1000, 103), "rustc 1").expect_err("it grew").contains("stack grew from 100 to 103"));
        assert_eq!(error(row("aa", 1021, 103), "rustc 2"), Ok(()));
        let stranger = Row { name: "Cortex | other".into(), ..row("aa", 1, 1) };
        assert!(error(stranger, "rustc 1").expect_err("no such row").contains("no row for"));
    }
}
