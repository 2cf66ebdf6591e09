//! A counter from SysTick, which every Cortex-M has.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

/// How often SysTick has come to 0.
static PERIODS: AtomicU32 = AtomicU32::new(0);

/// Counts ticks of the core clock between two readings. Its interrupt comes every 2²⁴ ticks of a measurement.
pub struct Counter(SYST);

impl Counter {
    const BITS: u32 = 24;
    const MASK: u32 = (1 << Self::BITS) - 1;

    /// Starts to count. There is one SysTick: a second call gives `None`.
    pub fn start() -> Option<Self> {
        let mut systick = Peripherals::take()?.SYST;
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(Self::MASK);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        Some(Self(systick))
    }

    /// Begins a measurement: the reading from which [`since`](Self::since) measures. The ticks start again, so that one of
    /// fewer than 2²⁴ has no interrupt in it, whose instructions would count too.
    #[inline(always)]
    pub fn begin(&mut self) -> u32 {
        self.0.clear_current();
        Self::reading()
    }

    /// Ticks since `then`, the beginning of the latest measurement, if it is fewer than 2³² of them ago.
    #[inline(always)]
    pub fn since(&self, then: u32) -> u32 {
        Self::reading().wrapping_sub(then)
    }

    #[inline(always)]
    fn reading() -> u32 {
        loop {
            let periods = PERIODS.load(Ordering::Relaxed);
            // SysTick counts down, and its interrupt comes with the 0.
            let ticks = SYST::get_current().wrapping_neg() & Self::MASK;
            if PERIODS.load(Ordering::Relaxed) == periods {
                return periods << Self::BITS | ticks;
            }
        }
    }
}

#[exception]
fn SysTick() {
    // Nothing else writes it, and a Cortex-M0 has no `fetch_add`.
    PERIODS.store(PERIODS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
