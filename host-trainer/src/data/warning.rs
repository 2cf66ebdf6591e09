//! What is odd in data that can be used.

use std::fmt;
use std::path::PathBuf;

/// What is odd but usable in the data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// A channel with one value throughout the training part, which therefore says nothing. It is centred, not scaled.
    ConstantChannel {
        /// The channel's name.
        channel: String,
        /// Its only value.
        value: f32,
    },
    /// Numbers that vary so little beside their size that `f32` has only a few values for them.
    Coarse {
        /// What they are, such as `channel "a"`.
        what: String,
        /// Their mean.
        mean: f32,
        /// Their standard deviation.
        std: f32,
    },
    /// A step in time that is far longer than the others of its series.
    Gap {
        /// The series.
        series: String,
        /// The line after it, from 1.
        line: u64,
        /// The time that it takes: of time stamps in seconds.
        gap: f64,
        /// The mean of the series' other steps.
        usual: f64,
        /// Whether times are time stamps.
        stamps: bool,
        /// Series that have one.
        count: usize,
    },
    /// Time stamps do not come at the rate that the configuration says.
    SampleRate {
        /// `data.sample_rate`, in Hz.
        rate: f64,
        /// What the time stamps say.
        found: f64,
    },
    /// Series shorter than the window, which are used whole.
    ShortSeries {
        /// How many.
        count: usize,
        /// `data.window`.
        window: usize,
    },
    /// The training begins with a model that has scales of its own.
    ScaledByInit {
        /// `inputs` or `targets`.
        what: &'static str,
        /// `train.init`.
        init: PathBuf,
    },
}

/// Where steps of `f32` are as large as what sensors resolve.
const FAR: f32 = 1e5;
/// Deviations of fewer steps than this are coarse.
const STEPS: f32 = 16.0;

/// The distance from a number to the next larger one.
fn step(value: f32) -> f32 {
    value.abs().next_up() - value.abs()
}

/// Whether `f32` has only a few values for numbers with this mean and deviation.
pub(super) fn is_coarse(mean: f32, std: f32) -> bool {
    std < STEPS * step(mean)
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::ConstantChannel { channel, value } => {
                write!(
                    f,
                    "channel {channel:?} is {value} throughout the training part: it says nothing and could be left out"
                )?;
                if value.abs() < FAR {
                    return Ok(());
                }
                let step = step(*value);
                write!(
                    f,
                    "; or, if the file has changes below {step}, the step of f32 there, subtract an offset from it"
                )
            }
            Warning::Coarse { what, mean, std } => write!(
                f,
                "{what} varies by {std:.3e} around {mean}, where f32 has steps of {:.3e}: \
                 subtract an offset in the file, and in the firmware",
                step(*mean)
            ),
            Warning::Gap { series, line, gap, usual, stamps, count } => {
                let unit = if *stamps { " s" } else { "" };
                write!(
                    f,
                    "series {series:?} has a gap before line {line}: {gap}{unit}, where its steps are {usual}{unit} apart on average"
                )?;
                if *count > 1 {
                    write!(f, " ({count} series have gaps)")?;
                }
                f.write_str("; all steps are taken for equal: cut the series there, or fill the gap")
            }
            Warning::SampleRate { rate, found } => {
                let found = if *found < 0.01 { format!("{found:.3e}") } else { format!("{found:.4}") };
                write!(f, "`data.sample_rate` is {rate} Hz, but the time stamps say {found} Hz: set it to that")
            }
            Warning::ShortSeries { count, window } => {
                write!(f, "{count} series are shorter than `data.window = {window}` and are used whole")
            }
            Warning::ScaledByInit { what, init } => write!(
                f,
                "the {what} are normalised by mean and deviation of {}, as its weights expect, not by the training part's",
                init.display()
            ),
        }
    }
}
