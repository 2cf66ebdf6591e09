//! A buffer that begins where a line of the cache does.

use std::ops::{Deref, DerefMut};

use super::Real;

/// Bytes of a cache line on the processors that training runs on. Of vectors that begin elsewhere every second lies in two
/// lines, and takes two reads: a product of matrices then takes up to a tenth longer.
const LINE: usize = 64;

/// A slice of numbers that begins at a multiple of 64 bytes.
#[derive(Debug, Default)]
pub(super) struct Aligned<R> {
    /// The numbers, with room before them.
    data: Vec<R>,
    start: usize,
}

impl<R: Real> Aligned<R> {
    /// Makes room for `len` numbers. What was there is lost where it was shorter; it never shrinks, so that it is
    /// allocated once.
    pub fn grow(&mut self, len: usize) {
        if self.len() < len {
            let spare = LINE / size_of::<R>();
            self.data = vec![R::ZERO; len + spare];
            self.start = self.data.as_ptr().align_offset(LINE).min(spare);
        }
    }
}

impl<R> Deref for Aligned<R> {
    type Target = [R];

    fn deref(&self) -> &[R] {
        let spare = LINE / size_of::<R>();
        &self.data[self.start..][..self.data.len().saturating_sub(spare)]
    }
}

impl<R> DerefMut for Aligned<R> {
    fn deref_mut(&mut self) -> &mut [R] {
        let spare = LINE / size_of::<R>();
        let len = self.data.len().saturating_sub(spare);
        &mut self.data[self.start..][..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_a_line_and_keeps_its_length() {
        let mut kept = Vec::new();
        for len in [1, 7, 100, 50, 3000] {
            let (mut single, mut double) = (Aligned::<f32>::default(), Aligned::<f64>::default());
            single.grow(len);
            double.grow(len);
            assert_eq!((single.len(), double.len()), (len, len));
            assert_eq!((single.as_ptr().addr() % LINE, double.as_ptr().addr() % LINE), (0, 0), "{len}");
            // Kept, so that the next ones lie elsewhere.
            kept.push((single, double));
        }
        let mut grown = Aligned::<f32>::default();
        grown.grow(3);
        grown[2] = 1.0;
        grown.grow(2);
        assert_eq!(grown[..], [0.0, 0.0, 1.0]);
    }
}
