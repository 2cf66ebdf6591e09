// Raspberry Pi Pico: RP2040, two Cortex-M0+, of which one is used, on its ring oscillator (about 6 MHz). Prints by defmt over RTT; SysTick counts cycles.

/// The board's name.
pub const NAME: &str = "pico";
/// What the counter's ticks are turned into.
pub const UNIT: &str = "cycles";
/// Ticks of the counter in 1000 cycles.
pub const TICKS_PER_1000: u64 = 1000;
/// The largest product that `kernels` compares: its matrix must fit the stack.
pub const LARGEST_PRODUCT: usize = 32;
/// Bytes below the stack that may be painted.
pub const PAINT: usize = 32_768;

pub use crate::defmt::print;
pub use crate::semihosting::exit;
pub use crate::systick::Counter;

// SAFETY: the section is the chip's, and holds what its ROM loads from there and checks by a checksum: 256 bytes that set up
// the flash of this board. No name is exported.
#[allow(unsafe_code)]
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;
