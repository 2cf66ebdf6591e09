//! How deep the stack has been: memory below it is painted, and looked at afterwards.
#![allow(unsafe_code)]

use core::ptr::{read_volatile, write_volatile};

/// A word that a program is unlikely to leave on its stack.
const PAINT: u32 = 0xa55a_c33c;
/// Words below the stack pointer that painting leaves alone, for its own use.
const MARGIN: usize = 64;

/// A stretch of memory below the stack pointer that was painted.
pub struct Paint {
    bottom: *mut u32,
    words: usize,
}

/// Paints `BYTES` below the stack pointer of the caller.
#[inline(never)]
pub fn paint<const BYTES: usize>() -> Paint {
    let words = BYTES / 4;
    let pointer = stack_pointer();
    let paint = Paint { bottom: (pointer - 4 * (MARGIN + words)) as *mut u32, words };
    for i in 0..words {
        // SAFETY: boards have far more free RAM below the stack pointer than is painted, nothing else uses it, and the
        // margin keeps this function's own frame out of it.
        unsafe { write_volatile(paint.bottom.add(i), PAINT) };
    }
    paint
}

#[cfg(target_arch = "arm")]
#[inline(always)]
fn stack_pointer() -> usize {
    cortex_m::register::msp::read() as usize
}

#[cfg(target_arch = "riscv32")]
#[inline(always)]
fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: copies a register.
    unsafe { core::arch::asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

impl Paint {
    /// Bytes of the painted stretch that were written to since, counted from its top; with the margin above it. None if it
    /// was all of it, so that it may have been more.
    #[inline(never)]
    pub fn used(&self) -> Option<usize> {
        // SAFETY: the same words that were painted.
        let clean = (0..self.words).take_while(|&i| unsafe { read_volatile(self.bottom.add(i)) } == PAINT).count();
        (clean > 0).then_some(4 * (self.words - clean + MARGIN))
    }
}
