//! The scalar functions whose bits the networks are made of.
//!
//! Everything is built from `f32` additions, multiplications, divisions and comparisons, which IEEE 754 defines to the
//! bit, so that every core gives the same result, with an FPU or without. Nothing here is fused, and nothing calls `std`.
//!
//! **If** every input is finite **then** every result is finite; [`finite`] is what makes inputs so.

/// The largest magnitude that an input, a state or an unbounded activation takes: 2⁶⁴.
///
/// Together with [`WEIGHT_LIMIT`] it keeps every sum below 2¹²² (65,535 + 65,535 products of 2¹⁰⁴), inside `f32`: a stream
/// that starts finite stays finite.
pub const LIMIT: f32 = 18_446_744_073_709_551_616.0;

/// The largest magnitude of a weight that a blob may hold: 2⁴⁰.
pub const WEIGHT_LIMIT: f32 = 1_099_511_627_776.0;

/// `x` itself within ±[`LIMIT`], saturated beyond it; a NaN becomes 0.
#[inline(always)]
pub fn finite(x: f32) -> f32 {
    // Written with comparisons: `f32::clamp` keeps a NaN, and `f32::min` is a library call on cores without an instruction for it.
    if x >= -LIMIT {
        if x > LIMIT { LIMIT } else { x }
    } else if x < -LIMIT {
        -LIMIT
    } else {
        0.0
    }
}

/// `x·P(x²)/Q(x²)` for `|x| ≤ bound`, and its value at the bound beyond it. Coefficients in ascending order.
#[inline(always)]
fn odd_rational<const N: usize>(x: f32, bound: f32, p: &[f32; N], q: &[f32; N]) -> f32 {
    let x = if x > bound { bound } else { x };
    let x = if x < -bound { -bound } else { x };
    let u = x * x;
    // Without a loop, which a compiler that is asked for small code would leave in, at twice the instructions.
    let horner = |k: &[f32; N]| match *k.as_slice() {
        [a, b, c] => (c * u + b) * u + a,
        [a, b, c, d, e] => (((e * u + d) * u + c) * u + b) * u + a,
        // There is no other degree.
        _ => 0.0,
    };
    x * horner(p) / horner(q)
}

/// The coefficients of `tanh(x/2)/2` from those of `tanh(x)`: powers of two, so exact.
const fn halved<const N: usize>(coefficients: [f32; N], first: f32) -> [f32; N] {
    let (mut k, mut factor, mut i) = (coefficients, first, 0);
    while i < N {
        k[i] *= factor;
        factor *= 0.25;
        i += 1;
    }
    k
}

// Minimax fits, printed by `docs/fit_tanh.py`.
const TANH_BOUND: f32 = 7.9;
const TANH_P: [f32; 5] = [1.0, 0.13444452, 0.0035716963, 2.1903423e-05, 1.5259692e-08];
const TANH_Q: [f32; 5] = [1.0, 0.46777773, 0.026164414, 0.00034117437, 8.5305516e-07];
const SIGMOID_P: [f32; 5] = halved(TANH_P, 0.25);
const SIGMOID_Q: [f32; 5] = halved(TANH_Q, 1.0);

/// Hyperbolic tangent. Absolute and relative error at most 3.6e-7, checked for every `f32`; `|tanh x| ≤ 1`, odd.
///
/// A 9/8-degree rational minimax fit on ±7.9, where `tanh` is within 2.8e-7 of 1.
#[inline]
pub fn tanh(x: f32) -> f32 {
    // Doubling is exact: these are the bits of the fit itself. So a GRU's three activations share their constants.
    2.0 * odd_rational(2.0 * x, 2.0 * TANH_BOUND, &SIGMOID_P, &SIGMOID_Q)
}

/// Logistic function `1 / (1 + e^-x)`, computed as `½ + ½·tanh(x/2)`. Absolute error at most 2.1e-7, checked for every
/// `f32`; in [0, 1].
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    0.5 + odd_rational(x, 2.0 * TANH_BOUND, &SIGMOID_P, &SIGMOID_Q)
}

/// `clip(0.2·x + 0.5, 0, 1)`: the hard sigmoid of Keras 2 and the default of ONNX.
#[inline]
pub fn hard_sigmoid(x: f32) -> f32 {
    let y = 0.2 * x + 0.5;
    let y = if y > 1.0 { 1.0 } else { y };
    if y < 0.0 { 0.0 } else { y }
}

/// `max(x, 0)`, saturated at [`LIMIT`].
#[inline]
pub fn relu(x: f32) -> f32 {
    let y = finite(x);
    if y > 0.0 { y } else { 0.0 }
}

/// `e^xᵢ / Σ e^xⱼ` in place, from the largest `x` down so that nothing overflows; `exp` is called with `x ≤ 0` only.
#[inline(always)]
pub fn softmax(xs: &mut [f32], exp: impl Fn(f32) -> f32) {
    let max = xs.iter().fold(f32::MIN, |max, &x| if x > max { x } else { max });
    let mut sum = 0.0;
    for x in xs.iter_mut() {
        *x = exp(*x - max);
        sum += *x;
    }
    for x in xs.iter_mut() {
        *x /= sum;
    }
}

/// The mean with `x` taken in, which counts `weight`: `m + (x - m)·weight`, finite. The mean is the sum of `high` and `low`,
/// which start at 0.
///
/// `low` is what rounding took off `high` (Kahan 1965, "Further remarks on reducing truncation errors"). Without it a mean
/// of many steps stands still: after 32,768 of them one counts less than the last place.
#[inline(always)]
pub fn running_mean(high: &mut f32, low: &mut f32, x: f32, weight: f32) -> f32 {
    let change = ((x - *high) - *low) * weight + *low;
    let sum = *high + change;
    *low = change - (sum - *high);
    *high = sum;
    finite(sum)
}

/// Cheaper and coarser: what the format [`Fast`](crate::Fast) computes with.
#[cfg(feature = "micromath")]
pub mod fast {
    use super::{halved, odd_rational};
    use micromath::F32Ext;

    const TANH_BOUND: f32 = 5.0;
    const TANH_P: [f32; 3] = [0.99981016, 0.10172316, 0.0006549443];
    const TANH_Q: [f32; 3] = [1.0, 0.4345041, 0.012639185];
    const SIGMOID_P: [f32; 3] = halved(TANH_P, 0.25);
    const SIGMOID_Q: [f32; 3] = halved(TANH_Q, 1.0);

    /// Hyperbolic tangent. Absolute error at most 1.4e-4, checked for every `f32`; `|tanh x| ≤ 1`, odd.
    ///
    /// A 5/4-degree rational minimax fit on ±5.
    #[inline]
    pub fn tanh(x: f32) -> f32 {
        2.0 * odd_rational(2.0 * x, 2.0 * TANH_BOUND, &SIGMOID_P, &SIGMOID_Q)
    }

    /// Logistic function. Absolute error at most 7e-5, checked for every `f32`; in [0, 1].
    #[inline]
    pub fn sigmoid(x: f32) -> f32 {
        0.5 + odd_rational(x, 2.0 * TANH_BOUND, &SIGMOID_P, &SIGMOID_Q)
    }

    /// `e^x` for `x ≤ 0`, by micromath: relative error at most 1 %.
    #[inline]
    pub fn exp(x: f32) -> f32 {
        F32Ext::exp(x)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    #[test]
    fn a_mean_is_within_two_units_in_the_last_place_however_long() {
        let mut random = 1u32;
        for (offset, noise) in [(0.0, 1.0), (1000.0, 1.0), (1.0, 1e-4), (-3.0, 300.0)] {
            let (mut high, mut low, mut exact, mut largest) = (0.0, 0.0, 0.0f64, 0.0);
            for step in 1..=400_000u32 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let x = offset + noise * ((random >> 8) as f32 / 8_388_608.0 - 1.0) * libm::sinf(step as f32 * 1e-3);
                let n = step.min(32_768);
                let mean = super::running_mean(&mut high, &mut low, x, 1.0 / n as f32);
                exact += (f64::from(x) - exact) / f64::from(n);
                largest = f32::max(largest, x.abs());
                let error = (f64::from(mean) - exact).abs() / f64::from(largest);
                assert!(error <= 2.0 * f64::from(f32::EPSILON), "{offset} {noise}: {error:e} at step {step}");
            }
        }
        let (mut high, mut low) = (0.0, 0.0);
        for n in 1..=40_000u32 {
            let x = if n % 3 == 0 { -super::LIMIT } else { super::LIMIT };
            let mean = super::running_mean(&mut high, &mut low, x, 1.0 / n.min(32_768) as f32);
            assert!(mean.abs() <= super::LIMIT);
        }
    }

    /// The largest absolute and relative error of `f` over `f32`s whose bit patterns lie `stride` apart, and its range.
    ///
    /// All of them with `GRULET_EXHAUSTIVE=1 cargo test --release --all-features math`.
    fn errors(f: fn(f32) -> f32, exact: fn(f64) -> f64) -> (f64, f64, f32, f32) {
        let stride = if std::env::var_os("GRULET_EXHAUSTIVE").is_some() { 1 } else { 251 };
        let (mut absolute, mut relative, mut least, mut most) = (0f64, 0f64, f32::MAX, f32::MIN);
        for bits in (0..=u32::MAX).step_by(stride) {
            let x = f32::from_bits(bits);
            if x.is_finite() {
                let (y, e) = (f(x), exact(f64::from(x)));
                let error = (f64::from(y) - e).abs();
                absolute = absolute.max(error);
                relative = relative.max(if x.is_normal() { error / e.abs() } else { 0.0 });
                (least, most) = (least.min(y), most.max(y));
            }
        }
        (absolute, relative, least, most)
    }

    fn logistic(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn tanh_is_within_its_bounds() {
        let (absolute, relative, least, most) = errors(super::tanh, f64::tanh);
        assert!(absolute <= 3.6e-7 && relative <= 3.6e-7, "{absolute:e} {relative:e}");
        assert!(least >= -1.0 && most <= 1.0 && most > 0.999_999, "{least} {most}");
    }

    #[test]
    fn sigmoid_is_within_its_bounds() {
        let (absolute, _, least, most) = errors(super::sigmoid, logistic);
        assert!(absolute <= 2.1e-7, "{absolute:e}");
        assert!((0.0..1e-6).contains(&least) && most <= 1.0 && most > 0.999_999, "{least} {most}");
    }

    #[cfg(feature = "micromath")]
    #[test]
    fn fast_functions_are_within_their_bounds() {
        let (absolute, _, least, most) = errors(super::fast::tanh, f64::tanh);
        assert!(absolute <= 1.4e-4 && least >= -1.0 && most <= 1.0 && most > 0.999, "{absolute:e} {least} {most}");
        let (absolute, _, least, most) = errors(super::fast::sigmoid, logistic);
        assert!(absolute <= 7e-5 && least >= 0.0 && most <= 1.0 && most > 0.999, "{absolute:e} {least} {most}");
        let (_, relative, ..) =
            errors(|x| super::fast::exp((-80.0f32).max(-x.abs())), |x| (-80f64).max(-x.abs()).exp());
        assert!(relative <= 0.01, "{relative:e}");
    }

    #[test]
    fn finite_takes_in_what_is_not() {
        for (x, y) in [(f32::NAN, 0.0), (f32::INFINITY, super::LIMIT), (f32::NEG_INFINITY, -super::LIMIT), (-3.5, -3.5)]
        {
            assert_eq!(super::finite(x), y);
        }
        assert_eq!(super::finite(f32::MAX), super::LIMIT);
    }

    #[test]
    fn a_blend_of_the_limit_stays_at_the_limit() {
        // Bounded states rest on this: (1 - z)·L + z·L never rounds above L.
        for bits in (0..=1f32.to_bits()).step_by(61) {
            let z = f32::from_bits(bits);
            assert!((1.0 - z) * super::LIMIT + z * super::LIMIT <= super::LIMIT, "z = {z}");
        }
    }

    #[test]
    fn hard_sigmoid_is_clipped_at_two_and_a_half() {
        let xs = [-1e30, -2.5, -1.0, 0.0, 1.0, 2.5, 1e30];
        assert_eq!(xs.map(super::hard_sigmoid), [0.0, 0.0, 0.3, 0.5, 0.7, 1.0, 1.0]);
    }

    #[test]
    fn softmax_of_anything_finite_is_a_distribution() {
        for mut xs in [[0.0, 0.0, 0.0], [1e30, -1e30, 1e30], [-1e38, -1e38, -1e38], [1.0, 2.0, 3.0]] {
            super::softmax(&mut xs, libm::expf);
            let sum: f32 = xs.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{xs:?}");
        }
    }
}
