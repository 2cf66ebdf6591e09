//! `grulet bench`

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::source;
use crate::firmware::{self, Count, Target};
use crate::summary::thousands;

/// Count what a step of a model takes on a board: instructions in QEMU, cycles on a chip; stack, flash and RAM.
#[derive(Args)]
pub struct Bench {
    /// A .gru file, or the folder of a run.
    model: PathBuf,
    /// Where: qemu, qemu:BOARD or probe:CHIP.
    #[arg(long, default_value = "qemu")]
    target: String,
    /// Steps to count.
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let Target::Board(board) = self.target.parse()? else {
            bail!("--target host: what a step takes here says nothing of a chip; give qemu, qemu:BOARD or probe:CHIP");
        };
        if self.steps == 0 {
            bail!("--steps is 0, but must be at least 1");
        }
        let blob = source::load(&self.model)?;
        let bench = firmware::bench(blob.as_ref(), &board, self.steps)?;
        if self.json {
            return super::print_json(&bench);
        }
        let mut out = String::new();
        let bytes = |bytes: u64| thousands(bytes as usize);
        writeln!(out, "{} on the {} ({})", self.model.display(), bench.board, bench.core)?;
        for Count { of, number, least, most, mean, macs, per_mac } in &bench.counts {
            let number = thousands(*number);
            let range =
                format!("{least:.0} to {most:.0}, mean {mean:.0} of {number}; {per_mac:.3} per MAC ({macs:.0})");
            writeln!(out, "  {:<32} {range}", format!("{} per {of}", bench.unit))?;
        }
        let stack = bench.stack.map_or_else(|| "more than was looked at; see a board with more RAM".to_owned(), bytes);
        writeln!(out, "  {:<32} {stack}", "stack that steps use, bytes")?;
        writeln!(out, "  {:<32} {}", "state between steps, bytes", bytes(bench.state))?;
        let beyond = |all: u64, empty: u64| format!("{} ({} of it without a model)", bytes(all), bytes(empty));
        writeln!(
            out,
            "  {:<32} {}; model {}",
            "flash, bytes",
            beyond(bench.flash, bench.flash_empty),
            bytes(bench.model)
        )?;
        writeln!(out, "  {:<32} {}", "RAM without the stack, bytes", beyond(bench.ram, bench.ram_empty))?;
        super::print(&out)
    }
}
