// QEMU's mps2-an386: Cortex-M4F. Prints by semihosting; SysTick counts 25 MHz.

/// The board's name.
pub const NAME: &str = "mps2-an386";
/// What the counter's ticks are turned into.
pub const UNIT: &str = "instructions";
/// Ticks of the counter in 1000 instructions, which take QEMU a microsecond under `-icount shift=0`.
pub const TICKS_PER_1000: u64 = 25;
/// The largest product that `kernels` compares: its matrix must fit the stack.
pub const LARGEST_PRODUCT: usize = 64;
/// Bytes below the stack that may be painted.
pub const PAINT: usize = 32_768;

pub use crate::semihosting::{exit, print};
pub use crate::systick::Counter;
