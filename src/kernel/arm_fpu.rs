//! `f32` on an Arm core with a single-precision FPU (Cortex-M4F, M7, M33): one of the runtime's few files with `unsafe`.
//!
//! The bits are [`portable`]'s: each of 16 neighbouring outputs has its sum in a register, and every product is multiplied,
//! then added. On a Cortex-M4 that takes a cycle each, where a fused multiply-add takes three.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::portable;

/// [`portable::product`].
#[inline(always)]
pub fn product(weights: &[f32], inputs: &[f32], sums: &mut [f32]) {
    let blocks = sums.len() / 16;
    let stream = 16 * (1 + inputs.len()) * blocks;
    let Some((wide, narrow)) = weights.split_at_checked(stream) else {
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
    portable::narrow(narrow, inputs, of_narrow, portable::add_product);
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

/// Blocks of 16 outputs, from `sums` up to `end`; there is at least one.
///
/// # Safety
/// `weights` points to `16·(1 + count)` numbers for each block, `inputs` to `count`; `sums` and `end` bound 16 for each.
#[unsafe(naked)]
unsafe extern "C" fn wide_blocks(weights: *const f32, inputs: *const f32, count: usize, sums: *mut f32, end: *mut f32) {
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
        "vldmia r0!, {{s0-s15}}",
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
}
