//! The main job from end to end: train, export, run on two chips, compare.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use grulet::blob::{CHECKSUM, checksum};

use crate::compare::{Outputs, Samples, macs};
use crate::firmware::{Build, Firmware as _};
use crate::sh;
use grulet_board_tools::Board;
use grulet_board_tools::qemu;

/// Arguments of `cargo xtask demo`.
#[derive(Args, Default)]
pub struct Demo {
    /// Steps of the test recording that are streamed on every machine; all of them unless given.
    #[arg(long)]
    pub steps: Option<usize>,
    /// Flip the lowest bit of one weight in the chips' copy of the model, to see what a difference looks like.
    #[arg(long)]
    pub fault: bool,
    /// Train with the tool that the tests have built, rather than with one of the release profile: the bits are the same.
    #[arg(skip)]
    pub tested: bool,
}

/// The mean squared error that the demo promises on the held-out walk.
const PROMISED_MSE: f64 = 0.045;

/// The files of the demo.
const MODEL: &str = "model.gru";
const MODEL_INT8: &str = "model_int8.gru";
const SAMPLES: &str = "test.samples";

/// One line of the table.
struct Row {
    machine: String,
    mse: String,
    hash: String,
    flash: String,
    ram: String,
    instructions: String,
    per_mac: String,
}

impl Demo {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let start = Instant::now();
        qemu::ensure(&Board::large()?)?;
        self.train()?;
        self.compare()?;
        sh::say(&format!(
            "done in {:.0} s; the model is {}",
            start.elapsed().as_secs_f64(),
            shown(&folder().join(MODEL))
        ));
        Ok(())
    }

    /// Trains and quantises the model, and exports the samples of its test.
    fn train(&self) -> Result<()> {
        sh::say("building the trainer: a minute or two the first time");
        let grulet = if self.tested { sh::tested_grulet() } else { sh::built_grulet() }?;

        let folder = folder();
        sh::say("training GRU(16) + Dense(2) on examples/gait_phase.toml: some seconds");
        let run_dir = format!("train.run_dir={}", toml_string(&folder));
        sh::run(sh::command(&grulet).args(["train", "examples/gait_phase.toml", "--overwrite", "--set", &run_dir]))?;
        let mut export = sh::command(&grulet);
        export.arg("export").arg(&folder).arg("--samples").arg(folder.join(SAMPLES));
        if let Some(steps) = self.steps {
            export.args(["--steps", &steps.to_string()]);
        }
        sh::output(&mut export)?;

        sh::say("quantising it: int8 weights, 16-bit state");
        sh::output(sh::command(&grulet).arg("quantize").arg(&folder).arg("--output").arg(folder.join(MODEL_INT8)))?;
        Ok(())
    }

    /// Runs what [`train`](Self::train) has made on this machine and on the emulated boards, and compares every bit.
    pub fn compare(&self) -> Result<()> {
        let large = Board::large()?;
        let folder = folder();
        let data = Samples::read(&folder.join(SAMPLES))?;
        let mut mse = 0.0;
        let mut equal = Vec::new();
        let mut rows = Vec::new();
        let of_int8 = Flashed {
            format: "Int8",
            model: folder.join(MODEL_INT8),
            variable: "GRULET_MODEL_INT8",
            binary: "stream_int8",
            net: "(Gru<2, 16, Int8>, Dense<16, 2, Linear, Int8>)",
        };
        let of_f32 = Flashed {
            format: "f32",
            model: folder.join(MODEL),
            variable: "GRULET_MODEL",
            binary: "stream",
            net: "(Gru<2, 16>, Dense<16, 2>)",
        };
        for flashed in [&of_f32, &of_int8] {
            let host = Outputs::on_host(&flashed.model, &data)?;
            let hash = format!("{:016x}", host.hash());
            mse = f64::max(mse, host.mse(&data));
            rows.push(Row {
                machine: format!("{:<4} host ({})", flashed.format, std::env::consts::ARCH),
                mse: format!("{:.6}", host.mse(&data)),
                hash: hash.clone(),
                flash: String::new(),
                ram: String::new(),
                instructions: String::new(),
                per_mac: String::new(),
            });
            for board in &large {
                rows.push(flashed.stream(board, &folder.join(SAMPLES), &host, &hash, self.fault)?);
            }
            equal.push(format!("{} hash {hash}", flashed.format));
        }
        print(&rows, data.steps());
        println!("bits: equal ({})", equal.join(", "));
        if self.steps.is_none() && mse > PROMISED_MSE {
            bail!("the mean squared error is {mse:.4}, above the {PROMISED_MSE} that the README promises");
        }
        Ok(())
    }
}

/// Where the demo keeps its files.
fn folder() -> PathBuf {
    sh::root().join("target/demo")
}

/// A model on a chip.
struct Flashed {
    format: &'static str,
    model: PathBuf,
    /// The setting of the firmware's build that names the model.
    variable: &'static str,
    /// The binary that streams samples through it.
    binary: &'static str,
    /// Its type.
    net: &'static str,
}

impl Flashed {
    /// Streams `samples` through it on `board`, and compares with the outputs and the hash of the host.
    fn stream(&self, board: &Board, samples: &Path, host: &Outputs, hash: &str, fault: bool) -> Result<Row> {
        sh::say(&format!(
            "{}, {} ({}): building, streaming {} steps",
            self.format,
            board.core,
            board.name,
            host.steps()
        ));
        let model = if fault { with_fault(&self.model)? } else { self.model.clone() };
        let path = |path: &Path| path.display().to_string();
        let mut build = Build { environment: vec![(self.variable, path(&model)), ("GRULET_SAMPLES", path(samples))] };
        let machine = format!("{:<4} {} (QEMU {})", self.format, board.core, board.name);
        let found = match board.run(self.binary, &build).and_then(|printed| row(&machine, &printed)) {
            Ok(mut row) if row.hash == hash => {
                let instructions: f64 = row.instructions.parse().context("instructions per step")?;
                row.per_mac = format!("{:.2}", instructions / macs(&self.model)? as f64);
                return Ok(row);
            }
            Ok(row) => format!("hash {}", row.hash),
            Err(error) => format!("{error:#}"),
        };
        build.environment.extend([("GRULET_MODEL", path(&model)), ("GRULET_NET", self.net.to_owned())]);
        let target = Outputs::printed(&board.run("outputs", &build)?)?;
        match host.first_difference(&target) {
            Some(difference) => bail!("{machine}: bits differ, first at {difference}\n{found}"),
            None => bail!("{machine}: all outputs are the host's, but {found}, and {hash} on the host"),
        }
    }
}

/// A copy of a model in which one bit of a weight is another, with the checksum that goes with it.
fn with_fault(model: &Path) -> Result<PathBuf> {
    let mut bytes = fs::read(model).with_context(|| format!("cannot read {}", model.display()))?;
    // The middle of the file is among the weights of the largest layer.
    let (weight, end) = (bytes.len() / 2 / 4 * 4, bytes.len() - CHECKSUM);
    bytes[weight] ^= 1;
    let sum = checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    let path = model.with_file_name("fault.gru");
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A path as a TOML value.
fn toml_string(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// A path below the repository as one would type it there.
fn shown(path: &Path) -> String {
    let root: PathBuf = sh::root();
    path.strip_prefix(&root).unwrap_or(path).display().to_string()
}

/// What the firmware's `stream` printed.
fn row(machine: &str, printed: &str) -> Result<Row> {
    let value = |name: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned).with_context(|| format!("{machine}: no line `{name}: …` in the output:\n{printed}"))
    };
    let model = value("model")?;
    Ok(Row {
        machine: machine.to_owned(),
        mse: value("mse")?,
        hash: value("hash of all output bits")?,
        flash: model.rsplit(", ").next().unwrap_or_default().to_owned(),
        ram: value("RAM of the stream")?,
        instructions: value("instructions per step")?,
        per_mac: String::new(),
    })
}

fn print(rows: &[Row], steps: usize) {
    println!("\n{steps} steps of the held-out walk, from a zero state");
    println!(
        "{:<33} {:>9}  {:<17} {:>11} {:>9} {:>18} {:>7}",
        "machine", "mse", "hash of outputs", "model", "stream", "instructions/step", "per MAC"
    );
    for Row { machine, mse, hash, flash, ram, instructions, per_mac } in rows {
        println!("{machine:<33} {mse:>9}  {hash:<17} {flash:>11} {ram:>9} {instructions:>18} {per_mac:>7}");
    }
}
