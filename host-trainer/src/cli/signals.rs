//! Ctrl-C, and the request of the system to end.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The signal that has come, or 0.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// From now on a first signal is only noted, for the process to end where it suits; a second one ends it at once.
///
/// # Errors
/// If the system does not let signals be caught.
pub fn note() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let again = Arc::new(AtomicBool::new(false));
        // In this order: the first signal finds `again` still unset.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
        flag::register(signal, again)?;
        flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize)?;
    }
    Ok(())
}

/// Whether a signal has been noted.
pub fn received() -> bool {
    RECEIVED.load(Ordering::Relaxed) != 0
}

/// What a process that a signal has ended exits with: 130 after Ctrl-C, 143 after SIGTERM.
pub fn exit_code() -> ExitCode {
    ExitCode::from(128 + RECEIVED.load(Ordering::Relaxed) as u8)
}
