//! Printing and exiting through the debugger or emulator.

use core::fmt::{Arguments, Write};

use semihosting::io::{self, Write as _};
use semihosting::process::ExitCode;

/// Prints to the standard output of the emulator or debugger.
pub fn print(text: Arguments<'_>) {
    // One call for a line: each one stops the processor. A line longer than the buffer is cut.
    let mut line = heapless::String::<256>::new();
    let _ = line.write_fmt(text);
    if let Ok(mut out) = io::stdout() {
        let _ = out.write_all(line.as_bytes());
    }
}

/// Ends the program, and QEMU or `probe-rs run` with exit code 0 or 1.
pub fn exit(result: Result<(), ()>) -> ! {
    let code = if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    code.exit_process()
}
