//! Initial weights, as Keras draws them.

use super::rng::Rng;

/// Glorot and Bengio 2010: uniform within ±√(6 / (inputs + outputs)) for a matrix (inputs, outputs).
pub(super) fn glorot_uniform(inputs: usize, outputs: usize, rng: &mut Rng) -> Vec<f64> {
    uniform(inputs * outputs, libm::sqrt(6.0 / (inputs + outputs) as f64), rng)
}

/// Uniform within ±`limit`.
pub(super) fn uniform(count: usize, limit: f64, rng: &mut Rng) -> Vec<f64> {
    (0..count).map(|_| (2.0 * rng.uniform() - 1.0) * limit).collect()
}

/// Saxe et al. 2013: a matrix (rows, columns) with `rows ≤ columns` whose rows are orthonormal, uniformly distributed.
///
/// Rows of normal numbers are made orthogonal by Gram and Schmidt's method. Each is projected twice, which leaves no more
/// than rounding errors (Giraud et al. 2005); the result is the Q of a QR decomposition with positive diagonal.
pub(super) fn orthogonal(rows: usize, columns: usize, rng: &mut Rng) -> Vec<f64> {
    let mut matrix: Vec<f64> = (0..rows * columns).map(|_| rng.normal()).collect();
    for r in 0..rows {
        let (done, rest) = matrix.split_at_mut(r * columns);
        let row = &mut rest[..columns];
        for _ in 0..2 {
            for other in done.chunks_exact(columns) {
                let projection = dot(row, other);
                row.iter_mut().zip(other).for_each(|(x, &y)| *x -= projection * y);
            }
        }
        let norm = libm::sqrt(dot(row, row));
        row.iter_mut().for_each(|x| *x /= norm);
    }
    matrix
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glorot_fills_its_range() {
        // A GRU's kernel (I, 3H) counts all three gates as outputs, as Keras does.
        for (inputs, outputs) in [(20, 30), (6, 3 * 32), (200, 1)] {
            let weights = glorot_uniform(inputs, outputs, &mut Rng::new(3, 0));
            let count = (inputs * outputs) as f64;
            assert_eq!(weights.len() as f64, count);
            let limit = libm::sqrt(6.0 / (inputs + outputs) as f64);
            let (low, high) = weights.iter().fold((0.0, 0.0), |(l, h): (f64, f64), &w| (l.min(w), h.max(w)));
            assert!(-limit <= low && low < -0.95 * limit && high <= limit && high > 0.95 * limit, "{low} to {high}");
            // Five standard deviations of the mean and of the mean square.
            let mean = weights.iter().sum::<f64>() / count;
            let square = weights.iter().map(|w| w * w).sum::<f64>() / count;
            assert!(mean.abs() < 5.0 * limit / libm::sqrt(3.0 * count), "{mean}");
            let spread = limit * limit * libm::sqrt(4.0 / 45.0 / count);
            assert!((square - limit * limit / 3.0).abs() < 5.0 * spread, "{square}");
        }
    }

    /// Keras takes the Q of a tall (3H, H) matrix and transposes it: the H rows of (H, 3H) are orthonormal, all three gates
    /// together, and no gate is by itself.
    #[test]
    fn orthogonal_rows_are_orthonormal() {
        // The square one is where one projection alone leaves much more than rounding errors.
        for (rows, columns) in [(1, 3), (2, 6), (3, 9), (24, 72), (65, 195), (128, 128)] {
            let q = orthogonal(rows, columns, &mut Rng::new(3, 0));
            for a in 0..rows {
                for b in 0..rows {
                    let product = dot(&q[a * columns..][..columns], &q[b * columns..][..columns]);
                    let expected = if a == b { 1.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-14, "rows {a} and {b} of {rows}: {product}");
                }
            }
        }
    }

    /// Uniformly distributed: every element's mean is 0 and its mean square 1/columns.
    #[test]
    fn orthogonal_matrices_have_no_preferred_direction() {
        let (rows, columns, draws) = (2, 6, 4000);
        let (mut mean, mut square) = ([0.0; 12], [0.0; 12]);
        let mut rng = Rng::new(5, 0);
        for _ in 0..draws {
            for ((mean, square), q) in mean.iter_mut().zip(&mut square).zip(orthogonal(rows, columns, &mut rng)) {
                *mean += q / f64::from(draws);
                *square += q * q / f64::from(draws);
            }
        }
        // Five standard deviations; that of q² on a sphere is √(2(n-1)/(n²(n+2))).
        let n = columns as f64;
        let of_mean = 5.0 * libm::sqrt(1.0 / n / f64::from(draws));
        let of_square = 5.0 * libm::sqrt(2.0 * (n - 1.0) / (n * n * (n + 2.0)) / f64::from(draws));
        assert!(mean.iter().all(|m| m.abs() < of_mean), "{mean:?}");
        assert!(square.iter().all(|s| (s - 1.0 / n).abs() < of_square), "{square:?}");
    }
}
