//! The integer kernel in plain Rust: the definition of every `Int8` network's bits.

use super::ROWS;
use crate::fixed::rescale;

/// `sums[o] = bias[o] + round(Σ weights[o][i]·operands[i] · multiplier[o] · 2⁻³²)`.
///
/// `matrix` holds blocks of four rows (see [the module](super)) for `sums.len()` rows and an even number of operands. Sums
/// that a shorter matrix does not reach stay as they are.
pub fn product(mut matrix: &[i32], operands: &[i16], sums: &mut [i32]) {
    let (pairs, _) = operands.as_chunks::<2>();
    for block in sums.chunks_mut(ROWS) {
        let Some((weights, rest)) = matrix.split_at_checked(2 * pairs.len()) else {
            return;
        };
        let Some((constants, rest)) = rest.split_first_chunk::<{ 2 * ROWS }>() else {
            return;
        };
        matrix = rest;

        let mut rows = [0i32; ROWS];
        for (&[first, second], pair) in weights.as_chunks::<2>().0.iter().zip(pairs) {
            let [r0, r1, r2, r3] = &mut rows;
            add(first, pair, r0, r1);
            add(second, pair, r2, r3);
        }
        let [bias, multiplier] = constants.as_chunks::<ROWS>().0 else {
            return;
        };
        for (((sum, &row), &bias), &multiplier) in block.iter_mut().zip(&rows).zip(bias).zip(multiplier) {
            *sum = bias.wrapping_add(rescale(row, multiplier));
        }
    }
}

/// Adds the products of a word of weights, of rows `even` and `odd`, with a pair of operands.
#[inline(always)]
fn add(word: i32, &[x, y]: &[i16; 2], even: &mut i32, odd: &mut i32) {
    for (half, x) in [(word as i16, x), ((word >> 16) as i16, y)] {
        let b = i32::from(half as i8);
        let a = (i32::from(half) - b) >> 8;
        *even = even.wrapping_add(a * i32::from(x));
        *odd = odd.wrapping_add(b * i32::from(x));
    }
}
