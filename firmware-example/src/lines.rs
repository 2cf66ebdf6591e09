//! Lines of text from the host's standard input, by semihosting: in QEMU, or through a debugger that opens files of the host.

use semihosting::fs::File;
use semihosting::io::Read;

/// The longest line, in bytes.
const LONGEST: usize = 512;

/// The lines of the host's standard input; none if it gives none.
pub struct Lines {
    input: Option<File>,
    line: heapless::Vec<u8, LONGEST>,
}

impl Lines {
    /// Opens it. By its file, because `:tt`, the name that semihosting has for it, does not tell its end in QEMU.
    pub fn open() -> Self {
        Self { input: File::open(c"/dev/stdin").ok(), line: heapless::Vec::new() }
    }

    /// The next line without its end, cut at 512 bytes; `None` after the last. What is no UTF-8 is `?`.
    pub fn next_line(&mut self) -> Option<&str> {
        let input = self.input.as_mut()?;
        self.line.clear();
        let (mut byte, mut found) = ([0], false);
        while input.read(&mut byte).is_ok_and(|count| count == 1) {
            found = true;
            if byte == *b"\n" {
                break;
            }
            let _ = self.line.push(byte[0]);
        }
        found.then(|| str::from_utf8(&self.line).unwrap_or("?").trim())
    }
}

/// The numbers in a line, with commas or spaces between them.
///
/// # Errors
/// The first word that is no number, or for which there is no room.
pub fn numbers<const N: usize>(line: &str) -> Result<heapless::Vec<f32, N>, &str> {
    let mut numbers = heapless::Vec::new();
    for word in line.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        let number = word.parse().map_err(|_| word)?;
        numbers.push(number).map_err(|_| word)?;
    }
    Ok(numbers)
}
