// BBC micro:bit v1: nRF51822, a Cortex-M0 at 16 MHz. Prints by defmt over RTT; TIMER0 counts cycles.

/// The board's name.
pub const NAME: &str = "microbit-v1";
/// What the counter's ticks are turned into.
pub const UNIT: &str = "cycles";
/// Ticks of the counter in 1000 cycles.
pub const TICKS_PER_1000: u64 = 1000;
/// The largest product that `kernels` compares: its matrix must fit the stack.
pub const LARGEST_PRODUCT: usize = 24;
/// Bytes below the stack that may be painted.
pub const PAINT: usize = 8_192;

pub use crate::defmt::print;
pub use crate::nrf51_timer::Counter;
pub use crate::semihosting::exit;
