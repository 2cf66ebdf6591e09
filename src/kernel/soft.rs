//! `f32` on a core without an FPU (Cortex-M0, M3, RISC-V without `F`), where the compiler calls a function for each product and
//! each sum: both in one here, which takes less than half of the instructions.
//!
//! The bits are [`portable`]'s, as IEEE 754 defines both operations, each rounded to the nearest, ties to even.

use super::{Hot, portable};

/// [`portable::product`].
#[inline]
pub fn product(weights: &[f32], inputs: &[f32], sums: &mut [f32]) {
    portable::product_by(weights, None, inputs, sums, add_product);
}

/// [`portable::one_hot_product`].
#[inline]
pub fn one_hot_product(weights: &[f32], hot: Hot, operands: &[f32], sums: &mut [f32]) {
    if hot.fits(weights.len()) {
        portable::product_by(weights, Some(hot), operands, sums, add_product);
    }
}

/// Bits of the fraction, below the exponent.
const FRACTION: u32 = 23;
/// The fraction's leading one, which is not stored.
const ONE: u32 = 1 << FRACTION;

/// `sum + a * b`, each rounded.
#[inline]
pub fn add_product(sum: f32, a: f32, b: f32) -> f32 {
    let words = [sum, a, b].map(f32::to_bits);
    match of_normal_numbers(words) {
        Some(word) => f32::from_bits(word),
        // Zeros, subnormal numbers, infinities, NaN: seldom, and the compiler knows them.
        None => sum + a * b,
    }
}

/// The same of normal numbers with a normal product, in their bits; `None` if one of them is something else, or close to the
/// end of the range.
#[inline(always)]
fn of_normal_numbers([sum, a, b]: [u32; 3]) -> Option<u32> {
    let exponent = |word: u32| word >> FRACTION & 0xff;
    // Three below infinity: one for the product's carry, one for the sum's, one for its rounding's.
    let ordinary = |exponent: u32| exponent.wrapping_sub(1) < 251;
    let fraction = |word: u32| word & (ONE - 1) | ONE;
    if !(ordinary(exponent(sum)) && ordinary(exponent(a)) && ordinary(exponent(b))) {
        return None;
    }

    // The product of two fractions of 24 bits, by halves of 12: small cores multiply 32 bits to 32.
    let (a_high, a_low) = (fraction(a) >> 12, fraction(a) & 0xfff);
    let (b_high, b_low) = (fraction(b) >> 12, fraction(b) & 0xfff);
    let middle = a_high * b_low + a_low * b_high;
    let low = a_low * b_low + ((middle & 0xfff) << 12);
    let mut high = a_high * b_high + (middle >> 12) + (low >> 24);
    let mut rest = low << 8;
    // Between 1 and 4 in units of 2²². An exponent is 127 too much, so that of the product has 127 to lose.
    let mut above = (exponent(a) + exponent(b)).wrapping_sub(127);
    if high < ONE {
        high = high << 1 | rest >> 31;
        rest <<= 1;
        above = above.wrapping_sub(1);
    }
    if !ordinary(above) {
        return None;
    }
    // The leading one adds the one that `above` lacks, and a carry of the rounding another.
    let mut product = (above << FRACTION) + high + (rest >> 31);
    if rest == 1 << 31 {
        product &= !1;
    }

    let (sign, other) = (sum & 1 << 31, (a ^ b) & 1 << 31);
    let magnitude = sum ^ sign;
    let (large, small, result_sign) =
        if magnitude >= product { (magnitude, product, sign) } else { (product, magnitude, other) };
    let mut exponent = large >> FRACTION;
    let shift = exponent - (small >> FRACTION);
    if shift > 26 {
        return Some(large | result_sign);
    }
    // Three bits more, of which the last is one if anything is lost.
    let (x, y) = (fraction(large) << 3, fraction(small) << 3);
    let kept = y >> shift;
    let y = if kept << shift == y { kept } else { kept | 1 };
    let mut total;
    if sign == other {
        total = x + y;
        if total >= ONE << 4 {
            total = total >> 1 | total & 1;
            exponent += 1;
        }
    } else {
        total = x - y;
        if total == 0 {
            return Some(0);
        }
        // Seldom far: counting zeros takes longer where no instruction does it.
        while total < ONE << 3 {
            total <<= 1;
            exponent -= 1;
            if exponent == 0 {
                return None;
            }
        }
    }
    let mut word = ((exponent - 1) << FRACTION) + (total >> 3) + (total >> 2 & 1);
    if total & 7 == 4 {
        word &= !1;
    }
    Some(word | result_sign)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Each operation rounded by this machine.
    fn assert_same(sum: f32, a: f32, b: f32) {
        let (found, expected) = (add_product(sum, a, b), sum + a * b);
        let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
        assert!(same, "{sum:e} + {a:e} * {b:e}: {found:e}, not {expected:e}");
    }

    /// Xorshift: Marsaglia, Journal of Statistical Software 8(14), 2003.
    fn random(state: &mut u32) -> u32 {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        *state
    }

    #[test]
    fn products_are_the_portable_ones() {
        let state = &mut 3;
        let mut number = || random(state) as i32 as f32 * 1e-9;
        let inputs: Vec<f32> = (0..9).map(|_| number()).collect();
        // Blocks of 16, 8, 4, 2 and 1 outputs.
        let weights: Vec<f32> = (0..31 * 10).map(|_| number()).collect();
        let (mut found, mut expected) = ([0.0; 31], [1.0; 31]);
        product(&weights, &inputs, &mut found);
        portable::product(&weights, &inputs, &mut expected);
        assert_eq!(found.map(f32::to_bits), expected.map(f32::to_bits));
        let hot = Hot { inputs: 4, token: 2 };
        one_hot_product(&weights, hot, &inputs[4..], &mut found);
        portable::one_hot_product(&weights, hot, &inputs[4..], &mut expected);
        assert_eq!(found.map(f32::to_bits), expected.map(f32::to_bits));
    }

    #[test]
    fn any_numbers_give_what_the_machine_gives() {
        let state = &mut 1;
        for _ in 0..2_000_000 {
            let [sum, a, b] = [(); 3].map(|()| f32::from_bits(random(state)));
            assert_same(sum, a, b);
        }
    }

    #[test]
    fn numbers_near_each_other_give_what_the_machine_gives() {
        let state = &mut 2;
        for round in 0..3_000_000u32 {
            // Fractions with few bits make ties; a sum beside the product cancels or carries.
            let mask = [!0, !0 << 11, !0 << 20][round as usize % 3];
            let mut number = |around: u32| {
                let exponent = around + random(state) % 8;
                f32::from_bits(exponent << FRACTION | random(state) & (ONE - 1) & mask | random(state) & 1 << 31)
            };
            let (a, b, mut sum) = (number(124), number(124), number(120));
            if round % 2 == 0 {
                let step = (random(state) % 9) as i32 - 4;
                sum = f32::from_bits((-(a * b)).to_bits().wrapping_add_signed(step));
            }
            assert_same(sum, a, b);
        }
    }

    #[test]
    fn the_ends_of_the_range_give_what_the_machine_gives() {
        let ends = [0.0, 1e-45, 1e-38, f32::MIN_POSITIVE, 1.5e-38, 1e-20, 1e-19, 1.0, 1e19, 1e20, 3e38, f32::MAX];
        let ends = ends.iter().chain(&[f32::INFINITY, f32::NAN, 16_777_215.0, 16_777_216.0, 0.5, 1.0 + f32::EPSILON]);
        let signed: Vec<f32> = ends.flat_map(|&x| [x, -x]).collect();
        for &sum in &signed {
            for &a in &signed {
                for &b in &signed {
                    assert_same(sum, a, b);
                }
            }
        }
    }
}
