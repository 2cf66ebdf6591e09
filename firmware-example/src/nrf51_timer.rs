//! A counter from TIMER0 of the nRF51, a Cortex-M0 without SysTick.
//!
//! Registers: nRF51 Series Reference Manual v3.0, chapter 18.
#![allow(unsafe_code)]

use core::ptr::{read_volatile, write_volatile};

const TIMER0: usize = 0x4000_8000;
const TASKS_START: usize = TIMER0;
const TASKS_CLEAR: usize = TIMER0 + 0x00c;
const TASKS_CAPTURE0: usize = TIMER0 + 0x040;
const BITMODE: usize = TIMER0 + 0x508;
const PRESCALER: usize = TIMER0 + 0x510;
const CC0: usize = TIMER0 + 0x540;

/// Counts ticks of 16 MHz, the core's clock, between two readings.
pub struct Counter;

impl Counter {
    /// Starts to count.
    pub fn start() -> Option<Self> {
        write(BITMODE, 3); // 32 bits
        write(PRESCALER, 0); // 16 MHz
        write(TASKS_CLEAR, 1);
        write(TASKS_START, 1);
        Some(Self)
    }

    /// Begins a measurement: the reading from which [`since`](Self::since) measures.
    #[inline(always)]
    pub fn begin(&mut self) -> u32 {
        reading()
    }

    /// Ticks since `then`, if it is fewer than 2³² of them ago.
    #[inline(always)]
    pub fn since(&self, then: u32) -> u32 {
        reading().wrapping_sub(then)
    }
}

#[inline(always)]
fn reading() -> u32 {
    write(TASKS_CAPTURE0, 1);
    // SAFETY: a register of a timer that nothing else uses; to read it has no side effect.
    unsafe { read_volatile(CC0 as *const u32) }
}

#[inline(always)]
fn write(register: usize, value: u32) {
    // SAFETY: a register of a timer that nothing else uses, and that touches no memory.
    unsafe { write_volatile(register as *mut u32, value) };
}
