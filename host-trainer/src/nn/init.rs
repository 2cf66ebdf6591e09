//! Initial weights, as Keras draws them.

use super::rng::Rng;

/// Glorot and Bengio 2010: uniform within ±√(6 / (inputs + outputs)) for a matrix (inputs, outputs).
pub(super) fn glorot_uniform(inputs: usize, outputs: usize, rng: &mut Rng) -> Vec<f64> {
    let limit = libm::sqrt(6.0 / (inputs + outputs) as f64);
    (0..inputs * outputs).map(|_| (2.0 * rng.uniform() - 1.0) * limit).collect()
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
        let weights = glorot_uniform(20, 30, &mut Rng::new(3, 0));
        let limit = libm::sqrt(6.0 / 50.0);
        let largest = weights.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
        assert!(largest <= limit && largest > 0.98 * limit, "{largest} of {limit}");
        assert!((weights.iter().sum::<f64>() / 600.0).abs() < 5.0 * limit / libm::sqrt(3.0 * 600.0));
    }

    #[test]
    fn orthogonal_rows_are_orthonormal() {
        let (rows, columns) = (24, 72);
        let q = orthogonal(rows, columns, &mut Rng::new(3, 0));
        for a in 0..rows {
            for b in 0..rows {
                let product = dot(&q[a * columns..][..columns], &q[b * columns..][..columns]);
                let expected = if a == b { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-14, "rows {a} and {b}: {product}");
            }
        }
    }
}
