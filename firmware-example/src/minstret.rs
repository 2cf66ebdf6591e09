//! A counter from the register `minstret`, which every RISC-V core has.

use riscv::register::minstret;

/// Counts instructions between two readings.
pub struct Counter;

impl Counter {
    /// Starts to count, which never fails: the register always counts.
    pub fn start() -> Option<Self> {
        Some(Self)
    }

    /// Begins a measurement: the reading from which [`since`](Self::since) measures.
    #[inline(always)]
    pub fn begin(&mut self) -> u32 {
        reading()
    }

    /// Instructions since `then`, if it is fewer than 2³² of them ago.
    #[inline(always)]
    pub fn since(&self, then: u32) -> u32 {
        reading().wrapping_sub(then)
    }
}

#[inline(always)]
fn reading() -> u32 {
    // The lower half of 64 bits.
    minstret::read() as u32
}
