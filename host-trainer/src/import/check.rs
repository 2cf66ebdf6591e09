//! Whether an imported model gives what its source gives.

use grulet::Exact;
use grulet::blob::AlignedBytes;
use grulet::spec::Output;
use serde::Serialize;

use super::chain::{Chain, Graph};
use super::{Imported, reference, samples};
use crate::data::{Dataset, NpyArray, Series};
use crate::evaluate::Loaded;
use crate::nn::Rng;

/// Series that are made for a comparison with the source's own graph.
const SERIES: usize = 8;
/// Their steps, where the source does not fix them.
const STEPS: usize = 32;

/// How far a model's outputs are from those expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Series compared.
    pub series: usize,
    /// Answers compared: one per step, or one per series.
    pub answers: usize,
    /// The largest difference.
    pub max: f64,
    /// Root of the mean square difference.
    pub rms: f64,
    /// The largest magnitude expected, which the tolerance is relative to.
    pub largest: f64,
    /// The first answer that differs by more than the tolerance.
    pub first: Option<Parting>,
}

/// An answer that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    /// The series, from 0.
    pub series: usize,
    /// The step in it, from 0; 0 where a series has one answer.
    pub step: usize,
    /// The output, from 0.
    pub output: usize,
    /// What was expected.
    pub expected: f64,
    /// What the model gives.
    pub found: f64,
}

/// Why a comparison cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The model does not run.
    #[error("the imported model cannot be run: {0}")]
    Run(#[from] grulet::Error),
    /// Inputs or outputs of another shape.
    #[error("{what} have the shape {found:?}, but this model takes {expected}")]
    Shape {
        /// Which.
        what: &'static str,
        /// Their shape.
        found: Vec<usize>,
        /// What would fit.
        expected: String,
    },
    /// An encoder-decoder without what its decoder was given.
    #[error(
        "an encoder-decoder needs what its decoder was given too: name three arrays, --keys X,TOKENS,Y, of one .npz"
    )]
    NoTokens,
    /// A decoder's tokens that do not begin with its start token.
    #[error(
        "the decoder's tokens of series {series} do not begin with {start}, or are no one-hot vectors; give the right --start"
    )]
    Start {
        /// The series, from 0.
        series: usize,
        /// The start token.
        start: u16,
    },
}

/// Compares the model in `blob` with the source's own graph, computed in `f64` on inputs that are made here.
///
/// # Errors
/// If the model does not run.
pub fn against_graph(imported: &Imported, blob: &AlignedBytes, tolerance: f64) -> Result<Difference, CheckError> {
    let mut rng = Rng::new(2, 0);
    let card = &imported.checkpoint.card;
    let frames = |values: &[f32], width: usize| -> Vec<Vec<f64>> {
        values.chunks_exact(width).map(|frame| frame.iter().map(|&value| value.into()).collect()).collect()
    };
    let steps = |chain: &Chain| if chain.window > 0 { chain.window } else { STEPS };
    let (mut series, mut expected) = (Vec::new(), Vec::new());
    for number in 0..SERIES {
        let (x, targets, outputs) = match &imported.graph {
            Graph::Chain(chain) => {
                let x = samples(chain, card, steps(chain) * chain.inputs, &mut rng);
                let (outputs, _) = reference::run(chain, &frames(&x, chain.inputs), &[]);
                (x, Vec::new(), outputs)
            }
            Graph::Pair { encoder, decoder } => {
                let x = samples(encoder, card, steps(encoder) * encoder.inputs, &mut rng);
                let (_, states) = reference::run(encoder, &frames(&x, encoder.inputs), &[]);
                let Output::Sequence(decoding) = card.output else { continue };
                let targets = samples(decoder, card, usize::from(decoding.longest), &mut rng);
                let tokens = [&[f32::from(decoding.start)], &targets[..targets.len().saturating_sub(1)]].concat();
                let (outputs, _) = reference::run(decoder, &frames(&tokens, 1), &states);
                (x, targets, outputs)
            }
        };
        expected.push(outputs.concat());
        series.push(one(number, x, targets));
    }
    compare(blob, series, &expected, tolerance)
}

/// What a source gave: inputs `x`, `(N, T, I)` or `(N, T)`, and outputs `y`, `(N, T, O)` or `(N, O)`; without N for a single
/// series.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The inputs.
    pub x: &'a NpyArray,
    /// What the decoder of an encoder-decoder was given: tokens `(N, U)` with the start token first, or such one-hot vectors
    /// `(N, U, V)`. Nothing for a chain.
    pub tokens: Option<&'a NpyArray>,
    /// The outputs.
    pub y: &'a NpyArray,
    /// Whether the first two dimensions are `(T, N, …)`.
    pub time_major: bool,
}

/// Compares the model in `blob` with what its source gave.
///
/// # Errors
/// If the shapes do not fit the model.
pub fn against_outputs(blob: &AlignedBytes, given: Given<'_>, tolerance: f64) -> Result<Difference, CheckError> {
    let Given { x, y, time_major, .. } = given;
    let model = Loaded::<Exact>::from_blob(blob)?;
    let header = model.header();
    let (inputs, outputs) = (header.inputs(), header.outputs());
    let every_step = header.output == Output::EveryStep;
    let in_order = |a: usize, b: usize| if time_major { (b, a) } else { (a, b) };
    // Along which axis of the inputs the first one of the outputs goes.
    let same = |a: usize, b: usize| y.shape().first() == Some(if time_major && !every_step { &b } else { &a });
    let (n, steps) = match *x.shape() {
        [a, b, c] if c == inputs => in_order(a, b),
        // A single series, or series of single numbers: the outputs tell which.
        [a, b] if inputs == 1 && same(a, b) && !(b == 1 && every_step) => in_order(a, b),
        [a, b] if b == inputs => (1, a),
        [a] if inputs == 1 => (1, a),
        _ => return Err(wrong("the inputs", x, format!("(N, T, {inputs})"))),
    };
    let sequences = match (header.output, given.tokens) {
        (Output::Sequence(decoding), Some(tokens)) => decoder_tokens(tokens, n, decoding.start)?,
        (Output::Sequence(_), None) => return Err(CheckError::NoTokens),
        _ => vec![Vec::new(); n],
    };
    let answers = match header.output {
        Output::EveryStep => steps,
        Output::LastStep => 1,
        Output::Sequence(_) => sequences.first().map_or(0, Vec::len),
    };
    if n * steps == 0 {
        return Err(wrong("the inputs", x, format!("at least one series, (N, T, {inputs})")));
    }
    if y.len() != n * answers * outputs {
        let expected = match header.output {
            Output::LastStep => format!("({n}, {outputs})"),
            _ => format!("({n}, {answers}, {outputs})"),
        };
        return Err(wrong("the outputs", y, expected));
    }
    // Where series `s` has the frame of step `t`, of arrays with so many steps.
    let at = |s: usize, t: usize, steps: usize| if time_major { t * n + s } else { s * steps + t };
    let values = |array: &NpyArray, s: usize, steps: usize, width: usize| -> Vec<f64> {
        let frames = (0..steps).flat_map(|t| (0..width).map(move |i| (t, i)));
        frames.map(|(t, i)| array.number(at(s, t, steps) * width + i)).collect()
    };
    let series = sequences.into_iter().enumerate().map(|(s, targets)| {
        let x = values(x, s, steps, inputs).into_iter().map(|value| value as f32).collect();
        one(s, x, targets)
    });
    let expected: Vec<Vec<f64>> = (0..n).map(|s| values(y, s, answers, outputs)).collect();
    compare(blob, series.collect(), &expected, tolerance)
}

fn wrong(what: &'static str, array: &NpyArray, expected: String) -> CheckError {
    CheckError::Shape { what, found: array.shape().to_vec(), expected }
}

/// What the decoder takes after the start token, of each series; the last one is of no account.
fn decoder_tokens(array: &NpyArray, n: usize, start: u16) -> Result<Vec<Vec<f32>>, CheckError> {
    let (count, width) = match *array.shape() {
        [rows, count] if rows == n => (count, 1),
        [rows, count, width] if rows == n => (count, width),
        _ => return Err(wrong("the decoder's tokens", array, format!("({n}, U)"))),
    };
    let token = |index: usize| {
        let frame = array.map_numbers(index * width..(index + 1) * width, |number| number);
        match width {
            1 => frame.first().map(|&token| token as f32),
            _ => frame.iter().position(|&value| value == 1.0).map(|token| token as f32),
        }
    };
    let mut sequences = Vec::new();
    for series in 0..n {
        let tokens: Option<Vec<f32>> = (0..count).map(|u| token(series * count + u)).collect();
        let Some(mut tokens) = tokens.filter(|tokens| tokens.first() == Some(&f32::from(start))) else {
            return Err(CheckError::Start { series, start });
        };
        tokens.rotate_left(1);
        sequences.push(tokens);
    }
    Ok(sequences)
}

fn one(number: usize, x: Vec<f32>, targets: Vec<f32>) -> Series {
    Series { name: number.to_string(), group: None, start: 0, x, targets, weights: Vec::new() }
}

fn compare(
    blob: &AlignedBytes,
    series: Vec<Series>,
    expected: &[Vec<f64>],
    tolerance: f64,
) -> Result<Difference, CheckError> {
    let model = Loaded::<Exact>::from_blob(blob)?;
    let header = model.header();
    let data = Dataset {
        series,
        channels: vec![String::new(); header.inputs()],
        units: Vec::new(),
        classes: Vec::new(),
        sample_rate: None,
        output: header.output,
        target_width: header.outputs(),
    };
    let found = model.run(&data, |_, _, _| {})?;
    let width = header.outputs();
    let finite = expected.iter().flatten().filter(|value| value.is_finite());
    let largest = finite.fold(0f64, |max, value| max.max(value.abs()));
    let mut difference = Difference {
        series: expected.len(),
        answers: found.values.len() / width,
        max: 0.0,
        rms: 0.0,
        largest,
        first: None,
    };
    let mut squares = 0.0;
    let mut found = found.values.iter();
    for (series, expected) in expected.iter().enumerate() {
        for (index, (&expected, &found)) in expected.iter().zip(&mut found).enumerate() {
            let off = (f64::from(found) - expected).abs();
            // What is not a number is off by any measure.
            let off = if off.is_nan() { f64::INFINITY } else { off };
            squares += off * off;
            difference.max = difference.max.max(off);
            if off > tolerance * largest && difference.first.is_none() {
                let (step, output) = (index / width, index % width);
                difference.first = Some(Parting { series, step, output, expected, found: found.into() });
            }
        }
    }
    difference.rms = (squares / (difference.answers * width).max(1) as f64).sqrt();
    Ok(difference)
}
