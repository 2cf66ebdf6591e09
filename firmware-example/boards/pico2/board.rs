// Raspberry Pi Pico 2: RP2350, two Cortex-M33, of which one is used, on its ring oscillator (about 11 MHz). Prints by defmt over RTT; the DWT unit counts cycles.

/// The board's name.
pub const NAME: &str = "pico2";
/// What the counter's ticks are turned into.
pub const UNIT: &str = "cycles";
/// Ticks of the counter in 1000 cycles.
pub const TICKS_PER_1000: u64 = 1000;
/// The largest product that `kernels` compares: its matrix must fit the stack.
pub const LARGEST_PRODUCT: usize = 64;
/// Bytes below the stack that may be painted.
pub const PAINT: usize = 32_768;

pub use crate::defmt::print;
pub use crate::dwt::Counter;
pub use crate::semihosting::exit;
