//! On which line of a text a place is, as an editor counts.
//!
//! **If** a record is read from behind the one before it **then** it begins on the first line after that place which is not
//! empty. Lines end in LF, CRLF or CR.

use std::collections::VecDeque;
use std::io::{self, Read};

/// A reader that notes where lines begin. The reader of the records counts line feeds alone, and before it has skipped
/// empty lines and the second half of a CRLF.
pub(super) struct Lines<R> {
    text: R,
    /// Bytes read.
    read: u64,
    /// The last of them.
    last: u8,
    /// The line after them, from 1.
    line: u64,
    /// First byte and number of the lines that are not empty, from the place asked for last.
    starts: VecDeque<(u64, u64)>,
}

impl<R> Lines<R> {
    pub fn new(text: R) -> Self {
        Lines { text, read: 0, last: b'\n', line: 1, starts: VecDeque::new() }
    }

    /// The line, from 1, of the first record at byte `place` or after it. Places are asked for in their order.
    pub fn line(&mut self, place: u64) -> u64 {
        while self.starts.front().is_some_and(|&(start, _)| start < place) {
            self.starts.pop_front();
        }
        self.starts.front().map_or(self.line, |&(_, line)| line)
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(buffer)?;
        for &byte in &buffer[..count] {
            match byte {
                b'\n' if self.last == b'\r' => {}
                b'\n' | b'\r' => self.line += 1,
                _ if matches!(self.last, b'\n' | b'\r') => self.starts.push_back((self.read, self.line)),
                _ => {}
            }
            self.last = byte;
            self.read += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use csv::{ReaderBuilder, StringRecord};

    use super::*;

    /// The line of each record, the header's first, if the text comes `size` bytes at a time.
    fn lines(text: &str, size: usize) -> Vec<u64> {
        let mut reader = ReaderBuilder::new()
            .buffer_capacity(size)
            .has_headers(false)
            .flexible(true)
            .from_reader(Lines::new(text.as_bytes()));
        let (mut row, mut lines) = (StringRecord::new(), Vec::new());
        while reader.read_record(&mut row).unwrap() {
            let start = row.position().unwrap().byte();
            lines.push(reader.get_mut().line(start));
        }
        lines
    }

    #[test]
    fn records_begin_where_an_editor_says() {
        for end in ["\n", "\r\n", "\r"] {
            for (text, expected) in [
                ("a,b|1,2|3,4", &[1, 2, 3][..]),
                ("a,b|||1,2||3,4||", &[1, 4, 6]),
                ("||a,b|1,2", &[3, 4]),
                ("a,b|\"1||x\",2|3,\"4|\"||5,6", &[1, 2, 5, 8]),
                ("\u{feff}a,b|1,2", &[1, 2]),
            ] {
                // A byte-order mark alone would be the end.
                for size in [4, 5, 8192] {
                    assert_eq!(
                        lines(&text.replace('|', end), size),
                        expected,
                        "{text:?} with {end:?}, {size} at a time"
                    );
                }
            }
        }
    }
}
