//! The answers of a target beside those of the host, bit for bit, and both beside the labels.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use grulet::blob::AlignedBytes;
use grulet::spec::{Output, Storage};
use grulet::{AnyModel, BitHash, Blob, Exact, Format, Header, Int8};
use grulet_board_tools::{Board, Project};
use serde::Serialize;

use super::target::{Target, build, run};
use super::{is_bidirectional, program};
use crate::data::Dataset;
use crate::evaluate::largest;

const TEMPLATE: &str = include_str!("templates/validate.rs");

/// Bytes of flash that are kept for the program.
const PROGRAM: u64 = 96 << 10;

/// What a comparison has found.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// Series that were run, the first of the data.
    pub series: usize,
    /// Those that the target has no room for.
    pub left_out: usize,
    /// Steps of the series that were run.
    pub steps: usize,
    /// The hash of all answers of the host.
    pub host_hash: String,
    /// The hash of all answers of the target.
    pub target_hash: String,
    /// The first value that differs.
    pub difference: Option<Difference>,
    /// The target's answers against the labels, if there are any.
    pub target_labels: Option<Statistics>,
    /// The host's answers against the labels, if there are any.
    pub host_labels: Option<Statistics>,
    /// The target's answers against the host's.
    pub target_host: Statistics,
}

/// The first value that differs between host and target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The series, from 0.
    pub series: usize,
    /// The step in it, from 0.
    pub step: usize,
    /// The layer, from 0.
    pub layer: usize,
    /// The element of the layer's outputs, from 0.
    pub element: usize,
    /// The host's value: a real number in `f32`, units in integers.
    pub host: f64,
    /// The target's.
    pub target: f64,
    /// How many values of its format lie between them, plus one: units in the last place.
    pub ulp: u64,
}

/// How far answers are from a reference `y`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Fraction of the same decisions, in per cent: of a classifier the largest output, of a single output between 0 and 1
    /// whether it is above 0.5; `None` for others.
    pub acc: Option<f64>,
    /// Root of the mean square error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// `‖error‖ / ‖y‖`.
    pub l2r: f64,
    /// Mean error.
    pub mean: f64,
    /// Standard deviation of the error.
    pub std: f64,
    /// Nash–Sutcliffe efficiency, `1 - Σ error² / Σ (y - mean y)²`.
    pub nse: f64,
    /// Cosine of the angle between both.
    pub cos: f64,
}

/// [`Statistics`] of `found` against `expected`, of so many values per answer.
pub fn statistics(found: &[f32], expected: &[f32], width: usize) -> Statistics {
    let pairs = || found.iter().zip(expected).map(|(&found, &expected)| (f64::from(found), f64::from(expected)));
    let n = expected.len().max(1) as f64;
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs().map(|(found, expected)| f(found, expected)).sum::<f64>();
    let squares = sum(&|a, b| (a - b) * (a - b));
    let (mean, middle) = (sum(&|a, b| a - b) / n, sum(&|_, b| b) / n);
    let variation = sum(&|_, b| (b - middle) * (b - middle));
    let (norm, norm_found) = (sum(&|_, b| b * b).sqrt(), sum(&|a, _| a * a).sqrt());
    // Nothing at all is off by nothing of it.
    let ratio = |a: f64, b: f64, none: f64| if b == 0.0 { if a == 0.0 { none } else { f64::NAN } } else { a / b };
    let unit = |values: &[f32]| values.iter().all(|value| (0.0..=1.0).contains(value));
    let same = match width {
        1 if unit(found) && unit(expected) => Some(pairs().filter(|(a, b)| (*a > 0.5) == (*b > 0.5)).count()),
        0 | 1 => None,
        _ if unit(found) && unit(expected) => {
            let answers = found.chunks_exact(width).zip(expected.chunks_exact(width));
            Some(answers.filter(|(a, b)| largest(a) == largest(b)).count())
        }
        _ => None,
    };
    Statistics {
        acc: same.map(|same| 100.0 * same as f64 / (n / width.max(1) as f64)),
        rmse: (squares / n).sqrt(),
        mae: sum(&|a, b| (a - b).abs()) / n,
        l2r: ratio(squares.sqrt(), norm, 0.0),
        mean,
        std: (sum(&|a, b| (a - b - mean).powi(2)) / n).sqrt(),
        nse: 1.0 - ratio(squares, variation, 0.0),
        cos: ratio(sum(&|a, b| a * b), norm * norm_found, 1.0),
    }
}

/// Runs the model in `blob` over `data` on the host, the one in `on_target` on the target, and compares. `labels` are the
/// expected answers, if there are any.
///
/// # Errors
/// If the model does not run, the firmware cannot be built, or the target does not answer.
pub fn validate(blob: &AlignedBytes, on_target: &AlignedBytes, data: &Dataset, target: &Target) -> Result<Validation> {
    match Blob::parse(blob.as_ref())?.header().storage {
        Storage::Int8 => validate_in::<Int8>(blob, on_target, data, target),
        _ => validate_in::<Exact>(blob, on_target, data, target),
    }
}

/// A format's name in the firmware, and its units as words.
trait Words: Format {
    const NAME: &'static str;
    const BITS: &'static str;
    fn word(unit: Self::Unit) -> u32;
    fn value(word: u32) -> f64;
    /// The place of a word among all values, in order.
    fn place(word: u32) -> i64;
}

impl Words for Exact {
    const NAME: &'static str = "Exact";
    const BITS: &'static str = "fn bits(unit: f32) -> u32 { unit.to_bits() }";
    fn word(unit: f32) -> u32 {
        unit.to_bits()
    }
    fn value(word: u32) -> f64 {
        f32::from_bits(word).into()
    }
    fn place(word: u32) -> i64 {
        let magnitude = i64::from(word & 0x7fff_ffff);
        if word >> 31 == 1 { -magnitude } else { magnitude }
    }
}

impl Words for Int8 {
    const NAME: &'static str = "Int8";
    const BITS: &'static str = "fn bits(unit: i16) -> u32 { u32::from(unit as u16) }";
    fn word(unit: i16) -> u32 {
        u32::from(unit as u16)
    }
    fn value(word: u32) -> f64 {
        f64::from(word as u16 as i16)
    }
    fn place(word: u32) -> i64 {
        i64::from(word as u16 as i16)
    }
}

/// What a run over series gives: the bits of its answers, and of the outputs of each layer at each step if it was traced.
#[derive(Debug, Default)]
struct Answers {
    outputs: Vec<u32>,
    layers: Vec<Vec<u32>>,
}

fn validate_in<F: Words>(
    blob: &AlignedBytes,
    on_target: &AlignedBytes,
    data: &Dataset,
    target: &Target,
) -> Result<Validation> {
    let model = AnyModel::<F>::from_blob(blob)?;
    let header = model.header();
    if header.output.encoder() > 0 {
        bail!("an encoder-decoder is compared by its self-test: `grulet new` makes a firmware that runs it");
    }
    if is_bidirectional(header) {
        bail!("a model of both directions is compared by its self-test: `grulet new` makes a firmware that runs it");
    }
    let width = data.inputs().max(1);
    if data.series.is_empty() {
        bail!("there are no series in the data");
    }
    // As many series as there is room for.
    let mut room = match target {
        Target::Host => u64::MAX,
        Target::Board(board) => board.memory().0.saturating_sub(PROGRAM + on_target.as_ref().len() as u64),
    };
    let fits = |series: &&crate::data::Series| {
        let bytes = 4 * series.x.len() as u64;
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    let series: Vec<&[f32]> = data.series.iter().take_while(fits).map(|series| &series.x[..]).collect();
    if series.is_empty() {
        bail!("the target has no room for the first series; give shorter ones");
    }

    let host = run_on_host::<F>(&model, &series, false)?;
    let found = run_on_target::<F>(on_target, &series, width, target, false)?;
    if found.outputs.len() != host.outputs.len() {
        bail!("the target has given {} values, the host {}", found.outputs.len(), host.outputs.len());
    }
    let difference = match host.outputs.iter().zip(&found.outputs).position(|(a, b)| a != b) {
        None => None,
        Some(at) => Some(trace::<F>(&model, on_target, &series, width, target, at)?),
    };

    let values = |answers: &Answers| answers.outputs.iter().map(|&word| f32::from_bits(word)).collect::<Vec<f32>>();
    let (host_values, target_values) = (values(&host), values(&found));
    let outputs = header.outputs();
    let labels = labels(data, series.len(), header, host_values.len());
    let against = |values: &[f32]| labels.as_ref().map(|labels| statistics(values, labels, outputs));
    let hash = |values: &[f32]| {
        let mut hash = BitHash::new();
        hash.update(values);
        format!("{:016x}", hash.finish())
    };
    Ok(Validation {
        series: series.len(),
        left_out: data.series.len() - series.len(),
        steps: series.iter().map(|x| x.len() / width).sum(),
        host_hash: hash(&host_values),
        target_hash: hash(&target_values),
        difference,
        target_labels: against(&target_values),
        host_labels: against(&host_values),
        target_host: statistics(&target_values, &host_values, outputs),
    })
}

/// What the first `series` series should give, one value for each output: a class as a vector of zeros and a one.
fn labels(data: &Dataset, series: usize, header: &Header<'_>, values: usize) -> Option<Vec<f32>> {
    let outputs = header.outputs();
    let targets = data.series.iter().take(series).flat_map(|series| series.targets.iter().copied());
    let labels: Vec<f32> = if data.target_width == 1 && outputs > 1 {
        targets.flat_map(|class| (0..outputs).map(move |output| f32::from(u8::from(output as f32 == class)))).collect()
    } else {
        targets.collect()
    };
    (labels.len() == values && values > 0).then_some(labels)
}

fn run_on_host<F: Words>(model: &AnyModel<'_, F>, series: &[&[f32]], traced: bool) -> Result<Answers> {
    let mut answers = Answers::default();
    for x in series {
        let layers = &mut answers.layers;
        let outputs = model.run_series(x, |_, _, y| {
            if traced {
                layers.push(y.iter().map(|&unit| F::word(unit)).collect());
            }
        })?;
        answers.outputs.extend(outputs.iter().map(|output| output.to_bits()));
    }
    Ok(answers)
}

fn run_on_target<F: Words>(
    blob: &AlignedBytes,
    series: &[&[f32]],
    width: usize,
    target: &Target,
    traced: bool,
) -> Result<Answers> {
    let model = AnyModel::<F>::from_blob(blob).context("the target's model")?;
    let board: &Board = match target {
        Target::Host => return run_on_host(&model, series, traced),
        Target::Board(board) => board,
    };
    let header = model.header();
    let lengths: Vec<String> = series.iter().map(|x| format!("{}", x.len() / width)).collect();
    let mut settings = String::new();
    writeln!(settings, "type F = {};\n{}", F::NAME, F::BITS)?;
    writeln!(settings, "const CAPACITY: usize = {};\nconst WIDTH: usize = {width};", model.capacity())?;
    writeln!(
        settings,
        "const EVERY_STEP: bool = {};\nconst TRACE: bool = {traced};",
        header.output == Output::EveryStep
    )?;
    writeln!(settings, "const LENGTHS: &[u32] = &[{}];", lengths.join(", "))?;
    let inputs: Vec<u8> = series.iter().flat_map(|x| x.iter()).flat_map(|value| value.to_le_bytes()).collect();
    let files =
        [("src/settings.rs", settings.as_bytes()), ("model.gru", blob.as_ref()), ("inputs.bin", inputs.as_slice())];
    let main = program("Prints the bits of a model's answers, for a comparison with the host's.", TEMPLATE);
    let project = Project { name: "grulet-validate", board, main: &main, stack: false, files: &files };
    let built = build(&project)?;
    let printed = run(board, &built.path)?;
    parse(&printed)
}

/// What the firmware has printed.
fn parse(printed: &str) -> Result<Answers> {
    let mut answers = Answers::default();
    let mut done = false;
    for line in printed.lines() {
        let mut words = line.split_whitespace();
        // A line of defmt has its level and time before it.
        let Some(mark) = words.find(|word| ["answer", "layer", "done", "error:"].contains(word)) else { continue };
        let words = || words.map(|word| u32::from_str_radix(word, 16));
        match mark {
            "answer" => answers.outputs.extend(words().collect::<Result<Vec<u32>, _>>()?),
            "layer" => answers.layers.push(words().collect::<Result<_, _>>()?),
            "done" => done = true,
            _ => bail!("the target says: {line}"),
        }
    }
    if !done {
        bail!("the target has stopped before the end; its output:\n{printed}");
    }
    Ok(answers)
}

/// Runs the series of answer value `at` again, and finds the first value of any layer that differs.
fn trace<F: Words>(
    model: &AnyModel<'_, F>,
    on_target: &AlignedBytes,
    series: &[&[f32]],
    width: usize,
    target: &Target,
    at: usize,
) -> Result<Difference> {
    let header = model.header();
    let (every_step, answer) = (header.output == Output::EveryStep, at / header.outputs());
    let mut before = 0;
    let number = series.iter().position(|x| {
        before += if every_step { x.len() / width } else { 1 };
        answer < before
    });
    let number = number.context("an answer beyond the last series")?;
    let whole = series[number];
    let steps = whole.len() / width;
    // Nothing after the answer matters.
    let last = if every_step { answer - (before - steps) } else { steps - 1 };
    let part = [&whole[..(last + 1) * width]];
    let (host, found) = (run_on_host(model, &part, true)?, run_on_target::<F>(on_target, &part, width, target, true)?);
    let layers = header.layers.len();
    let joined = |answers: Answers| -> Vec<(usize, usize, u32)> {
        // A long line was broken: the sizes of the layers say where each one ends.
        let sizes = (0..=last).flat_map(|_| header.layers.iter().map(|layer| layer.outputs()));
        let mut words = answers.layers.into_iter().flatten();
        sizes
            .enumerate()
            .flat_map(|(index, size)| {
                let words: Vec<u32> = words.by_ref().take(size).collect();
                words.into_iter().enumerate().map(move |(element, word)| (index, element, word))
            })
            .collect()
    };
    let pairs = joined(host).into_iter().zip(joined(found));
    for ((index, element, a), (_, _, b)) in pairs {
        if a != b {
            return Ok(Difference {
                series: number,
                step: index / layers,
                layer: index % layers,
                element,
                host: F::value(a),
                target: F::value(b),
                ulp: F::place(a).abs_diff(F::place(b)),
            });
        }
    }
    // The layers agree: the scale of the outputs does not.
    Ok(Difference {
        series: number,
        step: last,
        layer: layers,
        element: at % header.outputs(),
        host: f64::NAN,
        target: f64::NAN,
        ulp: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_their_formulas() {
        let s = statistics(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0], 1);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} and {b}");
        near(s.rmse, (1.0f64 / 3.0).sqrt());
        near(s.mae, 1.0 / 3.0);
        near(s.l2r, 1.0 / 14f64.sqrt());
        near(s.mean, 1.0 / 3.0);
        near(s.std, (2.0f64 / 9.0).sqrt());
        near(s.nse, 0.5);
        near(s.cos, 17.0 / (21f64.sqrt() * 14f64.sqrt()));
        assert_eq!(s.acc, None);
        let s = statistics(&[0.9, 0.1, 0.4, 0.6], &[1.0, 0.0, 1.0, 0.0], 2);
        assert_eq!(s.acc, Some(50.0));
        assert_eq!(statistics(&[0.9, 0.1, 0.4], &[1.0, 0.0, 1.0], 1).acc, Some(100.0 * 2.0 / 3.0));
        let same = statistics(&[0.25; 4], &[0.25; 4], 1);
        assert_eq!((same.rmse, same.l2r, same.nse, same.cos), (0.0, 0.0, 1.0, 1.0));
    }

    #[test]
    fn what_a_target_prints_is_read() {
        let answers = parse("answer 3f800000 0\nINFO layer ffff\nlayer 1 2\ndone\n").unwrap();
        assert_eq!(answers.outputs, [0x3f80_0000, 0]);
        assert_eq!(answers.layers, [vec![0xffff], vec![1, 2]]);
        assert!(parse("answer 1\n").unwrap_err().to_string().contains("stopped before the end"));
        assert!(parse("error: damaged\n").unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn distances_are_in_units_of_the_last_place() {
        let one = 1f32.to_bits();
        assert_eq!(Exact::place(one).abs_diff(Exact::place(one + 3)), 3);
        // Through zero, which has two signs and one place.
        assert_eq!(Exact::place(f32::from_bits(1).to_bits()).abs_diff(Exact::place((-f32::from_bits(1)).to_bits())), 2);
        assert_eq!(Exact::place(0f32.to_bits()), Exact::place((-0f32).to_bits()));
        assert_eq!(Int8::place(0xffff).abs_diff(Int8::place(1)), 2);
    }
}
