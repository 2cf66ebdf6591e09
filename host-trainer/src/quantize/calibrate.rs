//! The ranges of a model's numbers, by running it on data.

use grulet::Int8;
use grulet::blob::Range;
use grulet::blob::quantize::is_bounded;
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
/// each layer's outputs.
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
    let mut seen = Seen::default();
    let answers = predict_observed(float.model(), data, |layer, inputs, outputs| seen.add(layer, inputs, outputs))?;
    if !seen.varies {
        return Err(QuantizeError::Constant { steps: data.total_steps() });
    }
    let layers = &float.model().header().layers;
    let mut percents = Percents { input: percent, outputs: vec![percent; layers.len()] };
    if method == Method::Mse {
        let open = (0..layers.len()).filter(|&layer| !is_bounded(&layers[layer])).map(Some);
        for place in std::iter::once(None).chain(open) {
            let mut best = (f64::INFINITY, CANDIDATES[0]);
            for candidate in CANDIDATES {
                *percents.at(place) = candidate;
                let difference = mean_square(float, data, &seen.ranges(&percents), &answers)?;
                if difference < best.0 {
                    best = (difference, candidate);
                }
            }
            *percents.at(place) = best.1;
        }
    }
    let ranges = seen.ranges(&percents);
    seen.check(float, &ranges)?;
    Ok(Calibration { ranges, steps: data.total_steps() })
}

/// The percentile of each place.
struct Percents {
    input: f64,
    outputs: Vec<f64>,
}

impl Percents {
    /// That of a layer's outputs, or of the network's inputs.
    fn at(&mut self, layer: Option<usize>) -> &mut f64 {
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

    fn ranges(&self, percents: &Percents) -> Vec<Range> {
        let mut input = self.channels.iter().map(|channel| channel.percentile(percents.input)).fold(0.0, f32::max);
        let ranges = self.outputs.iter().zip(&percents.outputs).map(|(seen, &percent)| {
            let output = seen.percentile(percent);
            Range { input: std::mem::replace(&mut input, output), output }
        });
        ranges.collect()
    }

    /// Refuses ranges of which the integers would not resolve what mostly happens.
    fn check(&self, float: &Float<'_>, ranges: &[Range]) -> Result<(), QuantizeError> {
        let header = float.model().header();
        let coarse = |place: &dyn Fn() -> String, seen: &Magnitudes, range: f32, advice| {
            let typical = seen.percentile(99.0);
            if typical > 0.0 && typical < UNITS * (range / 32_767.0) {
                return Err(QuantizeError::Coarse { place: place(), range, typical, advice });
            }
            Ok(())
        };
        for (index, channel) in self.channels.iter().enumerate() {
            let name = || match header.channels.get(index) {
                Some(name) => format!("input channel {name:?}"),
                None => format!("input channel {index}"),
            };
            let advice = "clean the outliers, give --method percentile, or train with `data.normalize = \"zscore\"`";
            coarse(&name, channel, ranges[0].input, advice)?;
        }
        for (index, (layer, seen)) in header.layers.iter().zip(&self.outputs).enumerate() {
            if !is_bounded(layer) {
                let name = || format!("the outputs of layer {index}");
                coarse(&name, seen, ranges[index].output, "clean the outliers, or give --method percentile")?;
            }
        }
        Ok(())
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
