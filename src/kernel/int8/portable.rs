//! The integer kernel in plain Rust: the definition of every `Int8` network's bits.

use super::{ONE, ROWS};
use crate::fixed::rescale;
use crate::kernel::Hot;

/// `sums[o] = bias[o] + round(Σ weights[o][i]·operands[i] · multiplier[o] · 2⁻³²)`.
///
/// `matrix` holds blocks of four rows (see [the module](super)) for `sums.len()` rows and an even number of operands. Sums
/// that a shorter matrix does not reach stay as they are.
#[inline]
pub fn product(matrix: &[i32], operands: &[i16], sums: &mut [i32]) {
    blocks(matrix, None, operands, sums, rows);
}

/// The same after a one-hot input, whose 1 is [`ONE`] units: the product over that vector, filled up to an even number, and
/// then the `operands`.
#[inline]
pub fn one_hot_product(matrix: &[i32], hot: Hot, operands: &[i16], sums: &mut [i32]) {
    if hot.fits(matrix.len()) {
        blocks(matrix, Some(hot), operands, sums, rows);
    }
}

/// The same with another way to `rows`: the sums of a block's four rows before their constants.
#[inline(always)]
pub(super) fn blocks(
    mut matrix: &[i32],
    hot: Option<Hot>,
    operands: &[i16],
    sums: &mut [i32],
    rows: impl Fn(&[i32], &[[i16; 2]]) -> [i32; ROWS],
) {
    let (pairs, _) = operands.as_chunks::<2>();
    let words_before = hot.map_or(0, |hot| hot.inputs.div_ceil(2) * 2);
    for block in sums.chunks_mut(ROWS) {
        let Some((before, rest)) = matrix.split_at_checked(words_before) else {
            return;
        };
        matrix = rest;
        let Some((weights, rest)) = matrix.split_at_checked(2 * pairs.len()) else {
            return;
        };
        let Some((constants, rest)) = rest.split_first_chunk::<{ 2 * ROWS }>() else {
            return;
        };
        matrix = rest;
        let [bias, multiplier] = constants.as_chunks::<ROWS>().0 else {
            return;
        };
        let mut rows = rows(weights, pairs);
        if let Some(hot) = hot {
            add_hot(before, hot.token, &mut rows);
        }
        for (((sum, row), &bias), &multiplier) in block.iter_mut().zip(rows).zip(bias).zip(multiplier) {
            *sum = bias.wrapping_add(rescale(row, multiplier));
        }
    }
}

#[inline(always)]
fn rows(weights: &[i32], pairs: &[[i16; 2]]) -> [i32; ROWS] {
    // Four variables and not an array, which a compiler that is asked for small code keeps in memory.
    let (mut r0, mut r1, mut r2, mut r3) = (0, 0, 0, 0);
    for (&[first, second], &pair) in weights.as_chunks::<2>().0.iter().zip(pairs) {
        (r0, r1) = add(first, pair, r0, r1);
        (r2, r3) = add(second, pair, r2, r3);
    }
    [r0, r1, r2, r3]
}

/// Adds the products with a one-hot input to a block's `rows`; its words of weights for those inputs are `words`.
#[inline(always)]
fn add_hot(words: &[i32], token: usize, rows: &mut [i32; ROWS]) {
    // The half of the token comes to the lower place, and the other one is multiplied by 0: no branch on the token.
    let shift = (token % 2 * 16) as u32;
    let pair = words.as_chunks::<2>().0.get(token / 2).copied().unwrap_or_default();
    let [r0, r1, r2, r3] = *rows;
    let (r0, r1) = add(pair[0] >> shift, [ONE, 0], r0, r1);
    let (r2, r3) = add(pair[1] >> shift, [ONE, 0], r2, r3);
    *rows = [r0, r1, r2, r3];
}

/// `even` and `odd` with the products of a word of weights, of those two rows, and a pair of operands.
#[inline(always)]
fn add(word: i32, [x, y]: [i16; 2], even: i32, odd: i32) -> (i32, i32) {
    let split = |half: i16| {
        let b = i32::from(half as i8);
        ((i32::from(half) - b) >> 8, b)
    };
    let ((a_x, b_x), (a_y, b_y)) = (split(word as i16), split((word >> 16) as i16));
    let (x, y) = (i32::from(x), i32::from(y));
    (even.wrapping_add(a_x * x).wrapping_add(a_y * y), odd.wrapping_add(b_x * x).wrapping_add(b_y * y))
}
