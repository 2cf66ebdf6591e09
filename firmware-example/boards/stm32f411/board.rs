// STM32F411 (Nucleo, Black Pill): a Cortex-M4F, at 16 MHz after a reset. Prints by defmt over RTT; the DWT unit counts cycles.

/// The board's name.
pub const NAME: &str = "stm32f411";
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
