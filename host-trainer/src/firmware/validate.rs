//! The answers of a target beside those of the host, bit for bit, and both beside the labels.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use grulet::blob::AlignedBytes;
use grulet::spec::{Output, Storage};
use grulet::{BitHash, Blob, Exact, Format, Header, Int8};
use grulet_board_tools::{Board, Project};
use serde::Serialize;

use super::statistics::{Statistics, statistics};
use super::target::{Target, build, run};
use super::{Kind, program};
use crate::data::{Dataset, Series};
use crate::evaluate::Loaded;

const TEMPLATE: &str = include_str!("templates/validate.rs");
const STREAM: &str = include_str!("templates/validate_stream.rs");
const WINDOW: &str = include_str!("templates/validate_window.rs");
const SEQUENCE: &str = include_str!("templates/validate_sequence.rs");

/// Bytes of flash that are kept for the program.
const PROGRAM: u64 = 48 << 10;
/// Bytes of RAM that are kept for its stack, besides the memory that a model runs in.
const STACK: u64 = 4 << 10;

/// What a comparison has found.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// Series that were run, the first of the data.
    pub series: usize,
    /// Those that the target has no room for.
    pub left_out: usize,
    /// Steps of the series that were run.
    pub steps: usize,
    /// Steps of an encoder-decoder's decoder. It takes the labels' tokens (teacher forcing); where there are none, those that
    /// the host writes.
    pub decoder_steps: usize,
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
    /// The step in it, from 0; of a decoder's layer, the decoder's. A layer that runs once for a whole window has step 0.
    pub step: usize,
    /// The layer, from 0; one more than there are stands for the outputs in real units.
    pub layer: usize,
    /// The element of the layer's outputs, from 0; of a bidirectional layer, of the states of both directions, the forward
    /// one's first.
    pub element: usize,
    /// The host's value: a real number in `f32`, units in integers.
    pub host: f64,
    /// The target's.
    pub target: f64,
    /// How many values of its format lie between them, plus one: units in the last place.
    pub ulp: u64,
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
    const UNIT: &'static str;
    const BITS: &'static str;
    fn word(unit: Self::Unit) -> u32;
    fn value(word: u32) -> f64;
    /// The place of a word among all values, in order.
    fn place(word: u32) -> i64;
}

impl Words for Exact {
    const NAME: &'static str = "Exact";
    const UNIT: &'static str = "f32";
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
    const UNIT: &'static str = "i16";
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

/// What a run over series gives: the bits of its answers, and of what each layer gives at each step if it was traced.
#[derive(Debug, Default)]
struct Answers {
    outputs: Vec<u32>,
    layers: Vec<u32>,
    /// Of a run on the host, step, layer and size of each part of `layers`.
    parts: Vec<(usize, usize, usize)>,
}

fn validate_in<F: Words>(
    blob: &AlignedBytes,
    on_target: &AlignedBytes,
    data: &Dataset,
    target: &Target,
) -> Result<Validation> {
    let model = Loaded::<F>::from_blob(blob)?;
    let header = model.header();
    if data.series.is_empty() {
        bail!("there are no series in the data");
    }
    let all = data.series.len();
    let mut data = Dataset { series: fitting(data, header, on_target, target), ..data.clone() };
    if data.series.is_empty() {
        bail!(
            "the target has no room for the first series beside a model of {} bytes; give shorter ones, quantize the model, or choose \
             a larger board",
            on_target.as_ref().len()
        );
    }
    let labels = labels(&data, header);
    if let Output::Sequence(decoding) = header.output
        && data.series.iter().any(|series| series.targets.is_empty())
    {
        let written = model.sequences(&data)?;
        for (series, written) in data.series.iter_mut().zip(written) {
            let tokens = written.tokens.into_iter().chain([decoding.stop]);
            series.targets = tokens.map(f32::from).collect();
        }
    }

    let host = run_on_host::<F>(&model, &data, false)?;
    let found = run_on_target::<F>(on_target, &data, target, false)?;
    if found.outputs.len() != host.outputs.len() {
        bail!("the target has given {} values, the host {}", found.outputs.len(), host.outputs.len());
    }
    let difference = match host.outputs.iter().zip(&found.outputs).position(|(a, b)| a != b) {
        None => None,
        Some(at) => {
            let words = (host.outputs[at], found.outputs[at]);
            Some(trace::<F>(&model, on_target, &data, target, at, words)?)
        }
    };

    let values = |answers: &Answers| answers.outputs.iter().map(|&word| f32::from_bits(word)).collect::<Vec<f32>>();
    let (host_values, target_values) = (values(&host), values(&found));
    let outputs = header.outputs();
    let labels = labels.filter(|labels| labels.len() == host_values.len());
    let against = |values: &[f32]| labels.as_ref().map(|labels| statistics(values, labels, outputs));
    let hash = |values: &[f32]| {
        let mut hash = BitHash::new();
        hash.update(values);
        format!("{:016x}", hash.finish())
    };
    Ok(Validation {
        series: data.series.len(),
        left_out: all - data.series.len(),
        steps: data.total_steps(),
        decoder_steps: data.series.iter().map(|series| tokens(series, header).count()).sum(),
        host_hash: hash(&host_values),
        target_hash: hash(&target_values),
        difference,
        target_labels: against(&target_values),
        host_labels: against(&host_values),
        target_host: statistics(&target_values, &host_values, outputs),
    })
}

/// The first series of `data`, as many as the target's flash has room for.
fn fitting(data: &Dataset, header: &Header<'_>, on_target: &AlignedBytes, target: &Target) -> Vec<Series> {
    let mut room = match target {
        Target::Host => u64::MAX,
        Target::Board(board) => board.memory().0.saturating_sub(PROGRAM + on_target.as_ref().len() as u64),
    };
    let fits = |series: &&Series| {
        let tokens = match header.output {
            Output::Sequence(decoding) => series.targets.len().max(usize::from(decoding.longest) + 1),
            _ => 0,
        };
        let bytes = 4 * series.x.len() as u64 + 2 * tokens as u64;
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    data.series.iter().take_while(fits).cloned().collect()
}

/// What the series should give, one value for each output: a class as a vector of zeros and a one.
fn labels(data: &Dataset, header: &Header<'_>) -> Option<Vec<f32>> {
    let outputs = header.outputs();
    let targets = data.series.iter().flat_map(|series| series.targets.iter().copied());
    let labels: Vec<f32> = if data.target_width == 1 && outputs > 1 {
        targets.flat_map(|class| (0..outputs).map(move |output| f32::from(u8::from(output as f32 == class)))).collect()
    } else {
        targets.collect()
    };
    (!labels.is_empty()).then_some(labels)
}

/// The tokens that a decoder takes: the start token, and those of the target before each answer. None of a chain.
fn tokens(series: &Series, header: &Header<'_>) -> impl Iterator<Item = u16> {
    let (start, count) = match header.output {
        Output::Sequence(decoding) => (decoding.start, series.targets.len()),
        _ => (0, 0),
    };
    std::iter::once(start).chain(series.targets.iter().map(|&token| token as u16)).take(count)
}

fn run_on_host<F: Words>(model: &Loaded<'_, F>, data: &Dataset, traced: bool) -> Result<Answers> {
    let mut answers = Answers::default();
    let mut steps = vec![0; model.header().layers.len()];
    let outputs = model.run(data, |layer, _, y| {
        if traced {
            answers.layers.extend(y.iter().map(|&unit| F::word(unit)));
            answers.parts.push((steps[layer], layer, y.len()));
            steps[layer] += 1;
        }
    })?;
    answers.outputs = outputs.values.iter().map(|output| output.to_bits()).collect();
    Ok(answers)
}

fn run_on_target<F: Words>(blob: &AlignedBytes, data: &Dataset, target: &Target, traced: bool) -> Result<Answers> {
    let model = Loaded::<F>::from_blob(blob).context("the target's model")?;
    let board: &Board = match target {
        Target::Host => return run_on_host(&model, data, traced),
        Target::Board(board) => board,
    };
    let header = model.header();
    let longest = (0..data.series.len()).map(|index| data.steps(index)).max().unwrap_or(1);
    let (template, capacity) = match (Kind::of(header), &model) {
        (Kind::Window, Loaded::Chain(model)) => (WINDOW, model.window_capacity(longest)),
        (Kind::Sequence, _) => (SEQUENCE, model.capacity()),
        _ => (STREAM, model.capacity()),
    };
    check_memory(board, header, capacity, longest)?;

    let mut settings = String::new();
    writeln!(settings, "type F = {};\ntype Unit = {};\n{}", F::NAME, F::UNIT, F::BITS)?;
    writeln!(settings, "const CAPACITY: usize = {capacity};\nconst WIDTH: usize = {};", data.inputs())?;
    let every_step = header.output == Output::EveryStep;
    for (name, value) in [("LONGEST: usize", &longest as &dyn std::fmt::Display), ("EVERY_STEP: bool", &every_step)] {
        writeln!(settings, "#[allow(dead_code)]\nconst {name} = {value};")?;
    }
    writeln!(settings, "const TRACE: bool = {traced};")?;
    // Steps of each series, and the tokens that its decoder takes.
    writeln!(settings, "const SERIES: &[(usize, &[u16])] = &[")?;
    for (index, series) in data.series.iter().enumerate() {
        writeln!(settings, "    ({}, &{:?}),", data.steps(index), tokens(series, header).collect::<Vec<_>>())?;
    }
    writeln!(settings, "];")?;
    let inputs: Vec<u8> = data.series.iter().flat_map(|series| &series.x).flat_map(|x| x.to_le_bytes()).collect();
    let files =
        [("src/settings.rs", settings.as_bytes()), ("model.gru", blob.as_ref()), ("inputs.bin", inputs.as_slice())];
    let body = TEMPLATE.replace("@RUN@\n", template);
    let main = program("Prints the bits of a model's answers, for a comparison with the host's.", &body);
    let project = Project { name: "grulet-validate", board, main: &main, measures: false, files: &files };
    let built = build(&project)?;
    let printed = run(board, &built.path)?;
    parse(&printed)
}

/// Whether a board has the RAM for what a model runs in, which lies on its stack.
fn check_memory(board: &Board, header: &Header<'_>, capacity: usize, longest: usize) -> Result<()> {
    // What a function returns may be there twice.
    let (needed, ram) = (2 * 4 * capacity as u64 + STACK, board.memory().1);
    if needed > ram {
        let (what, fix) = match Kind::of(header) {
            Kind::Window => (format!("a series of {longest} steps"), "give shorter series, or choose a larger board"),
            Kind::Stream | Kind::Sequence => ("the model".to_owned(), "choose a larger board"),
        };
        bail!("{what} may need {needed} bytes of RAM, but the {} has {ram}; {fix}", board.name);
    }
    Ok(())
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
            "layer" => answers.layers.extend(words().collect::<Result<Vec<u32>, _>>()?),
            "done" => done = true,
            _ => bail!("the target says: {line}"),
        }
    }
    if !done {
        bail!("the target has stopped before the end; its output:\n{printed}");
    }
    Ok(answers)
}

/// Runs the series of answer value `at`, which is `words` on host and target, again, and finds the first value of any layer that
/// differs.
fn trace<F: Words>(
    model: &Loaded<'_, F>,
    on_target: &AlignedBytes,
    data: &Dataset,
    target: &Target,
    at: usize,
    words: (u32, u32),
) -> Result<Difference> {
    let header = model.header();
    let mut answer = at / header.outputs();
    let mut number = 0;
    let mut series = loop {
        let series = data.series.get(number).context("an answer beyond the last series")?;
        let answers = match header.output {
            Output::EveryStep => data.steps(number),
            Output::LastStep => 1,
            Output::Sequence(_) => series.targets.len(),
        };
        if answer < answers {
            break series.clone();
        }
        answer -= answers;
        number += 1;
    };
    let step = if header.output == Output::LastStep { data.steps(number) - 1 } else { answer };
    // Nothing after the answer matters.
    match Kind::of(header) {
        Kind::Stream => series.x.truncate((step + 1) * data.inputs()),
        Kind::Sequence => series.targets.truncate(step + 1),
        Kind::Window => {}
    }
    let part = Dataset { series: vec![series], ..data.clone() };
    let host = run_on_host(model, &part, true)?;
    let found = run_on_target::<F>(on_target, &part, target, true)?;
    if found.layers.len() != host.layers.len() {
        bail!("the target has given {} values of layers, the host {}", found.layers.len(), host.layers.len());
    }
    let places =
        host.parts.iter().flat_map(|&(step, layer, size)| (0..size).map(move |element| (step, layer, element)));
    let pairs = host.layers.iter().copied().zip(found.layers);
    if let Some(((step, layer, element), (a, b))) = places.zip(pairs).find(|(_, (a, b))| a != b) {
        let (host, target, ulp) = (F::value(a), F::value(b), F::place(a).abs_diff(F::place(b)));
        return Ok(Difference { series: number, step, layer, element, host, target, ulp });
    }
    // The layers agree: the scale of the outputs does not.
    let (a, b) = words;
    let (layer, element) = (header.layers.len(), at % header.outputs());
    let (host, target, ulp) = (Exact::value(a), Exact::value(b), Exact::place(a).abs_diff(Exact::place(b)));
    Ok(Difference { series: number, step, layer, element, host, target, ulp })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_beyond_the_board_is_refused() {
        let board = Board::named("stm32vldiscovery").unwrap();
        for (model, expected) in [
            (&include_bytes!("../../../tests/models/window.gru")[..], ["a series of 10 steps", "give shorter series"]),
            (include_bytes!("../../../tests/models/gait_phase.gru"), ["the model may need", "choose a larger board"]),
        ] {
            let blob = AlignedBytes::new(model);
            let blob = Blob::parse(blob.as_ref()).unwrap();
            check_memory(&board, blob.header(), 400, 10).unwrap();
            let error = check_memory(&board, blob.header(), 600, 10).unwrap_err().to_string();
            assert!(expected.iter().all(|part| error.contains(part)) && error.contains("has 8192"), "{error}");
        }
    }

    #[test]
    fn what_a_target_prints_is_read() {
        let answers = parse("answer 3f800000 0\nINFO layer ffff\nlayer 1 2\ndone\n").unwrap();
        assert_eq!(answers.outputs, [0x3f80_0000, 0]);
        assert_eq!(answers.layers, [0xffff, 1, 2]);
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
