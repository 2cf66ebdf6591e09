//! A counter from the debug unit DWT, which Cortex-M3 and larger cores may have.

use cortex_m::Peripherals;
use cortex_m::peripheral::DWT;

/// Counts cycles of the core clock between two readings.
pub struct Counter;

impl Counter {
    /// Starts to count. There is one DWT: a second call gives `None`, and so does a core without a cycle counter.
    pub fn start() -> Option<Self> {
        let mut peripherals = Peripherals::take()?;
        peripherals.DCB.enable_trace();
        if !DWT::has_cycle_counter() {
            return None;
        }
        peripherals.DWT.enable_cycle_counter();
        Some(Self)
    }

    /// Begins a measurement: the reading from which [`since`](Self::since) measures.
    #[inline(always)]
    pub fn begin(&mut self) -> u32 {
        DWT::cycle_count()
    }

    /// Ticks since `then`, if it is fewer than 2³² of them ago.
    #[inline(always)]
    pub fn since(&self, then: u32) -> u32 {
        DWT::cycle_count().wrapping_sub(then)
    }
}
