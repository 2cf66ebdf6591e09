// QEMU's stm32vldiscovery: Cortex-M3 with 8 KB of RAM. Prints by semihosting; SysTick counts 24 MHz.

/// The board's name.
pub const NAME: &str = "stm32vldiscovery";
/// What the counter's ticks are turned into.
pub const UNIT: &str = "instructions";
/// Ticks of the counter in 1000 instructions, which take QEMU a microsecond under `-icount shift=0`.
pub const TICKS_PER_1000: u64 = 24;
/// The largest product that `kernels` compares: its matrix must fit the stack.
pub const LARGEST_PRODUCT: usize = 16;
/// Bytes below the stack that may be painted.
pub const PAINT: usize = 4_096;

pub use crate::semihosting::{exit, print};
pub use crate::systick::Counter;
