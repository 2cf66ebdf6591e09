//! Printing by defmt over RTT: to a debug probe, through memory, while the processor runs on. Without a probe nothing waits.

use core::fmt::{Arguments, Write};

use defmt_rtt as _;

/// Prints to whoever has attached a probe.
pub fn print(text: Arguments<'_>) {
    // A line longer than the buffer is cut.
    let mut line = heapless::String::<256>::new();
    let _ = line.write_fmt(text);
    // defmt ends the line itself.
    ::defmt::println!("{=str}", line.trim_end());
}
