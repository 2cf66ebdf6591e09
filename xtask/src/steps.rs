//! Steps of a model on this machine and nothing else, for callgrind to count.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use grulet::blob::{AlignedBytes, Blob};
use grulet::spec::Storage;
use grulet::{AnyModel, Exact, Format, Int8};

/// Arguments of `cargo xtask steps`.
#[derive(Args)]
pub struct Steps {
    /// A .gru file.
    model: PathBuf,
    /// How many steps.
    count: usize,
}

impl Steps {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let bytes = fs::read(&self.model).with_context(|| format!("cannot read {}", self.model.display()))?;
        let blob = AlignedBytes::new(&bytes);
        match Blob::parse(blob.as_ref())?.header().storage {
            Storage::Int8 => run::<Int8>(&blob, self.count),
            _ => run::<Exact>(&blob, self.count),
        }
    }
}

fn run<F: Format>(blob: &AlignedBytes, count: usize) -> Result<()> {
    let model = AnyModel::<F>::from_blob(blob)?;
    let mut stream = model.heap_stream();
    let mut sample = vec![0.0; model.header().inputs()];
    for step in 0..count {
        // Anywhere between -1 and 1.
        for (channel, x) in sample.iter_mut().enumerate() {
            *x = ((step * 7 + channel * 3) % 17) as f32 / 8.0 - 1.0;
        }
        stream.step(&sample)?;
    }
    Ok(())
}
