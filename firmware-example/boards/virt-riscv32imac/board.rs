// QEMU's virt: a 32-bit RISC-V core with atomic operations, without an FPU. Prints by semihosting; `minstret` counts instructions.

/// The board's name.
pub const NAME: &str = "virt-riscv32imac";
/// What the counter's ticks are turned into.
pub const UNIT: &str = "instructions";
/// Ticks of the counter in 1000 instructions.
pub const TICKS_PER_1000: u64 = 1000;
/// The largest product that `kernels` compares: its matrix must fit the stack.
pub const LARGEST_PRODUCT: usize = 32;
/// Bytes below the stack that may be painted.
pub const PAINT: usize = 32_768;

pub use crate::minstret::Counter;
pub use crate::semihosting::{exit, print};
