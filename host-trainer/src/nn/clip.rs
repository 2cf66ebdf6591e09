//! The clipping of gradients.

use super::Real;

/// Scales `gradients` so that their Euclidean norm is at most `limit`; returns the norm that they had.
///
/// The norm is summed in `f64`. Where it is not finite the gradients stay as they are, and the caller should stop.
pub fn clip_by_norm<R: Real>(gradients: &mut [R], limit: f64) -> f64 {
    // Eight sums side by side, because one alone waits for itself.
    let mut sums = [0.0; 8];
    let chunks = gradients.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|g| g.to_f64() * g.to_f64()).sum();
    for chunk in chunks {
        for (sum, g) in sums.iter_mut().zip(chunk) {
            *sum += g.to_f64() * g.to_f64();
        }
    }
    let norm = libm::sqrt(sums.iter().sum::<f64>() + rest);
    if norm > limit && norm.is_finite() {
        let factor = R::from_f64(limit / norm);
        gradients.iter_mut().for_each(|g| *g *= factor);
    }
    norm
}

/// Brings each of `gradients` into `-limit..=limit`. NaN stays.
pub fn clip_by_value<R: Real>(gradients: &mut [R], limit: f64) {
    let limit = R::from_f64(limit);
    for g in gradients {
        if *g > limit {
            *g = limit;
        } else if *g < -limit {
            *g = -limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eleven numbers, so that both the groups of eight and their remainder count; their norm is 9.
    fn gradients() -> Vec<f64> {
        let mut gradients = vec![0.0; 11];
        (gradients[0], gradients[5], gradients[9]) = (4.0, -7.0, 4.0);
        gradients
    }

    #[test]
    fn a_norm_above_the_limit_becomes_the_limit() {
        let mut clipped = gradients();
        assert_eq!(clip_by_norm(&mut clipped, 4.5), 9.0);
        let halves: Vec<f64> = gradients().iter().map(|g| g / 2.0).collect();
        assert_eq!(clipped, halves);
        // f32 too, and where the squares would overflow.
        let mut large = [3e30_f32, 4e30];
        assert!((clip_by_norm(&mut large, 5.0) / 5e30 - 1.0).abs() < 1e-7);
        assert!((large[0] - 3.0).abs() < 1e-6 && (large[1] - 4.0).abs() < 1e-6, "{large:?}");
    }

    #[test]
    fn a_norm_up_to_the_limit_stays() {
        for limit in [9.0, 9.5, f64::INFINITY] {
            let mut same = gradients();
            assert_eq!(clip_by_norm(&mut same, limit), 9.0);
            assert_eq!(same, gradients());
        }
        let mut zeros = [0.0_f32; 9];
        assert_eq!(clip_by_norm(&mut zeros, 1.0), 0.0);
        assert_eq!(zeros, [0.0; 9]);
        assert_eq!(clip_by_norm::<f32>(&mut [], 1.0), 0.0);
    }

    #[test]
    fn values_beyond_the_limit_become_the_limit() {
        let mut values = [4.0, -7.0, 0.25, -0.25, 0.5, -0.5, 0.0, f64::INFINITY, f64::NEG_INFINITY];
        clip_by_value(&mut values, 0.5);
        assert_eq!(values, [0.5, -0.5, 0.25, -0.25, 0.5, -0.5, 0.0, 0.5, -0.5]);
        let mut broken = [f32::NAN];
        clip_by_value(&mut broken, 0.5);
        assert!(broken[0].is_nan());
    }

    #[test]
    fn a_norm_that_is_not_finite_stays_and_is_told() {
        for (bad, at) in [(f64::NAN, 2), (f64::NAN, 10), (f64::INFINITY, 2), (f64::NEG_INFINITY, 10)] {
            let mut broken = gradients();
            broken[at] = bad;
            let before: Vec<u64> = broken.iter().map(|g| g.to_bits()).collect();
            assert!(!clip_by_norm(&mut broken, 1.0).is_finite(), "{bad} at {at}");
            assert_eq!(broken.iter().map(|g| g.to_bits()).collect::<Vec<_>>(), before);
        }
    }
}
