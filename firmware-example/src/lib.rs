//! What the binaries share: the board, printing, and the samples that they stream.
//!
//! A board is a folder of `boards/` with its memory map (`memory.x`), what the build must know of it (`board.toml`), and a
//! `board.rs` of a few lines: a name, `print`, `exit` and a counter. Everything else is the same source for every board.
#![no_std]

#[cfg(feature = "defmt")]
pub mod defmt;
#[cfg(feature = "dwt")]
pub mod dwt;
pub mod lines;
#[cfg(target_arch = "riscv32")]
pub mod minstret;
#[cfg(feature = "microbit-v1")]
pub mod nrf51_timer;
mod samples;
pub mod semihosting;
pub mod stack;
pub mod stream;
#[cfg(target_arch = "arm")]
pub mod systick;

/// What marks the function that a program starts with.
#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;

/// The board that this was built for.
pub mod board {
    include!(env!("GRULET_BOARD_RS"));
}

pub use samples::Samples;

/// Instructions in so many ticks of the board's counter, where QEMU counts them; cycles, where a chip does
/// ([`board::UNIT`]).
pub fn counted(ticks: u64) -> u64 {
    ticks * 1000 / board::TICKS_PER_1000
}

/// Prints a line to whoever watches the board.
#[macro_export]
macro_rules! println {
    ($($arguments:tt)*) => {
        $crate::board::print(format_args!("{}\n", format_args!($($arguments)*)))
    };
}

/// Whatever should not happen ends the program, and in QEMU the emulator with exit code 1.
#[cfg(not(feature = "no-panic"))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    board::exit(Err(()))
}
