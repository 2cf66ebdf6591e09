//! From files to batches.
//!
//! In the order that data pass them: a file is read (`npz`, `csv`) into a [`Dataset`] of whole series → [`prepare()`]
//! splits it into training and validation, moves the target `horizon` steps ahead, transforms the target, normalises by
//! the training part alone, and cuts windows → [`Batches`] shuffles the examples and gathers them time-major.
//!
//! If a file cannot be used, whatever its bytes, the error is a [`DataError`] that names the file, the place in it and
//! what to do; nothing is repaired silently. What is odd but usable comes back as a [`Warning`].

mod alike;
mod archive;
mod batches;
mod csv;
mod error;
mod labels;
mod lanes;
mod lines;
mod normalize;
mod npy;
mod npz;
mod prepare;
mod read;
mod sequence;
mod spacing;
mod split;
mod time;
mod warning;
mod weights;
mod window;

pub use archive::Npz;
pub use batches::{Batches, balanced_weights};
pub use csv::feature_columns;
pub use error::DataError;
pub(crate) use error::nearest;
pub use normalize::Normalizer;
pub use npy::NpyArray;
pub use prepare::{Prepared, held_out, prepare, step_labels, training_part};
pub use read::{FileKind, Part, ReadOptions, TargetOptions, read};
pub use sequence::{START, STOP, text};
pub use split::{deal_groups, split_fold, split_fraction, split_groups};
pub use warning::Warning;

use grulet::spec::Output;

/// A set of series with their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The series, in the order of the file.
    pub series: Vec<Series>,
    /// One name per input channel.
    pub channels: Vec<String>,
    /// One unit per input channel; empty where unknown.
    pub units: Vec<String>,
    /// Class names in the order of their indices; empty for regression.
    pub classes: Vec<String>,
    /// Samples per second, in Hz.
    pub sample_rate: Option<f64>,
    /// Whether a target belongs to every step or to the whole series.
    pub output: Output,
    /// Values per target, `D`. A class index is one value.
    pub target_width: usize,
}

/// One series, or one window of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the file calls it, else its number.
    pub name: String,
    /// The group that the split may go by.
    pub group: Option<String>,
    /// Where a window starts in its series, in steps.
    pub start: usize,
    /// Inputs `(T, C)`, row-major.
    pub x: Vec<f32>,
    /// Targets, `(T, D)` per step or `(D)` per sequence; of a sequence to a sequence, its tokens with the stop token.
    pub targets: Vec<f32>,
    /// How much each target counts in the loss, `(T)` or `(1)`; empty for 1 throughout.
    pub weights: Vec<f32>,
}

impl Series {
    /// Whether its target `index` counts in the loss.
    pub fn has_weight(&self, index: usize) -> bool {
        self.weights.get(index).is_none_or(|&weight| weight > 0.0)
    }
}

impl Dataset {
    /// Input channels, `C`.
    pub fn inputs(&self) -> usize {
        self.channels.len()
    }

    /// Steps of series `index`, `T`.
    pub fn steps(&self, index: usize) -> usize {
        self.series[index].x.len() / self.inputs()
    }

    /// The targets `(D)` that count in the loss: those with a weight above 0. Of targets at every step, the first `ignored` of each
    /// series do not count.
    pub fn counted_targets(&self, ignored: usize) -> impl Iterator<Item = &[f32]> {
        let first = if self.output == Output::EveryStep { ignored } else { 0 };
        let width = self.target_width.max(1);
        self.series.iter().flat_map(move |series| {
            let targets = series.targets.chunks_exact(width).enumerate().skip(first);
            targets.filter(|&(index, _)| series.has_weight(index)).map(|(_, target)| target)
        })
    }

    /// Steps of all series together.
    pub fn total_steps(&self) -> usize {
        self.series.iter().map(|series| series.x.len()).sum::<usize>() / self.inputs()
    }

    /// Deals the rows of all targets out to the series, in order.
    fn set_targets(&mut self, encoded: labels::Encoded, output: Output) {
        self.target_width = encoded.width;
        self.classes = encoded.classes;
        self.output = output;
        let mut rest = &encoded.values[..];
        for index in 0..self.series.len() {
            let rows = if output == Output::EveryStep { self.steps(index) } else { 1 };
            let (targets, after) = rest.split_at(rows * self.target_width);
            self.series[index].targets = targets.to_vec();
            rest = after;
        }
    }

    /// The same description with other series.
    fn with_series(&self, series: Vec<Series>) -> Self {
        Dataset {
            series,
            channels: self.channels.clone(),
            units: self.units.clone(),
            classes: self.classes.clone(),
            ..*self
        }
    }
}
