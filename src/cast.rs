//! Bytes seen as aligned numbers, in place. Beside this file only the kernels in assembly have `unsafe` in them.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::slice::{from_raw_parts, from_raw_parts_mut};

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

/// The lines as `i32` in little-endian order: 4 for each line.
pub fn integers(lines: &[Line]) -> &[i32] {
    // SAFETY: a line is exactly four 4-byte words, `i32` needs less alignment than `Line`, and every pattern is valid.
    unsafe { from_raw_parts(lines.as_ptr().cast(), lines.len() * 4) }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for i16 {}
    impl Sealed for i32 {}
}

/// Numbers of 2 or 4 bytes for which every bit pattern is valid.
pub trait Plain: sealed::Sealed + Copy + 'static {
    /// Zero.
    const ZERO: Self;
}

impl Plain for f32 {
    const ZERO: Self = 0.0;
}

impl Plain for i16 {
    const ZERO: Self = 0;
}

impl Plain for i32 {
    const ZERO: Self = 0;
}

/// The 4-byte words that so many numbers take.
pub const fn words<T: Plain>(numbers: usize) -> usize {
    (numbers * size_of::<T>()).div_ceil(size_of::<u32>())
}

/// Words as numbers: as many as fit.
pub fn numbers<T: Plain>(words: &[u32]) -> &[T] {
    // SAFETY: the numbers lie within `words` and borrow it; `Plain` is sealed: its types are no larger and no more aligned
    // than a word, and every bit pattern is valid for them.
    unsafe { from_raw_parts(words.as_ptr().cast(), size_of_val(words) / size_of::<T>()) }
}

/// Words as numbers to write to: as many as fit.
pub fn numbers_mut<T: Plain>(words: &mut [u32]) -> &mut [T] {
    let length = size_of_val(words) / size_of::<T>();
    // SAFETY: as for `numbers`, and whatever is written leaves valid words.
    unsafe { from_raw_parts_mut(words.as_mut_ptr().cast(), length) }
}

/// Room for a layer's operands, those of `I` inputs and of `H` units of state, each filled up to an even number. Aligned
/// as kernels like it.
#[repr(C, align(4))]
pub struct Operands<T, const I: usize, const H: usize> {
    inputs: [T; I],
    state: [T; H],
    filler: [T; 2],
}

impl<T: Plain, const I: usize, const H: usize> Operands<T, I, H> {
    /// All of them, one after the other.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the three arrays are of one type and follow each other without padding (`repr(C)`).
        unsafe { from_raw_parts_mut((&raw mut *self).cast(), I + H + 2) }
    }
}

/// Types for which every bit pattern is valid.
///
/// # Safety
/// They are.
pub unsafe trait AnyBits {}

// SAFETY: `Plain` numbers are such, and so are arrays of them; padding may hold anything.
unsafe impl<T: Plain, const N: usize> AnyBits for [T; N] {}
// SAFETY: likewise.
unsafe impl<T: Plain, const N: usize, const M: usize> AnyBits for [[T; N]; M] {}
// SAFETY: likewise.
unsafe impl<T: Plain, const I: usize, const H: usize> AnyBits for Operands<T, I, H> {}

/// `memory` with arbitrary contents: for scratch, which is written before it is read. Clearing it would cost a GRU up to
/// one in twenty of its instructions on a Cortex-M.
#[inline(always)]
pub fn arbitrary<T: AnyBits>(memory: &mut MaybeUninit<T>) -> &mut T {
    #[cfg(target_arch = "arm")]
    // SAFETY: nothing is executed; as far as the compiler knows, this wrote to all of `memory`.
    unsafe {
        core::arch::asm!("/* {0} */", in(reg) memory.as_mut_ptr(), options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "arm"))]
    // SAFETY: it is one `T`.
    unsafe {
        memory.as_mut_ptr().write_bytes(0, 1);
    }
    // SAFETY: it has been written to, and every bit pattern is valid.
    unsafe { memory.assume_init_mut() }
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
