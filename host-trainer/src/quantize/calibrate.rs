//! The ranges of a model's numbers, by running it on data.

use grulet::Int8;
use grulet::blob::Range;
use grulet::blob::quantize::is_bounded;
use grulet::spec::{Candidate, LayerSpec};
use serde::Serialize;

use super::magnitudes::Magnitudes;
use super::{Float, QuantizeError};
use crate::data::Dataset;
use crate::evaluate::{Loaded, Predictions, predict, predict_observed};

/// How a range is taken from the magnitudes that calibration saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The largest: nothing that was seen saturates. Units have 16 bits, so that a wide range costs little.
    #[default]
    Max,
    /// What so many percent do not exceed: a few outliers saturate.
    Percentile(f64),
    /// For each place in turn, of the largest magnitude and several percentiles, that whose integer outputs have the least
    /// mean square difference from `f32` on the calibration data.
    Mse,
}

/// What [`Method::Mse`] chooses from, in percent.
const CANDIDATES: [f64; 5] = [100.0, 99.999, 99.99, 99.9, 99.0];

/// How often the range of a GRU's state is doubled at most, for candidates that lie beyond it.
const DOUBLINGS: u32 = 8;
/// What is left of the mean square difference, where a doubling is worth its bit.
const WORTH: f64 = 0.9;

/// What nearly all values stay within reaches at least so many units, or the range is refused: 4 bits.
const UNITS: f32 = 16.0;

/// What calibration found.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// One for each layer.
    pub ranges: Vec<Range>,
    /// Steps that were seen.
    pub steps: usize,
}

/// Runs the model over `data`, which are in the sensor's units, and takes the range of its inputs after normalisation and of
/// each layer's outputs. That of an embedding is its table's. A GRU's candidate has the scale of its state, which is a mean of
/// candidates and may be much smaller where they are not bounded by a tanh: such a range is doubled as long as that brings the
/// integer outputs nearer to those of `f32`.
///
/// # Errors
/// If the data are empty, constant or for another model; or where a range cannot be held by the integers.
pub fn calibrate(float: &Float<'_>, data: &Dataset, method: Method) -> Result<Calibration, QuantizeError> {
    let percent = match method {
        Method::Max | Method::Mse => 100.0,
        Method::Percentile(percent) if percent > 50.0 && percent <= 100.0 => percent,
        Method::Percentile(found) => return Err(QuantizeError::Percentile { found }),
    };
    if data.total_steps() == 0 {
        return Err(QuantizeError::Empty);
    }
    let mut seen = Seen { tables: float.tables(), ..Seen::default() };
    let answers = predict_observed(float.model(), data, |layer, inputs, outputs| seen.add(layer, inputs, outputs))?;
    if !seen.varies {
        return Err(QuantizeError::Constant { steps: data.total_steps() });
    }
    let layers = &float.model().header().layers;
    let whole = Choice { percent, doublings: 0 };
    let mut choices = Choices { input: whole, outputs: vec![whole; layers.len()] };
    let difference = |choices: &Choices| mean_square(float, data, &seen.ranges(choices), &answers);
    for layer in (0..layers.len()).filter(|&layer| has_open_candidate(&layers[layer])) {
        let mut best = difference(&choices)?;
        while choices.outputs[layer].doublings < DOUBLINGS {
            choices.outputs[layer].doublings += 1;
            let doubled = difference(&choices)?;
            // One that cannot be used at all may become one that can.
            if !(doubled < WORTH * best || best == f64::INFINITY) {
                choices.outputs[layer].doublings -= 1;
                break;
            }
            best = doubled;
        }
    }
    if method == Method::Mse {
        let open = |&layer: &usize| !is_bounded(&layers[layer]) && seen.tables[layer].is_none();
        for place in std::iter::once(None).chain((0..layers.len()).filter(open).map(Some)) {
            let mut best = (f64::INFINITY, CANDIDATES[0]);
            for candidate in CANDIDATES {
                choices.at(place).percent = candidate;
                if seen.check_place(float, place, method, &seen.ranges(&choices)).is_err() {
                    continue;
                }
                let difference = difference(&choices)?;
                if difference < best.0 {
                    best = (difference, candidate);
                }
            }
            choices.at(place).percent = best.1;
        }
    }
    let ranges = seen.ranges(&choices);
    for place in std::iter::once(None).chain((0..layers.len()).map(Some)) {
        seen.check_place(float, place, method, &ranges)?;
    }
    Ok(Calibration { ranges, steps: data.total_steps() })
}

/// Whether a layer is made of GRUs whose candidates have no bound.
fn has_open_candidate(layer: &LayerSpec) -> bool {
    let gru = layer.direction().unwrap_or(*layer);
    matches!(gru, LayerSpec::Gru { candidate: Candidate::Relu | Candidate::Linear, .. })
}

/// How the range of a place is taken.
#[derive(Clone, Copy)]
struct Choice {
    /// The percentile of the magnitudes that were seen.
    percent: f64,
    /// How often that is doubled.
    doublings: u32,
}

/// Those of all places.
struct Choices {
    input: Choice,
    outputs: Vec<Choice>,
}

impl Choices {
    /// That of a layer's outputs, or of the network's inputs.
    fn at(&mut self, layer: Option<usize>) -> &mut Choice {
        layer.map_or(&mut self.input, |layer| &mut self.outputs[layer])
    }
}

/// All that a run showed.
#[derive(Default)]
struct Seen {
    /// Of each input channel, normalised.
    channels: Vec<Magnitudes>,
    /// Of each layer's outputs.
    outputs: Vec<Magnitudes>,
    /// The largest magnitude in an embedding's table, of layers that are one.
    tables: Vec<Option<f32>>,
    first: Vec<f32>,
    /// Whether any step differs from the first.
    varies: bool,
}

impl Seen {
    fn add(&mut self, layer: usize, inputs: &[f32], outputs: &[f32]) {
        if layer == 0 {
            if self.first.is_empty() {
                self.first = inputs.to_vec();
                self.channels = vec![Magnitudes::new(); inputs.len()];
            }
            self.varies |= self.first != inputs;
            self.channels.iter_mut().zip(inputs).for_each(|(channel, &x)| channel.add(x));
        }
        if layer == self.outputs.len() {
            self.outputs.push(Magnitudes::new());
        }
        outputs.iter().for_each(|&y| self.outputs[layer].add(y));
    }

    fn ranges(&self, choices: &Choices) -> Vec<Range> {
        let input = |channel: &Magnitudes| channel.percentile(choices.input.percent);
        let mut input = self.channels.iter().map(input).fold(0.0, f32::max);
        let outputs = self.outputs.iter().zip(&self.tables).zip(&choices.outputs);
        let ranges = outputs.map(|((seen, table), choice)| {
            let range = table.unwrap_or_else(|| seen.percentile(choice.percent)) * (1u32 << choice.doublings) as f32;
            // For nothing but zeros any will do.
            let output = [range, seen.percentile(100.0)].into_iter().find(|&range| range > 0.0).unwrap_or(1.0);
            Range { input: std::mem::replace(&mut input, output), output }
        });
        ranges.collect()
    }

    /// Refuses ranges of a layer's outputs, or of the inputs, of which the integers would not resolve what mostly happens.
    fn check_place(
        &self,
        float: &Float<'_>,
        place: Option<usize>,
        method: Method,
        ranges: &[Range],
    ) -> Result<(), QuantizeError> {
        let header = float.model().header();
        let percentile = match method {
            Method::Max => "give --method percentile",
            Method::Percentile(_) => "give a lower --percentile",
            Method::Mse => "give --method percentile with a lower --percentile",
        };
        let coarse = |place: &dyn Fn() -> String, seen: &Magnitudes, range: f32, advice: &dyn Fn() -> String| {
            let typical = seen.percentile(99.0);
            if typical > 0.0 && typical < UNITS * (range / 32_767.0) {
                return Err(QuantizeError::Coarse { place: place(), range, typical, advice: advice() });
            }
            Ok(())
        };
        let Some(index) = place else {
            let advice = || match float.is_normalized() {
                true => format!("clean the outliers, or {percentile}"),
                false => format!("clean the outliers, {percentile}, or train with `data.normalize = \"zscore\"`"),
            };
            return self.channels.iter().enumerate().try_for_each(|(index, channel)| {
                let name = || match header.channels.get(index) {
                    Some(name) => format!("input channel {name:?}"),
                    None => format!("input channel {index}"),
                };
                coarse(&name, channel, ranges[0].input, &advice)
            });
        };
        if is_bounded(&header.layers[index]) || self.tables[index].is_some() {
            return Ok(());
        }
        let name = || format!("the outputs of layer {index}");
        coarse(&name, &self.outputs[index], ranges[index].output, &|| format!("clean the outliers, or {percentile}"))
    }
}

/// The mean square difference that these ranges make; infinite where they cannot be used.
fn mean_square(
    float: &Float<'_>,
    data: &Dataset,
    ranges: &[Range],
    answers: &Predictions,
) -> Result<f64, QuantizeError> {
    let Ok(bytes) = float.quantize(ranges) else {
        return Ok(f64::INFINITY);
    };
    let int8 = predict(&Loaded::<Int8>::from_blob(&bytes)?, data)?;
    let square = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)).powi(2);
    Ok(answers.values.iter().zip(&int8.values).map(square).sum::<f64>() / answers.values.len() as f64)
}

#[cfg(test)]
mod tests {
    use grulet::Header;
    use grulet::blob::{AlignedBytes, Contents, LayerWeights, write};
    use grulet::spec::{Activation, Gate, Output, Reset, Storage};

    use super::*;
    use crate::data::Series;
    use crate::nn::Rng;

    /// A model in `f32` that answers at every step.
    fn model(layers: &[(LayerSpec, LayerWeights<'_>)]) -> AlignedBytes {
        let header = Header::new(Storage::F32, layers.iter().map(|(layer, _)| *layer).collect(), Output::EveryStep);
        let weights: Vec<_> = layers.iter().map(|(_, weights)| *weights).collect();
        let none = &[];
        let scales = Contents {
            header,
            layers: &weights,
            mean: none,
            scale: none,
            output_scale: none,
            output_offset: none,
            golden: none,
        };
        write(&scales).unwrap()
    }

    fn data(inputs: usize, x: Vec<f32>) -> Dataset {
        let name = String::new();
        Dataset {
            series: vec![Series { name, group: None, start: 0, x, targets: vec![], weights: vec![] }],
            channels: (0..inputs).map(|channel| format!("c{channel}")).collect(),
            units: vec![],
            classes: vec![],
            sample_rate: None,
            target_width: 0,
            output: Output::EveryStep,
        }
    }

    fn dense(inputs: u16, activation: Activation) -> LayerSpec {
        LayerSpec::Dense { inputs, outputs: 1, activation }
    }

    const ONE: LayerWeights<'_> = LayerWeights { kernel: &[1.0], recurrent: &[], bias: &[0.0] };

    /// A leaky integrator: its candidate is the sample, of which it takes the 55th part.
    #[test]
    fn candidates_beyond_the_state_are_not_cut() {
        let mut rng = Rng::new(1, 0);
        let noise = data(1, (0..2000).map(|_| rng.normal() as f32).collect());
        for candidate in [Candidate::Linear, Candidate::Relu] {
            let gru = LayerSpec::Gru { inputs: 1, hidden: 1, reset: Reset::Before, gate: Gate::Sigmoid, candidate };
            let leaky = LayerWeights { kernel: &[0.0, 0.0, 1.0], recurrent: &[0.0; 3], bias: &[4.0, 0.0, 0.0] };
            let bytes = model(&[(gru, leaky), (dense(1, Activation::Linear), ONE)]);
            let float = Float::new(&bytes).unwrap();
            let ranges = calibrate(&float, &noise, Method::Max).unwrap().ranges;
            let answers = predict(float.model(), &noise).unwrap();
            let mean = answers.values.iter().map(|y| f64::from(*y)).sum::<f64>() / answers.values.len() as f64;
            let square = |y: &f32| (f64::from(*y) - mean).powi(2);
            let variance = answers.values.iter().map(square).sum::<f64>() / answers.values.len() as f64;
            let lost = mean_square(&float, &noise, &ranges, &answers).unwrap();
            assert!(lost < 1e-3 * variance, "{candidate:?}: {lost:.1e} of {variance:.1e}");
        }
    }

    #[test]
    fn outputs_of_one_outlier_are_refused_by_their_layer() {
        let mut x = vec![0.0; 2000];
        x.iter_mut().skip(1).step_by(2).for_each(|x| *x = 1.0);
        x[500] = 1.0;
        let large = LayerWeights { kernel: &[1e6, 1.0], recurrent: &[], bias: &[0.0] };
        let bytes = model(&[(dense(2, Activation::Relu), large), (dense(1, Activation::Sigmoid), ONE)]);
        let float = Float::new(&bytes).unwrap();
        for (method, advice) in
            [(Method::Max, "give --method percentile"), (Method::Percentile(99.999), "a lower --percentile")]
        {
            let error = calibrate(&float, &data(2, x.clone()), method).unwrap_err().to_string();
            assert!(error.contains("the outputs of layer 0") && error.contains(advice), "{error}");
        }
    }

    #[test]
    fn outputs_that_are_always_zero_have_any_range() {
        let dead = LayerWeights { kernel: &[-1.0], recurrent: &[], bias: &[-9.0] };
        let bytes = model(&[(dense(1, Activation::Relu), dead), (dense(1, Activation::Linear), ONE)]);
        let float = Float::new(&bytes).unwrap();
        let ranges = calibrate(&float, &data(1, vec![0.0, 1.0, 2.0]), Method::Max).unwrap().ranges;
        assert_eq!(float.quantize(&ranges).map(drop), Ok(()));
    }

    /// A token that calibration has not seen is not cut either.
    #[test]
    fn an_embedding_has_the_range_of_its_table() {
        let embedding = LayerSpec::Embedding { vocabulary: 3, outputs: 1 };
        let table = LayerWeights { kernel: &[0.5, -0.25, -8.0], recurrent: &[], bias: &[] };
        let bytes = model(&[(embedding, table), (dense(1, Activation::Linear), ONE)]);
        let float = Float::new(&bytes).unwrap();
        for method in [Method::Max, Method::Percentile(99.0), Method::Mse] {
            let ranges = calibrate(&float, &data(1, vec![0.0, 1.0, 0.0]), method).unwrap().ranges;
            assert_eq!((ranges[0].output, ranges[1].input), (8.0, 8.0));
        }
    }
}
