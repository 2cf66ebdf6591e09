//! `f32` on an Arm core with a single-precision FPU (Cortex-M4F, M7, M33): one of the runtime's few files with `unsafe`.
//!
//! The bits are [`portable`]'s: each of 16 neighbouring outputs has its sum in a register, and every product is multiplied,
//! then added. On a Cortex-M4 that takes a cycle each, where a fused multiply-add takes three.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::{Hot, portable};

/// [`portable::product`].
#[inline(always)]
pub fn product(weights: &[f32], inputs: &[f32], sums: &mut [f32]) {
    let blocks = sums.len() / 16;
    let Some((wide, narrow)) = split(weights, blocks, 1 + inputs.len()) else {
        return portable::product(weights, inputs, sums);
    };
    let Some((of_wide, of_narrow)) = sums.split_at_mut_checked(16 * blocks) else {
        return;
    };
    if blocks > 0 {
        // SAFETY: `wide` holds `blocks` blocks of 16 biases and 16 weights per input, `of_wide` 16 sums for each block.
        unsafe {
            wide_blocks(
                wide.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                of_wide.as_mut_ptr(),
                of_wide.as_mut_ptr_range().end,
            )
        };
    }
    portable::narrow(narrow, None, inputs, of_narrow, portable::add_product);
}

/// [`portable::one_hot_product`].
#[inline(always)]
pub fn one_hot_product(weights: &[f32], hot: Hot, operands: &[f32], sums: &mut [f32]) {
    let blocks = sums.len() / 16;
    let whole = match hot.token < hot.inputs && hot.fits(weights.len()) {
        true => split(weights, blocks, 1 + hot.inputs + operands.len()),
        false => None,
    };
    let Some((wide, narrow)) = whole else {
        return portable::one_hot_product(weights, hot, operands, sums);
    };
    let Some((of_wide, of_narrow)) = sums.split_at_mut_checked(16 * blocks) else {
        return;
    };
    if blocks > 0 {
        // SAFETY: `wide` holds `blocks` blocks of 16 biases and 16 weights for each of the one-hot inputs, among which the
        // token is, and each operand; `of_wide` 16 sums for each block.
        unsafe {
            wide_one_hot_blocks(
                wide.as_ptr(),
                operands.as_ptr(),
                operands.len(),
                of_wide.as_mut_ptr(),
                of_wide.as_mut_ptr_range().end,
                64 * (1 + hot.token),
                64 * (1 + hot.inputs),
            )
        };
    }
    portable::narrow(narrow, Some(hot), operands, of_narrow, portable::add_product);
}

/// The weights of so many `blocks`, each with so many `columns` of 16, and those after them.
#[inline(always)]
fn split(weights: &[f32], blocks: usize, columns: usize) -> Option<(&[f32], &[f32])> {
    weights.split_at_checked(columns.checked_mul(16 * blocks)?)
}

/// Eight weights times the input in `$x`, added to eight sums.
macro_rules! eight {
    ($x:literal, $($sum:literal $product:literal)+) => {
        concat!(
            "vldmia r0!, {{s16-s23}}\n",
            $("vmul.f32 ", $product, ", ", $product, ", ", $x, "\n",)+
            $("vadd.f32 ", $sum, ", ", $sum, ", ", $product, "\n",)+
        )
    };
}

/// Sixteen weights times the input in `$x`, added to the sums.
macro_rules! input {
    ($x:literal) => {
        concat!(
            eight!($x, "s0" "s16" "s1" "s17" "s2" "s18" "s3" "s19" "s4" "s20" "s5" "s21" "s6" "s22" "s7" "s23"),
            eight!($x, "s8" "s16" "s9" "s17" "s10" "s18" "s11" "s19" "s12" "s20" "s13" "s21" "s14" "s22" "s15" "s23"),
        )
    };
}

/// Blocks of 16 outputs, whose sums begin as `$start` does it.
macro_rules! wide_blocks {
    ($($start:literal,)+) => {
        // s0-s15 sums; s16-s23 weights, then products; s24-s31 inputs; r0 weights, r1 inputs, r3 sums, r4 end; r5 inputs in
        // eights, r6 in pairs after those.
        naked_asm!(
            ".fpu fpv4-sp-d16",
            "push {{r4-r7, lr}}",
            "vpush {{s16-s31}}",
            "ldr r4, [sp, #84]",
            "lsr r5, r2, #3",
            "and r6, r2, #6",
            "2:",
            $($start,)+
            "mov r7, r1",
            "movs r12, r5",
            "beq 4f",
            "3:",
            "vldmia r7!, {{s24-s31}}",
            input!("s24"),
            input!("s25"),
            input!("s26"),
            input!("s27"),
            input!("s28"),
            input!("s29"),
            input!("s30"),
            input!("s31"),
            "subs r12, r12, #1",
            "bne 3b",
            "4:",
            "movs r12, r6",
            "beq 6f",
            "5:",
            "vldmia r7!, {{s24-s25}}",
            input!("s24"),
            input!("s25"),
            "subs r12, r12, #2",
            "bne 5b",
            "6:",
            "tst r2, #1",
            "beq 7f",
            "vldmia r7!, {{s24}}",
            input!("s24"),
            "7:",
            "vstmia r3!, {{s0-s15}}",
            "cmp r3, r4",
            "bne 2b",
            "vpop {{s16-s31}}",
            "pop {{r4-r7, pc}}",
        )
    };
}

/// Blocks of 16 outputs, from `sums` up to `end`; there is at least one.
///
/// # Safety
/// `weights` points to `16·(1 + count)` numbers for each block, `inputs` to `count`; `sums` and `end` bound 16 for each.
#[unsafe(naked)]
unsafe extern "C" fn wide_blocks(weights: *const f32, inputs: *const f32, count: usize, sums: *mut f32, end: *mut f32) {
    wide_blocks!("vldmia r0!, {{s0-s15}}",)
}

/// The same after a one-hot input. In a block, the weights for its token begin after `hot` bytes, and those for the operands
/// after `skip`.
///
/// # Safety
/// `weights` points to `skip + 64·count` bytes for each block, `hot` is less than `skip`, and both are multiples of 64;
/// `operands` points to `count` numbers; `sums` and `end` bound 16 for each block.
#[unsafe(naked)]
unsafe extern "C" fn wide_one_hot_blocks(
    weights: *const f32,
    operands: *const f32,
    count: usize,
    sums: *mut f32,
    end: *mut f32,
    hot: usize,
    skip: usize,
) {
    wide_blocks!(
        "vldmia r0, {{s0-s15}}",
        "ldr r12, [sp, #88]",
        "add r12, r0, r12",
        "vldmia r12!, {{s16-s31}}",
        "vadd.f32 s0, s0, s16",
        "vadd.f32 s1, s1, s17",
        "vadd.f32 s2, s2, s18",
        "vadd.f32 s3, s3, s19",
        "vadd.f32 s4, s4, s20",
        "vadd.f32 s5, s5, s21",
        "vadd.f32 s6, s6, s22",
        "vadd.f32 s7, s7, s23",
        "vadd.f32 s8, s8, s24",
        "vadd.f32 s9, s9, s25",
        "vadd.f32 s10, s10, s26",
        "vadd.f32 s11, s11, s27",
        "vadd.f32 s12, s12, s28",
        "vadd.f32 s13, s13, s29",
        "vadd.f32 s14, s14, s30",
        "vadd.f32 s15, s15, s31",
        "ldr r12, [sp, #92]",
        "add r0, r0, r12",
    )
}
