//! The scalar functions of [`Int8`](crate::Int8): integers in, integers out, without a division and without a branch that
//! depends on data.

use crate::spec::Gate;

/// The argument at which the table ends, on either side: `tanh(x/2)` is within half a unit of ±1 from there on.
pub const ARGUMENT_LIMIT: f64 = 11.09;

/// The real value of one unit of [`tanh_half`]'s argument.
pub const ARGUMENT: f64 = ARGUMENT_LIMIT / 65_536.0;

/// The real value of one unit of an exponent of 2 in [`softmax`].
pub const EXPONENT: f64 = 1.0 / 2048.0;

/// Intervals of the table, over ±[`ARGUMENT_LIMIT`].
const INTERVALS: usize = 512;

/// For each interval the value at its start (Q15, upper half) and the slope (Q15 per interval times 2⁵, lower half).
///
/// The only table there is: 2 KiB. `static`, so that it is there once.
static TANH_HALF: [i32; INTERVALS] = table();

/// `e^-x` for `0 ≤ x < 1` by its series, to the last digit of an `f64`.
const fn exp_minus(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while k < 20.0 {
        term *= -x / k;
        sum += term;
        k += 1.0;
    }
    sum
}

/// To the nearest integer.
const fn round(x: f64) -> i32 {
    (if x < 0.0 { x - 0.5 } else { x + 0.5 }) as i32
}

const fn table() -> [i32; INTERVALS] {
    let width = 2.0 * ARGUMENT_LIMIT / INTERVALS as f64;
    // The curve in units of Q15 at so many intervals above 0, moved outwards by half of what a chord falls short of it.
    let mut knots = [0.0; INTERVALS / 2 + 1];
    let (decay, mut power, mut i) = (exp_minus(width), 1.0, 0);
    while i < knots.len() {
        let y = (1.0 - power) / (1.0 + power);
        let shortfall = width * width / 8.0 * y * (1.0 - y * y) / 2.0;
        knots[i] = 32_768.0 * (y + shortfall / 2.0);
        power *= decay;
        i += 1;
    }
    let mut table = [0; INTERVALS];
    let mut i = 0;
    while i < INTERVALS {
        let half = INTERVALS / 2;
        let (start, end) =
            if i < half { (-knots[half - i], -knots[half - i - 1]) } else { (knots[i - half], knots[i - half + 1]) };
        let slope = round((end - start) * 32.0);
        // The slope, seen as a fraction of the value's last unit, takes part in the sum: it is taken off here, and half a
        // unit put on so that the final shift rounds.
        let value = round((start * 65_536.0 + 32_768.0 - slope as f64) / 65_536.0);
        table[i] = value * 65_536 + slope;
        i += 1;
    }
    table
}

/// `tanh(x/2)` in Q15, of an argument in units of [`ARGUMENT`]. Absolute error at most 6.5e-5 (2.1 units of Q15), checked
/// for every argument.
///
/// It serves both curves of a GRU: `tanh(x)` is this of twice the argument, and `sigmoid(x)` half of this plus a half.
#[inline(always)]
pub fn tanh_half(x: i32) -> i32 {
    let x = x.clamp(-65_536, 65_535);
    let word = TANH_HALF[((x >> 8) + INTERVALS as i32 / 2) as usize & (INTERVALS - 1)];
    let slope = i32::from(word as i16);
    (word + slope * ((x & 255) << 3)) >> 16
}

/// A gate in Q16, from 0 to 65,535.
#[inline(always)]
pub fn gate(gate: Gate, sum: i32) -> i32 {
    match gate {
        Gate::Sigmoid => tanh_half(sum) + 32_768,
        Gate::HardSigmoid => sum.clamp(0, 65_535),
    }
}

/// `x` saturated to 16 bits.
#[inline(always)]
pub fn saturate(x: i32) -> i16 {
    let unit = x.clamp(-32_768, 32_767);
    #[cfg(feature = "saturations")]
    crate::saturations::count(&crate::saturations::UNITS, unit != x);
    unit as i16
}

/// `x·2^-shift`, to the nearest, ties up; `shift ≤ 15`.
#[inline(always)]
pub fn shift_right(x: i16, shift: u32) -> i16 {
    ((i32::from(x) + (1 << shift >> 1)) >> shift) as i16
}

/// `gate·x`, to the nearest, ties up.
#[inline(always)]
pub fn scale(gate: i32, x: i16) -> i16 {
    ((gate * i32::from(x) + 32_768) >> 16) as i16
}

/// `gate·x` of a sum, to the nearest, ties up.
#[inline(always)]
pub fn scale_sum(gate: i32, x: i32) -> i32 {
    ((i64::from(gate) * i64::from(x) + 32_768) >> 16) as i32
}

/// `(1 - z)·c + z·h`, to the nearest, ties up. It lies between `c` and `h`, so nothing saturates.
#[inline(always)]
pub fn blend(z: i32, c: i16, h: i16) -> i16 {
    let sum = (z * i32::from(h)).wrapping_add((65_536 - z).wrapping_mul(i32::from(c)));
    (sum.wrapping_add(32_768) >> 16) as i16
}

/// `x·multiplier·2^-32`, to the nearest, ties up: what brings a sum of products to the units of its activation.
#[inline(always)]
pub fn rescale(x: i32, multiplier: i32) -> i32 {
    ((i64::from(x) * i64::from(multiplier) + (1 << 31)) >> 32) as i32
}

/// Coefficients of `2^-f` for `0 ≤ f < 1` in Q30 with alternating signs, highest power first: the quartic through its
/// values at 0 and at the four upper of five Chebyshev nodes. Absolute error 2.8e-6.
const EXP2: [u64; 5] = [7_365_563, 57_202_434, 257_142_744, 744_174_857, 1 << 30];

/// `2^-x` in Q15, rounded down, of an exponent in units of [`EXPONENT`].
#[inline(always)]
fn exp2_minus(x: u32) -> u32 {
    let fraction = u64::from(x & 2047) << 5; // Q16
    let power = EXP2.iter().fold(0, |sum, &k| k - ((sum * fraction) >> 16));
    (power as u32) >> (15 + (x >> 11).min(16))
}

/// `2^vᵢ / Σ 2^vⱼ` in Q15, of exponents in units of [`EXPONENT`], which are overwritten. Absolute error at most 1e-4.
pub fn softmax(exponents: &mut [i32], outputs: &mut [i16]) {
    let max = exponents.iter().fold(i32::MIN, |max, &x| max.max(x));
    let mut sum = 0u32;
    for x in exponents.iter_mut() {
        let power = exp2_minus(max.wrapping_sub(*x) as u32);
        *x = power as i32;
        // At most 65,535 powers of at most 2¹⁵ each, and one is that.
        sum = sum.wrapping_add(power);
    }
    // `1/d` in Q30 by Newton's method, with `d = sum·2^zeros·2^-32` in [½, 1). The start 48/17 - 32/17·d is off by at most
    // 1/17, and each round squares that.
    let zeros = sum.leading_zeros() & 31;
    let d = i64::from(sum << zeros);
    let mut inverse = (48i64 << 30) / 17 - ((((32i64 << 30) / 17) * d) >> 32);
    for _ in 0..3 {
        let error = (1 << 30) - (d.wrapping_mul(inverse) >> 32);
        inverse = inverse.wrapping_add(inverse.wrapping_mul(error) >> 30);
    }
    for (output, &power) in outputs.iter_mut().zip(&*exponents) {
        let quotient = i64::from(power).wrapping_mul(inverse).wrapping_add(1 << (46 - zeros)) >> (47 - zeros);
        *output = quotient.min(32_767) as i16;
    }
}

/// A number to divide sums of units by, from 1 to 32,768.
#[derive(Clone, Copy, Debug)]
pub struct Divisor {
    n: u32,
    /// `(2³² - 1) / n`, rounded down.
    reciprocal: u32,
}

impl Divisor {
    /// From `n`.
    #[inline(always)]
    pub fn new(n: u32) -> Self {
        // Long division, a bit at a time, of a row of ones.
        let (mut reciprocal, mut remainder) = (0u32, 0u32);
        for _ in 0..32 {
            let less = (remainder << 1 | 1).wrapping_sub(n);
            // All ones where it went below 0.
            let below = ((less as i32) >> 31) as u32;
            remainder = less.wrapping_add(n & below);
            reciprocal = (reciprocal << 1).wrapping_add(below.wrapping_add(1));
        }
        Self { n, reciprocal }
    }

    /// `sum / n`, to the nearest, ties up, of a sum of `n` units.
    #[inline(always)]
    pub fn divide(self, sum: i32) -> i16 {
        let Self { n, reciprocal } = self;
        // From 0 to below 2³¹: the 32,768 is taken off the quotient again.
        let dividend = (sum as u32).wrapping_add(n << 15).wrapping_add(n >> 1);
        // The reciprocal is less than 2 below 2³²/n, so that the quotient is at most 1 too low.
        let quotient = ((u64::from(dividend) * u64::from(reciprocal)) >> 32) as u32;
        let remainder = dividend.wrapping_sub(quotient.wrapping_mul(n));
        // A sign, because a Cortex-M0 would branch on a comparison.
        let more = (n - 1).wrapping_sub(remainder) >> 31;
        quotient.wrapping_add(more).wrapping_sub(32_768) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_exact() {
        let mut random = 1u32;
        for n in 1..=32_768 {
            let divisor = Divisor::new(n);
            assert_eq!(divisor.reciprocal, u32::MAX / n);
            let n = n as i32;
            let check = |sum: i32| {
                let sum = sum.clamp(-32_768 * n, 32_767 * n);
                let expected = (2 * i64::from(sum) + i64::from(n)).div_euclid(2 * i64::from(n));
                assert_eq!(i64::from(divisor.divide(sum)), expected, "{sum} / {n}");
            };
            for sum in [i32::MIN, -n, -n / 2 - 1, -n / 2, -1, 0, 1, n / 2, n / 2 + 1, n - 1, n, i32::MAX] {
                check(sum);
            }
            for _ in 0..30 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                check((random as i32 >> 16) * n + (random & 3) as i32 - 1);
                check(random as i32);
            }
        }
    }

    #[test]
    fn tanh_half_is_within_its_bound_for_every_argument() {
        let mut worst = 0f64;
        for x in -70_000..=70_000 {
            let exact = (f64::from(x) * ARGUMENT / 2.0).tanh();
            worst = worst.max((f64::from(tanh_half(x)) / 32_768.0 - exact).abs());
        }
        assert!(worst <= 6.5e-5, "{worst:e}");
        assert!((0..65_535).all(|x| tanh_half(x) <= tanh_half(x + 1)), "not monotonic");
        assert_eq!((tanh_half(i32::MIN), tanh_half(0), tanh_half(i32::MAX)), (-32_766, 0, 32_767));
    }

    #[test]
    fn softmax_is_within_its_bound() {
        let mut random = 1u32;
        for n in 1..200 {
            let mut exponents: std::vec::Vec<i32> = (0..n)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 16) as i32 % (1 << (n % 16)) - 500
                })
                .collect();
            let powers: std::vec::Vec<f64> = exponents.iter().map(|&x| (f64::from(x) * EXPONENT).exp2()).collect();
            let sum: f64 = powers.iter().sum();
            let mut outputs = std::vec![0; n];
            softmax(&mut exponents, &mut outputs);
            for (power, output) in powers.iter().zip(outputs) {
                let error = (f64::from(output) / 32_768.0 - power / sum).abs();
                assert!(error <= 1e-4, "{n}: {error:e}");
            }
        }
        let mut outputs = [0; 3];
        softmax(&mut [i32::MIN, i32::MAX, 0], &mut outputs);
        assert_eq!(outputs, [0, 32_767, 0]);
    }

    #[test]
    fn a_blend_lies_between_its_ends() {
        for z in (0..=65_535).step_by(17).chain([65_535]) {
            for (c, h) in
                [(i16::MIN, i16::MAX), (i16::MAX, i16::MIN), (i16::MIN, i16::MIN), (i16::MAX, i16::MAX), (-3, 5)]
            {
                let blend = super::blend(z, c, h);
                assert!(blend >= c.min(h) && blend <= c.max(h), "{z} {c} {h}: {blend}");
            }
        }
        assert_eq!((super::blend(0, -7, 9), super::blend(32_768, -8, 8)), (-7, 0));
    }

    #[test]
    fn roundings_are_to_the_nearest_and_ties_go_up() {
        assert_eq!([5, 6, 7, -5, -6, -7].map(|x| shift_right(x, 2)), [1, 2, 2, -1, -1, -2]);
        assert_eq!([(32_768, 3), (32_768, -3), (65_535, i16::MIN)].map(|(g, x)| scale(g, x)), [2, -1, -32_767]);
        assert_eq!([3, -3].map(|x| (scale_sum(32_768, x), rescale(x, 1 << 30))), [(2, 1), (-1, -1)]);
        assert_eq!([i32::MIN, 40_000, -7].map(saturate), [i16::MIN, i16::MAX, -7]);
    }
}
