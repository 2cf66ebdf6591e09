//! The integer kernel in plain Rust: the definition of every `Int8` network's bits.

use super::ROWS;
use crate::fixed::rescale;

/// `sums[o] = bias[o] + round(Σ weights[o][i]·operands[i] · multiplier[o] · 2⁻³²)`.
///
/// `matrix` holds blocks of four rows (see [the module](super)) for `sums.len()` rows and an even number of operands. Sums
/// that a shorter matrix does not reach stay as they are.
#[inline]
pub fn product(matrix: &[i32], operands: &[i16], sums: &mut [i32]) {
    blocks(matrix, operands, sums, rows);
}

/// The same with another way to `rows`: the sums of a block's four rows before their constants.
#[inline(always)]
pub(super) fn blocks(
    mut matrix: &[i32],
    operands: &[i16],
    sums: &mut [i32],
    rows: impl Fn(&[i32], &[[i16; 2]]) -> [i32; ROWS],
) {
    let (pairs, _) = operands.as_chunks::<2>();
    for block in sums.chunks_mut(ROWS) {
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
        let rows = rows(weights, pairs);
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
