//! Seconds per epoch of four training jobs, on one thread and on two: `cargo bench --package grulet-trainer --bench epoch`.
//!
//! | job | series | steps | inputs | layers | batch |
//! |---|---|---|---|---|---|
//! | a | 1000 | 10 | 1 | GRU 128 at every step, sigmoid 1 | 32 |
//! | b | 2000 | 100 | 6 | GRU 32 at the last step, softmax 4 | 32 |
//! | c | 2000 | 50 | 40 | GRU 64 at the last step, softmax 10 | 32 |
//! | d | 640 | 100 | 10 | GRU 128, GRU 128 at the last step, softmax 10 | 64 |
//!
//! Median of seven epochs after one to warm up. Times of a busy machine say little alone; ratios in one run do.
//!
//! With `-- --job a --reset before --threads 1 --data a.npz` it trains on that file at the command of
//! `benches/train_compare/run.py`.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use cpu_time::ProcessTime;
use grulet::LayerSpec;
use grulet::spec::{Activation, Candidate, Gate, Output, Reset};
use grulet_trainer::data::Npz;
use grulet_trainer::nn::{Batch, Epsilon, Loss, Metrics, Network, Optimizer, Rng, Rule, Trainer};

const EPOCHS: usize = 7;

struct Job {
    name: &'static str,
    series: usize,
    steps: usize,
    inputs: u16,
    hidden: &'static [u16],
    outputs: u16,
    batch: usize,
    output: Output,
}

const JOBS: [Job; 4] = [
    Job {
        name: "a",
        series: 1000,
        steps: 10,
        inputs: 1,
        hidden: &[128],
        outputs: 1,
        batch: 32,
        output: Output::EveryStep,
    },
    Job {
        name: "b",
        series: 2000,
        steps: 100,
        inputs: 6,
        hidden: &[32],
        outputs: 4,
        batch: 32,
        output: Output::LastStep,
    },
    Job {
        name: "c",
        series: 2000,
        steps: 50,
        inputs: 40,
        hidden: &[64],
        outputs: 10,
        batch: 32,
        output: Output::LastStep,
    },
    Job {
        name: "d",
        series: 640,
        steps: 100,
        inputs: 10,
        hidden: &[128, 128],
        outputs: 10,
        batch: 64,
        output: Output::LastStep,
    },
];

/// Seconds per epoch of the trainer.
#[derive(Parser)]
struct Cli {
    /// One job alone, on data that the other frameworks get too.
    #[arg(long, requires_all = ["reset", "threads", "data"], value_parser = ["a", "b", "c", "d"])]
    job: Option<String>,
    /// Where the reset gate acts.
    #[arg(long, requires = "job", value_parser = ["before", "after"])]
    reset: Option<String>,
    /// Threads to train on.
    #[arg(long, requires = "job")]
    threads: Option<usize>,
    /// A `.npz` with inputs `x` (N, T, I), targets `y` (N, T, 1) or (N), and `params`: all weights in Keras's layout.
    #[arg(long, requires = "job")]
    data: Option<PathBuf>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let (Some(name), Some(reset), Some(threads), Some(data)) = (cli.job, cli.reset, cli.threads, cli.data) else {
        print_table();
        return Ok(());
    };
    let job = JOBS.iter().find(|job| job.name == name).context("no such job")?;
    let reset = if reset == "before" { Reset::Before } else { Reset::After };
    compare(job, reset, threads, &data)
}

fn print_table() {
    println!("{:<4} {:<7} {:>12} {:>12} {:>14}", "job", "reset", "1 thread", "2 threads", "GFLOP/s (1)");
    for job in &JOBS {
        let batches = random_batches(job);
        for reset in [Reset::Before, Reset::After] {
            let layers = job.layers(reset);
            let median = |threads| {
                let network = Network::new(&layers, job.output, 1).expect("the layers form a chain");
                let mut run = Run::new(network, threads).expect("the loss fits the head");
                run.epoch(&batches).expect("the batches fit the network");
                let mut times = [0.0; EPOCHS].map(|_| {
                    let start = Instant::now();
                    run.epoch(&batches).expect("the batches fit the network");
                    start.elapsed().as_secs_f64()
                });
                times.sort_by(f64::total_cmp);
                times[EPOCHS / 2]
            };
            let (one, two) = (median(1), median(2));
            let macs: usize = layers.iter().map(LayerSpec::macs).sum();
            // A multiply-accumulate is two operations forward, and four back: by the inputs and by the weights.
            let speed = 6.0 * (job.series * job.steps * macs) as f64 / one * 1e-9;
            let reset = format!("{reset:?}").to_lowercase();
            println!("{:<4} {reset:<7} {:>9.1} ms {:>9.1} ms {speed:>14.1}", job.name, one * 1e3, two * 1e3);
        }
    }
}

/// Trains on a file: an epoch at once, and another for each line of standard input. After each it prints a line of JSON, the
/// same as `benches/train_compare/measure.py` for the others.
fn compare(job: &Job, reset: Reset, threads: usize, data: &Path) -> Result<()> {
    let mut npz = Npz::open(data)?;
    let mut array = |key| -> Result<Vec<f32>> {
        let array = npz.array(key, "")?;
        Ok(array.map_numbers(0..array.len(), |number| number as f32))
    };
    let batches = file_batches(job, &array("x")?, &array("y")?);
    let network = Network::from_params(&job.layers(reset), job.output, array("params")?)?;
    let mut run = Run::new(network, threads)?;
    let loss = run.epoch(&batches)?;
    let (cpu, ended) = (ProcessTime::now().as_duration().as_secs_f64(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    println!("{}", serde_json::json!({ "loss": loss, "cpu": cpu, "ended": ended.as_secs_f64() }));
    for line in std::io::stdin().lines() {
        line?;
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        let loss = run.epoch(&batches)?;
        let (cpu, wall) = (cpu.elapsed().as_secs_f64(), wall.elapsed().as_secs_f64());
        println!("{}", serde_json::json!({ "loss": loss, "cpu": cpu, "wall": wall, "peak_kib": peak_kib()? }));
    }
    Ok(())
}

/// The largest resident memory of this process so far. Not `getrusage`'s: that counts what its parent had before `exec`.
fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("peak memory can be read on Linux alone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("/proc/self/status has no VmHWM")?;
    Ok(number.parse()?)
}

impl Job {
    fn layers(&self, reset: Reset) -> Vec<LayerSpec> {
        let mut inputs = self.inputs;
        let mut layers = Vec::new();
        for &hidden in self.hidden {
            layers.push(LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh });
            inputs = hidden;
        }
        let activation = match self.output {
            Output::EveryStep => Activation::Sigmoid,
            Output::LastStep | Output::Sequence(_) => Activation::Softmax,
        };
        layers.push(LayerSpec::Dense { inputs, outputs: self.outputs, activation });
        layers
    }
}

/// A network in training.
struct Run {
    trainer: Trainer<f32>,
    optimizer: Optimizer<f32>,
}

impl Run {
    fn new(network: Network<f32>, threads: usize) -> Result<Self> {
        let loss = match network.output() {
            Output::EveryStep => Loss::BinaryCrossEntropy,
            Output::LastStep | Output::Sequence(_) => Loss::SparseCategoricalCrossEntropy,
        };
        let optimizer = Optimizer::new(network.params().len(), Rule::Adam(Epsilon::Keras));
        Ok(Self { trainer: Trainer::new(network, loss, threads)?, optimizer })
    }

    /// Trains once over the batches; the mean loss before each step.
    fn epoch(&mut self, batches: &[Batch<f32>]) -> Result<f64> {
        let mut metrics = Metrics::default();
        for batch in batches {
            metrics.merge(self.trainer.gradient(batch)?);
            let (params, gradients) = self.trainer.params_and_gradients();
            self.optimizer.step(params, gradients, 1e-3);
        }
        Ok(metrics.loss())
    }
}

/// Batches of a job in order: the first series of each, and how many they are.
fn cuts(job: &Job) -> impl Iterator<Item = (usize, usize)> {
    (0..job.series).step_by(job.batch).map(|start| (start, job.batch.min(job.series - start)))
}

fn random_batches(job: &Job) -> Vec<Batch<f32>> {
    let mut rng = Rng::new(1, 0);
    let batch = |(_, rows)| {
        let answers = if job.output == Output::EveryStep { job.steps * rows } else { rows };
        Batch {
            steps: job.steps,
            lengths: vec![job.steps; rows],
            x: (0..job.steps * rows * usize::from(job.inputs)).map(|_| rng.normal() as f32).collect(),
            targets: (0..answers).map(|_| (rng.uniform() * f64::from(job.outputs.max(2))) as u32 as f32).collect(),
            ..Batch::default()
        }
    };
    cuts(job).map(batch).collect()
}

/// Batches of inputs (N, T, I) and targets (N, T, 1) or (N).
fn file_batches(job: &Job, x: &[f32], y: &[f32]) -> Vec<Batch<f32>> {
    // (N, T, width) to (T, B, width) for the series of a batch.
    let time_major = |values: &[f32], start: usize, rows: usize, steps: usize, width: usize| {
        let places = (0..steps).flat_map(|t| (start..start + rows).map(move |row| (row * steps + t) * width));
        let mut turned = Vec::with_capacity(steps * rows * width);
        places.for_each(|place| turned.extend_from_slice(&values[place..place + width]));
        turned
    };
    let batch = |(start, rows)| Batch {
        steps: job.steps,
        lengths: vec![job.steps; rows],
        x: time_major(x, start, rows, job.steps, usize::from(job.inputs)),
        targets: time_major(y, start, rows, if job.output == Output::EveryStep { job.steps } else { 1 }, 1),
        ..Batch::default()
    };
    cuts(job).map(batch).collect()
}
