//! A counter from SysTick, which every Cortex-M has.

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// Counts ticks of the core clock between two readings.
pub struct Counter;

impl Counter {
    const MASK: u32 = 0x00ff_ffff;

    /// Starts to count. There is one SysTick: a second call gives `None`.
    pub fn start() -> Option<Self> {
        let mut systick = Peripherals::take()?.SYST;
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(Self::MASK);
        systick.clear_current();
        systick.enable_counter();
        Some(Self)
    }

    /// The reading now, from which [`since`](Self::since) measures.
    #[inline(always)]
    pub fn now(&self) -> u32 {
        SYST::get_current()
    }

    /// Ticks since `then`, if it is fewer than 2²⁴ of them ago.
    #[inline(always)]
    pub fn since(&self, then: u32) -> u32 {
        // SysTick counts down.
        then.wrapping_sub(SYST::get_current()) & Self::MASK
    }
}
