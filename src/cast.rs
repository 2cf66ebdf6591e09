//! Bytes seen as aligned numbers, in place: the only file of the runtime with `unsafe` in it.
#![allow(unsafe_code)]

use core::slice::from_raw_parts;
#[cfg(any(test, feature = "alloc"))]
use core::slice::from_raw_parts_mut;

#[cfg(target_endian = "big")]
compile_error!("a grulet blob is little-endian and read in place: big-endian targets are not supported");

/// Gives its contents the alignment of 16 bytes that blobs need: `static MODEL: &Aligned<[u8]> = include_model!(…)`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(
    /// The contents.
    pub T,
);

impl<const N: usize> AsRef<[u8]> for Aligned<[u8; N]> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Aligned<[u8]> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Sixteen aligned bytes, the unit in which a blob's tensors are laid out. Plain data: every bit pattern is valid.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub struct Line([u32; 4]);

impl Line {
    /// Bytes in a line.
    pub const BYTES: usize = size_of::<Line>();
}

/// `bytes` as lines; `None` if they do not start on a 16-byte boundary. A last part of fewer than 16 bytes is left out.
pub fn lines(bytes: &[u8]) -> Option<&[Line]> {
    if !bytes.as_ptr().addr().is_multiple_of(align_of::<Line>()) {
        return None;
    }
    // SAFETY: the pointer is aligned (checked above), the lines lie within `bytes`, share its lifetime, and `Line` is
    // plain data without padding.
    Some(unsafe { from_raw_parts(bytes.as_ptr().cast(), bytes.len() / Line::BYTES) })
}

/// The lines as `f32` in little-endian order: 4 for each line.
pub fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is exactly four 4-byte words, `f32` needs less alignment than `Line`, and every pattern is valid.
    unsafe { from_raw_parts(lines.as_ptr().cast(), lines.len() * 4) }
}

/// The lines as bytes.
#[cfg(any(test, feature = "alloc"))]
pub fn bytes(lines: &[Line]) -> &[u8] {
    // SAFETY: bytes need no alignment and `Line` has no padding.
    unsafe { from_raw_parts(lines.as_ptr().cast(), lines.len() * Line::BYTES) }
}

/// The lines as bytes to write to.
#[cfg(any(test, feature = "alloc"))]
pub fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: bytes need no alignment, `Line` has no padding, and every byte written leaves a valid line.
    unsafe { from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * Line::BYTES) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_only_from_an_aligned_start_and_never_past_the_end() {
        let memory = Aligned([7u8; 50]);
        assert_eq!(lines(&memory.0).map(<[_]>::len), Some(3));
        assert_eq!(lines(&memory.0[16..31]).map(<[_]>::len), Some(0));
        for start in 1..16 {
            assert!(lines(&memory.0[start..]).is_none(), "offset {start}");
        }
    }

    #[test]
    fn numbers_are_little_endian() {
        let mut memory = [Line::default(); 2];
        bytes_mut(&mut memory)[16..20].copy_from_slice(&1.5f32.to_le_bytes());
        assert_eq!(floats(&memory), [0.0, 0.0, 0.0, 0.0, 1.5, 0.0, 0.0, 0.0]);
        assert_eq!(lines(bytes(&memory)).map(floats), Some(floats(&memory)));
    }
}
