//! The integer kernel on an Arm core with the DSP extension (Cortex-M4, M7, M33 with DSP): one of the runtime's few files
//! with `unsafe`.
//!
//! A pass goes over four rows. For each pair of operands, two `SMLALD` of the stored words give `Σ (256·a + b)·x` in 64
//! bits; `SXTB16` leaves the `b`s, and `SMLAD` adds them up: 3 instructions and some loading for 4 products.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::{ONE, ROWS, block_words, portable};
use crate::kernel::Hot;

/// [`portable::product`].
#[inline]
pub fn product(matrix: &[i32], operands: &[i16], sums: &mut [i32]) {
    let pairs = operands.len() / 2;
    let words = block_words(pairs as u64) as usize;
    let (blocks, rest) = sums.as_chunks_mut::<ROWS>();
    let aligned = operands.as_ptr().addr().is_multiple_of(align_of::<u32>());
    let (whole, last) = match split(matrix, words, blocks.len(), rest.is_empty()) {
        Some(parts) if aligned && pairs > 0 => parts,
        _ => return portable::product(matrix, operands, sums),
    };
    run(whole, operands, pairs, blocks);
    if !rest.is_empty() {
        let mut of_last = [[0; ROWS]];
        run(last, operands, pairs, &mut of_last);
        for (sum, &of_last) in rest.iter_mut().zip(of_last.as_flattened()) {
            *sum = of_last;
        }
    }
}

/// [`portable::one_hot_product`].
#[inline]
pub fn one_hot_product(matrix: &[i32], hot: Hot, operands: &[i16], sums: &mut [i32]) {
    let (before, pairs) = (hot.inputs.div_ceil(2), operands.len() / 2);
    let words = block_words((before + pairs) as u64) as usize;
    let (blocks, rest) = sums.as_chunks_mut::<ROWS>();
    let aligned = operands.as_ptr().addr().is_multiple_of(align_of::<u32>());
    let (whole, last) = match split(matrix, words, blocks.len(), rest.is_empty()) {
        Some(parts) if aligned && pairs > 0 && hot.token < hot.inputs && hot.fits(matrix.len()) => parts,
        _ => return portable::one_hot_product(matrix, hot, operands, sums),
    };
    run_one_hot(whole, hot, operands, pairs, blocks);
    if !rest.is_empty() {
        let mut of_last = [[0; ROWS]];
        run_one_hot(last, hot, operands, pairs, &mut of_last);
        for (sum, &of_last) in rest.iter_mut().zip(of_last.as_flattened()) {
            *sum = of_last;
        }
    }
}

/// The words of so many `blocks`, and those after them, among which are those of another block unless it was the `last`.
#[inline(always)]
fn split(matrix: &[i32], words: usize, blocks: usize, last: bool) -> Option<(&[i32], &[i32])> {
    let parts = matrix.split_at_checked(words.checked_mul(blocks)?)?;
    (last || parts.1.len() >= words).then_some(parts)
}

/// `weights` holds [`block_words`] for each of `blocks`; `operands` are aligned to 4 bytes and so many `pairs`, at least one.
#[inline(always)]
fn run(weights: &[i32], operands: &[i16], pairs: usize, blocks: &mut [[i32; ROWS]]) {
    let sums = blocks.as_mut_ptr_range();
    if !blocks.is_empty() {
        // SAFETY: `product` has checked what the doc of this function says, and there is at least one block.
        unsafe { four_rows(weights.as_ptr(), operands.as_ptr(), pairs, sums.start, sums.end) };
    }
}

/// The same after a one-hot input, of which `weights` has a word for each two elements and two rows besides.
#[inline(always)]
fn run_one_hot(weights: &[i32], hot: Hot, operands: &[i16], pairs: usize, blocks: &mut [[i32; ROWS]]) {
    let sums = blocks.as_mut_ptr_range();
    if !blocks.is_empty() {
        let one = i32::from(ONE) << (hot.token % 2 * 16);
        let (at, skip) = (hot.token / 2 * 8, hot.inputs.div_ceil(2) * 8);
        // SAFETY: `one_hot_product` has checked what the doc of this function says, there is at least one block, and the token
        // is among the inputs.
        unsafe {
            four_rows_of_one_hot(weights.as_ptr(), operands.as_ptr(), pairs, sums.start, sums.end, at, one, skip)
        };
    }
}

/// The pair of operands in `$x` times the words `$first` and `$second` of weights.
macro_rules! pair {
    ($first:literal, $second:literal, $x:literal) => {
        concat!(
            "smlald r4, r5, ",
            $first,
            ", ",
            $x,
            "\n",
            "smlald r7, r8, ",
            $second,
            ", ",
            $x,
            "\n",
            "sxtb16 ",
            $first,
            ", ",
            $first,
            "\n",
            "sxtb16 ",
            $second,
            ", ",
            $second,
            "\n",
            "smlad r6, ",
            $first,
            ", ",
            $x,
            ", r6\n",
            "smlad r9, ",
            $second,
            ", ",
            $x,
            ", r9\n",
        )
    };
}

/// Two pairs of operands times four rows: 56 bytes of code.
macro_rules! two_pairs {
    () => {
        concat!(
            "ldm.w r1!, {{r2, r3}}\n",
            "ldm.w r0!, {{r10, r11, r12, lr}}\n",
            pair!("r10", "r11", "r2"),
            pair!("r12", "lr", "r3"),
        )
    };
}

/// Blocks of four rows, whose sums begin as `$start` does it after they are cleared.
macro_rules! four_rows {
    ($($start:expr,)*) => {
        // Rows 0 and 1 have r5:r4 and r6, rows 2 and 3 r8:r7 and r9: 64 bits of raw words, 32 of the odd row. r0 weights, r1
        // operands. On the stack: 0 the first operand, 4 the end of the operands, 8 sums, 12 the end of the sums, 16 where a
        // block starts (an odd pair, or the loop), 20 where it enters the loop, which is unrolled for eight pairs.
        naked_asm!(
            // Module-level assembly does not know what the target has.
            concat!(".cpu ", env!("GRULET_DSP_CPU")),
            "push.w {{r4-r11, lr}}",
            "sub sp, sp, #24",
            "str r1, [sp, #0]",
            "add r12, r1, r2, lsl #2",
            "str r12, [sp, #4]",
            "str r3, [sp, #8]",
            "ldr r12, [sp, #60]",
            "str r12, [sp, #12]",
            "adr.w r5, 5f",
            "lsrs r4, r2, #1",
            "beq 2f",
            "rsb r4, r4, #0",
            "and r4, r4, #3", // steps of two pairs to leave out the first time
            "mov r6, #56",
            "adr.w r5, 4f",
            "mla r5, r4, r6, r5",
            "2:",
            "orr r5, r5, #1", // a Thumb address
            "str r5, [sp, #20]",
            "tst r2, #1",
            "beq 3f",
            "adr.w r5, 6f",
            "orr r5, r5, #1",
            "3:",
            "str r5, [sp, #16]",
            // A block.
            "7:",
            "ldr r1, [sp, #0]",
            "mov r6, #0",
            "mov r9, #0",
            "smull r4, r5, r6, r6",
            "smull r7, r8, r6, r6",
            $($start,)*
            "ldr.w pc, [sp, #16]",
            "6:",
            "ldr r2, [r1], #4",
            "ldm.w r0!, {{r10, r11}}",
            pair!("r10", "r11", "r2"),
            "ldr.w pc, [sp, #20]",
            "4:",
            two_pairs!(),
            two_pairs!(),
            two_pairs!(),
            two_pairs!(),
            "ldr r2, [sp, #4]",
            "cmp r1, r2",
            "bne 4b",
            "5:",
            // The even row is (raw - odd) >> 8.
            "subs r4, r4, r6",
            "sbc r5, r5, r6, asr #31",
            "lsr r4, r4, #8",
            "orr r4, r4, r5, lsl #24",
            "subs r7, r7, r9",
            "sbc r8, r8, r9, asr #31",
            "lsr r7, r7, #8",
            "orr r7, r7, r8, lsl #24",
            "ldm.w r0!, {{r10, r11, r12, lr}}", // biases
            "ldm.w r0!, {{r1, r2, r3, r5}}",    // multipliers
            "smmlar r4, r4, r1, r10",
            "smmlar r6, r6, r2, r11",
            "smmlar r7, r7, r3, r12",
            "smmlar r9, r9, r5, lr",
            "ldrd r1, r2, [sp, #8]",
            "stm.w r1!, {{r4, r6, r7, r9}}",
            "str r1, [sp, #8]",
            "cmp r1, r2",
            "bne 7b",
            "add sp, sp, #24",
            "pop.w {{r4-r11, pc}}",
        )
    };
}

/// Blocks of four rows, from `sums` up to `end`; there is at least one.
///
/// # Safety
/// `weights` points to [`block_words`] words for each block, `operands` to `pairs` pairs at a multiple of 4, `pairs` is not
/// 0; `sums` and `end` bound the blocks' sums.
#[unsafe(naked)]
unsafe extern "C" fn four_rows(
    weights: *const i32,
    operands: *const i16,
    pairs: usize,
    sums: *mut [i32; ROWS],
    end: *mut [i32; ROWS],
) {
    four_rows!()
}

/// The same after a one-hot input. In a block, the two words with the weights for its token begin after `hot` bytes, and those
/// for the operands after `skip`; `one` is the pair of operands that the two words are for.
///
/// # Safety
/// `weights` points to `skip` bytes for each block besides what [`four_rows`] says, `hot` is less than `skip`, both are
/// multiples of 8; for the rest as there.
#[unsafe(naked)]
unsafe extern "C" fn four_rows_of_one_hot(
    weights: *const i32,
    operands: *const i16,
    pairs: usize,
    sums: *mut [i32; ROWS],
    end: *mut [i32; ROWS],
    hot: usize,
    one: i32,
    skip: usize,
) {
    four_rows!(
        "ldr r2, [sp, #64]",
        "add r2, r0, r2",
        "ldrd r10, r11, [r2]",
        "ldr r2, [sp, #68]",
        pair!("r10", "r11", "r2"),
        "ldr r2, [sp, #72]",
        "add r0, r0, r2",
    )
}
