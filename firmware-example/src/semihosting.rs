//! Printing and exiting through the debugger or emulator.

use core::fmt::{Arguments, Write};

use cortex_m_semihosting::{debug, hio};

/// Prints to the standard output of the emulator or debugger.
pub fn print(text: Arguments<'_>) {
    // One call for a line: each one stops the processor. A line longer than the buffer is cut.
    let mut line = heapless::String::<256>::new();
    let _ = line.write_fmt(text);
    if let Ok(mut out) = hio::hstdout() {
        let _ = out.write_all(line.as_bytes());
    }
}

/// Ends the program; QEMU ends with exit code 0 or 1.
pub fn exit(result: Result<(), ()>) -> ! {
    debug::exit(if result.is_ok() { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    // A debugger may continue after the exit.
    loop {
        cortex_m::asm::wfi();
    }
}
