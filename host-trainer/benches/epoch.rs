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

use std::time::Instant;

use grulet::LayerSpec;
use grulet::spec::{Activation, Candidate, Gate, Output, Reset};
use grulet_trainer::nn::{Batch, Epsilon, Loss, Network, Optimizer, Rng, Rule, Trainer};

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

fn main() {
    println!("{:<4} {:<7} {:>12} {:>12} {:>14}", "job", "reset", "1 thread", "2 threads", "GFLOP/s (1)");
    for job in &JOBS {
        for reset in [Reset::Before, Reset::After] {
            let (one, macs) = seconds_per_epoch(job, reset, 1);
            let (two, _) = seconds_per_epoch(job, reset, 2);
            let reset = format!("{reset:?}").to_lowercase();
            // A multiply-accumulate is two operations forward, and four back: by the inputs and by the weights.
            let speed = 6.0 * macs / one * 1e-9;
            println!("{:<4} {reset:<7} {:>9.1} ms {:>9.1} ms {speed:>14.1}", job.name, one * 1e3, two * 1e3);
        }
    }
}

/// The median time of an epoch, and the forward pass's multiply-accumulates in it.
fn seconds_per_epoch(job: &Job, reset: Reset, threads: usize) -> (f64, f64) {
    let mut inputs = job.inputs;
    let mut layers = Vec::new();
    for &hidden in job.hidden {
        layers.push(LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh });
        inputs = hidden;
    }
    let (activation, loss) = match job.output {
        Output::EveryStep => (Activation::Sigmoid, Loss::BinaryCrossEntropy),
        Output::LastStep => (Activation::Softmax, Loss::SparseCategoricalCrossEntropy),
    };
    layers.push(LayerSpec::Dense { inputs, outputs: job.outputs, activation });
    let macs: usize = layers.iter().map(LayerSpec::macs).sum();

    let network = Network::<f32>::new(&layers, job.output, 1).expect("the layers form a chain");
    let mut trainer = Trainer::new(network, loss, threads).expect("the loss fits the head");
    let mut optimizer = Optimizer::new(trainer.network().params().len(), Rule::Adam(Epsilon::Keras));
    let batches = batches(job);
    let mut epoch = || {
        let start = Instant::now();
        for batch in &batches {
            trainer.gradient(batch).expect("the batch fits the network");
            let (params, gradients) = trainer.params_and_gradients();
            optimizer.step(params, gradients, 1e-3);
        }
        start.elapsed().as_secs_f64()
    };
    epoch();
    let mut times: Vec<f64> = (0..7).map(|_| epoch()).collect();
    times.sort_by(f64::total_cmp);
    (times[3], (job.series * job.steps * macs) as f64)
}

fn batches(job: &Job) -> Vec<Batch<f32>> {
    let mut rng = Rng::new(1, 0);
    let mut batches = Vec::new();
    let mut left = job.series;
    while left > 0 {
        let rows = job.batch.min(left);
        left -= rows;
        let answers = if job.output == Output::EveryStep { job.steps * rows } else { rows };
        batches.push(Batch {
            steps: job.steps,
            lengths: vec![job.steps; rows],
            x: (0..job.steps * rows * usize::from(job.inputs)).map(|_| rng.normal() as f32).collect(),
            targets: (0..answers).map(|_| (rng.uniform() * f64::from(job.outputs.max(2))) as u32 as f32).collect(),
            ..Batch::default()
        });
    }
    batches
}
