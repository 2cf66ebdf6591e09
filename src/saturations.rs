//! How often numbers did not fit their 16 bits in [`Int8`](crate::Int8) networks: for diagnosis, behind a feature of this name.
//!
//! A count that grows says that calibration has not seen such data. The counts are the program's, of all its streams
//! together; where an interrupt or another thread counts at the same moment, one may be lost.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Counts since the last [`take`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saturations {
    /// Inputs that lie further out than calibration saw.
    pub inputs: u32,
    /// Units of state and outputs that do, where the activation is ReLU or linear: the others are bounded.
    pub units: u32,
}

// Loads and stores only: a Cortex-M0 has no atomic addition.
pub(crate) static INPUTS: AtomicU32 = AtomicU32::new(0);
pub(crate) static UNITS: AtomicU32 = AtomicU32::new(0);

/// The counts, which start again at zero. They stop at `u32::MAX`.
pub fn take() -> Saturations {
    let take = |count: &AtomicU32| {
        let value = count.load(Relaxed);
        count.store(0, Relaxed);
        value
    };
    Saturations { inputs: take(&INPUTS), units: take(&UNITS) }
}

/// Counts one if the number is `beyond` its range.
#[inline(always)]
pub(crate) fn count(count: &AtomicU32, beyond: bool) {
    count.store(count.load(Relaxed).saturating_add(u32::from(beyond)), Relaxed);
}
