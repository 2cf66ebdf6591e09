//! `grulet import` with little memory.

use std::path::Path;
use std::process::Command;

/// What `grulet import` says of the file at `path`, which must be an error, with 256 MB of address space. Other systems than
/// Linux have no such limit; there the file is not read.
pub fn refused_within_256_megabytes(path: &Path) -> Option<String> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 262144 && exec \"$0\" import \"$1\"", env!("CARGO_BIN_EXE_grulet")])
        .arg(path)
        // Without space for more threads' arenas than one.
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{}: {error}", path.display());
    Some(error)
}
