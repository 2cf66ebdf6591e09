//! Integer matrix × vector, and the order in which an integer matrix is stored.
//!
//! A matrix is cut into blocks of **four rows**; missing rows of the last block are zero. A block is a stream of 32-bit
//! words: for each pair of operands one word for rows 0 and 1 and one for rows 2 and 3, then the four rows' biases, then
//! their four multipliers.
//!
//! A word holds two 16-bit halves, the lower one for the first operand of the pair. A half is `256·a + b`: the weight `a` of
//! the even row and the weight `b` of the odd row, both in ±127. So one multiplication serves two rows: with `B = Σ b·x`,
//! `Σ (256·a + b)·x - B` is `256·Σ a·x`, exactly, in 64 bits.
//!
//! A row's sum is `bias + round(Σ weight·operand · multiplier · 2⁻³²)`, see [`crate::fixed::rescale`]. **If** no `Σ b·x` leaves 32 bits, which
//! the exporter proves from the weights, **then** every kernel gives the same bits; sums are exact, so their order is free.

#[cfg(grulet_dsp)]
mod arm_dsp;
pub mod portable;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_64;

#[cfg(grulet_dsp)]
pub use arm_dsp::{one_hot_product, product};
#[cfg(not(any(grulet_dsp, all(target_arch = "x86_64", target_feature = "sse2"))))]
pub use portable::{one_hot_product, product};
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub use x86_64::{one_hot_product, product};

/// The units of the 1 in a one-hot input.
pub const ONE: i16 = i16::MAX;

/// Rows in a block.
pub const ROWS: usize = 4;

/// 32-bit words of a block whose rows have so many pairs of operands.
pub const fn block_words(pairs: u64) -> u64 {
    pairs * (ROWS as u64 / 2) + 2 * ROWS as u64
}
