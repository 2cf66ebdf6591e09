// QEMU's mps2-an385: Cortex-M3 without an FPU. Prints by semihosting; SysTick counts 25 MHz, which is every 40th instruction under
// `-icount shift=0`, where an instruction takes a nanosecond.

/// The board's name.
pub const NAME: &str = "mps2-an385";
/// Instructions (or cycles, on a real board) that pass between two ticks of the counter.
pub const INSTRUCTIONS_PER_TICK: u64 = 40;

pub use crate::semihosting::{exit, print};
pub use crate::systick::Counter;
