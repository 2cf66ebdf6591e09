//! Why a model cannot be had in integers.

use grulet::blob::WriteError;

/// Every error of [`quantize`](super).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// There is nothing to calibrate with.
    #[error("the calibration data hold no steps; give data as the sensor delivers them")]
    Empty,
    /// All steps are alike.
    #[error("the calibration data are constant over all {steps} steps; give data as the sensor delivers them")]
    Constant {
        /// How many there are.
        steps: usize,
    },
    /// The runtime refuses the model or the data.
    #[error("{0}")]
    Runtime(#[from] grulet::Error),
    /// The integers cannot hold the model.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// The checkpoint makes no model.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// 16 bits do not resolve what lies within the range.
    #[error(
        "{place}: the range is {range}, of which int8 resolves 1/32767, but 99 % of the values lie within {typical}: {advice}"
    )]
    Coarse {
        /// Which numbers.
        place: String,
        /// The range that they share.
        range: f32,
        /// What nearly all of them stay within.
        typical: f32,
        /// What to do.
        advice: String,
    },
    /// A percentile that is none.
    #[error("the percentile is {found}, but must lie above 50 and be at most 100, such as 99.99")]
    Percentile {
        /// What was given.
        found: f64,
    },
    /// A model that no stream runs.
    #[error(
        "encoder-decoders and networks with bidirectional layers have no stream that could drift; leave --drift out"
    )]
    NoStream,
    /// A stream that is too short to drift.
    #[error("{found} steps are too few to see a drift; give at least 3000, such as 100000")]
    DriftSteps {
        /// Steps asked for.
        found: usize,
    },
    /// The integers lose more than was allowed.
    #[error(
        "int8 is worse than f32 by {:.2} % in {metric} ({f32:.6} to {int8:.6}), more than the {:.2} % allowed; train with `train.qat_epochs`, calibrate with more data or another --method, or raise --max-drop",
        100.0 * drop, 100.0 * allowed
    )]
    Drop {
        /// The task's metric.
        metric: &'static str,
        /// Its value in `f32`.
        f32: f64,
        /// Its value in integers.
        int8: f64,
        /// The relative loss.
        drop: f64,
        /// What was allowed.
        allowed: f64,
    },
}
