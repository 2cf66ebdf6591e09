//! The integer kernel on x86-64, in SSE2, 16 products in about 12 instructions: one of the runtime's few files with
//! `unsafe`.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_madd_epi16, _mm_setr_epi32, _mm_setzero_si128, _mm_shuffle_epi32,
    _mm_slli_epi16, _mm_srai_epi16, _mm_srli_si128, _mm_sub_epi16, _mm_unpackhi_epi64, _mm_unpacklo_epi32,
};

use super::{ROWS, portable};
use crate::kernel::Hot;

/// [`portable::product`].
#[inline]
pub fn product(matrix: &[i32], operands: &[i16], sums: &mut [i32]) {
    // SAFETY: this file is compiled only where the target has SSE2.
    portable::blocks(matrix, None, operands, sums, |weights, pairs| unsafe { rows(weights, pairs) });
}

/// [`portable::one_hot_product`].
#[inline]
pub fn one_hot_product(matrix: &[i32], hot: Hot, operands: &[i16], sums: &mut [i32]) {
    if hot.fits(matrix.len()) {
        // SAFETY: this file is compiled only where the target has SSE2.
        portable::blocks(matrix, Some(hot), operands, sums, |weights, pairs| unsafe { rows(weights, pairs) });
    }
}

/// The sums of a block's rows before their constants.
#[inline]
#[target_feature(enable = "sse2")]
fn rows(weights: &[i32], pairs: &[[i16; 2]]) -> [i32; ROWS] {
    // Each lane has a row: even (rows 0 and 2 of one pair of operands, rows 0 and 2 of the next), and odd alike.
    let mut even = _mm_setzero_si128();
    let mut odd = _mm_setzero_si128();
    let (two_pairs, last_pair) = pairs.as_chunks::<2>();
    let (words, last_words) = weights.as_chunks::<4>();
    for (words, &[x, y]) in words.iter().zip(two_pairs) {
        (even, odd) = add(words, x, y, even, odd);
    }
    if let (&[first, second], &[x]) = (last_words, last_pair) {
        (even, odd) = add(&[first, second, 0, 0], x, [0; 2], even, odd);
    }
    let (even, odd) =
        (_mm_add_epi32(even, _mm_unpackhi_epi64(even, even)), _mm_add_epi32(odd, _mm_unpackhi_epi64(odd, odd)));
    let rows = _mm_unpacklo_epi32(even, odd);
    [
        _mm_cvtsi128_si32(rows),
        _mm_cvtsi128_si32(_mm_srli_si128::<4>(rows)),
        _mm_cvtsi128_si32(_mm_srli_si128::<8>(rows)),
        _mm_cvtsi128_si32(_mm_srli_si128::<12>(rows)),
    ]
}

/// `even` and `odd` with the products of four words of weights and the pairs of operands `x` and `y`.
#[inline]
#[target_feature(enable = "sse2")]
fn add(words: &[i32; 4], x: [i16; 2], y: [i16; 2], even: __m128i, odd: __m128i) -> (__m128i, __m128i) {
    let word = |[low, high]: [i16; 2]| i32::from(low) & 0xffff | i32::from(high) << 16;
    let operands = _mm_setr_epi32(word(x), word(y), 0, 0);
    let operands = _mm_shuffle_epi32::<0b01_01_00_00>(operands);
    let &[w0, w1, w2, w3] = words;
    let halves = _mm_setr_epi32(w0, w1, w2, w3);
    // A half is 256·a + b: b is its lower byte, with its sign.
    let b = _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(halves));
    let a = _mm_srai_epi16::<8>(_mm_sub_epi16(halves, b));
    (_mm_add_epi32(even, _mm_madd_epi16(a, operands)), _mm_add_epi32(odd, _mm_madd_epi16(b, operands)))
}
