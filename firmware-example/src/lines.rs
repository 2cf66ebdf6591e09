//! Lines of numbers from the host's standard input, by semihosting: in QEMU, or through a debugger that opens files of the host.

use semihosting::fs::File;
use semihosting::io::Read;

/// The longest number, in bytes.
const LONGEST: usize = 64;

/// The lines of the host's standard input; none if it gives none.
pub struct Lines {
    input: Option<File>,
    word: heapless::Vec<u8, LONGEST>,
}

/// Why a line gives no numbers.
#[derive(Clone, Copy)]
pub enum Fault<'a> {
    /// A word in it is none; what fits of it.
    Word(&'a str),
    /// There are more than there is room for.
    TooMany,
}

impl Lines {
    /// Opens it. By its file, because `:tt`, the name that semihosting has for it, does not tell its end in QEMU.
    pub fn open() -> Self {
        Self { input: File::open(c"/dev/stdin").ok(), word: heapless::Vec::new() }
    }

    /// The numbers in the next line, with commas or spaces between them, or the first fault in it; `None` after the last.
    pub fn next_numbers<const N: usize>(&mut self) -> Option<Result<heapless::Vec<f32, N>, Fault<'_>>> {
        let input = self.input.as_mut()?;
        let (mut numbers, mut fault, mut found) = (heapless::Vec::new(), None, false);
        self.word.clear();
        loop {
            let mut byte = [0];
            let read = input.read(&mut byte).is_ok_and(|count| count == 1);
            found |= read;
            let ends = !read || byte == *b"\n";
            match byte[0] {
                // What follows a fault is passed over, which leaves the word at fault as it is.
                _ if fault.is_some() => {}
                b if !ends && !b", \t\r".contains(&b) => {
                    if self.word.push(b).is_err() {
                        fault = Some(false);
                    }
                }
                _ if self.word.is_empty() => {}
                _ => {
                    let number = str::from_utf8(&self.word).ok().and_then(|word| word.parse().ok());
                    fault = match number.map(|number| numbers.push(number)) {
                        Some(Ok(())) => None,
                        Some(Err(_)) => Some(true),
                        None => Some(false),
                    };
                    if fault.is_none() {
                        self.word.clear();
                    }
                }
            }
            if ends {
                break;
            }
        }
        found.then(|| match fault {
            None => Ok(numbers),
            Some(true) => Err(Fault::TooMany),
            Some(false) => Err(Fault::Word(str::from_utf8(&self.word).unwrap_or("?"))),
        })
    }
}
