//! Models on their targets: new firmware projects, the target's bits beside the host's, and what a step takes there.

mod bench;
mod new;
mod statistics;
mod target;
mod validate;

use grulet::Header;
use grulet::spec::{LayerSpec, Storage};

pub use bench::{Bench, Count, bench};
pub use new::{NewError, create};
pub use statistics::{Statistics, statistics};
pub use target::Target;
pub use validate::{Difference, Validation, validate};

use crate::export::GOLDEN_STEPS;
use crate::summary::net_type_of;

/// What every program with a model has: where the model is, how lines are printed, and how it ends.
const FRAME: &str = include_str!("templates/frame.rs");

/// Steps of a window where the model names none: as many as its self-test has.
const STEPS: u32 = GOLDEN_STEPS as u32;

/// Bytes of a unit of the state.
fn unit_bytes(header: &Header<'_>) -> usize {
    if header.storage == Storage::Int8 { 2 } else { 4 }
}

/// A whole program, which does what `body` says in a function `run`.
fn program(about: &str, body: &str) -> String {
    FRAME.replace("@ABOUT@", about).replace("@BODY@", body)
}

/// A template with its places filled in for a model.
fn fill(template: &str, header: &Header<'_>) -> String {
    let inputs = header.inputs();
    let channels: Vec<String> = header.channels.iter().map(str::to_owned).collect();
    let tokens = header.layers.first().and_then(LayerSpec::vocabulary);
    let channels = match tokens {
        Some(vocabulary) => format!("your tokens, a number below {vocabulary}"),
        None if channels.iter().all(String::is_empty) => "your sensor, in its own units".to_owned(),
        None => format!("your sensor, in its own units: {}", channels.join(", ")),
    };
    let sample = match tokens {
        Some(vocabulary) => format!("[(step % {vocabulary}) as f32]"),
        None => "core::array::from_fn(|channel| ((7 * step + 3 * channel) % 17) as f32 / 8.0 - 1.0)".to_owned(),
    };
    let longest = match header.output {
        grulet::spec::Output::Sequence(decoding) => usize::from(decoding.longest),
        _ => 0,
    };
    let decoder = header.parts().1.first().and_then(LayerSpec::vocabulary).unwrap_or(1);
    // One line for a comment, whatever a name holds.
    let line = |text: &str| text.replace(|c: char| c.is_control(), " ");
    template
        .replace("@NET@", &net_type_of(header))
        .replace("@CHANNELS@", &line(&channels))
        .replace("@INPUTS@", &inputs.to_string())
        .replace("@SAMPLE@", &sample)
        .replace("@LONGEST@", &longest.to_string())
        .replace("@TOKENS@", &decoder.to_string())
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Step by step.
    Stream,
    /// Over a whole series at a time, as a layer of both directions needs it.
    Window,
    /// From one sequence to another, by an encoder and a decoder.
    Sequence,
}

impl Kind {
    fn of(header: &Header<'_>) -> Self {
        match header.output {
            grulet::spec::Output::Sequence(_) => Self::Sequence,
            _ if header.is_bidirectional() => Self::Window,
            _ => Self::Stream,
        }
    }
}
