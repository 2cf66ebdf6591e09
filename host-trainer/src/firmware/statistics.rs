//! How far answers are from others.

use serde::Serialize;

use crate::nn::argmax;

/// How far answers are from a reference `y`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Fraction of the same decisions, in per cent: of a classifier the largest output, of a single output between 0 and 1
    /// whether it is above 0.5; `None` for others.
    pub acc: Option<f64>,
    /// Root of the mean square error.
    pub rmse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// `‖error‖ / ‖y‖`.
    pub l2r: f64,
    /// Mean error.
    pub mean: f64,
    /// Standard deviation of the error.
    pub std: f64,
    /// Nash–Sutcliffe efficiency, `1 - Σ error² / Σ (y - mean y)²`.
    pub nse: f64,
    /// Cosine of the angle between both.
    pub cos: f64,
}

/// [`Statistics`] of `found` against `expected`, of so many values per answer.
pub fn statistics(found: &[f32], expected: &[f32], width: usize) -> Statistics {
    let pairs = || found.iter().zip(expected).map(|(&found, &expected)| (f64::from(found), f64::from(expected)));
    let n = expected.len().max(1) as f64;
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs().map(|(found, expected)| f(found, expected)).sum::<f64>();
    let squares = sum(&|a, b| (a - b) * (a - b));
    let (mean, middle) = (sum(&|a, b| a - b) / n, sum(&|_, b| b) / n);
    let variation = sum(&|_, b| (b - middle) * (b - middle));
    let (norm, norm_found) = (sum(&|_, b| b * b).sqrt(), sum(&|a, _| a * a).sqrt());
    // Nothing at all is off by nothing of it.
    let ratio = |a: f64, b: f64, none: f64| if b == 0.0 { if a == 0.0 { none } else { f64::NAN } } else { a / b };
    let unit = |values: &[f32]| values.iter().all(|value| (0.0..=1.0).contains(value));
    let same = match width {
        1 if unit(found) && unit(expected) => Some(pairs().filter(|(a, b)| (*a > 0.5) == (*b > 0.5)).count()),
        0 | 1 => None,
        _ if unit(found) && unit(expected) => {
            let answers = found.chunks_exact(width).zip(expected.chunks_exact(width));
            Some(answers.filter(|(a, b)| argmax(a) == argmax(b)).count())
        }
        _ => None,
    };
    Statistics {
        acc: same.map(|same| 100.0 * same as f64 / (n / width.max(1) as f64)),
        rmse: (squares / n).sqrt(),
        mae: sum(&|a, b| (a - b).abs()) / n,
        l2r: ratio(squares.sqrt(), norm, 0.0),
        mean,
        std: (sum(&|a, b| (a - b - mean).powi(2)) / n).sqrt(),
        nse: 1.0 - ratio(squares, variation, 0.0),
        cos: ratio(sum(&|a, b| a * b), norm * norm_found, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_their_formulas() {
        let s = statistics(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0], 1);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} and {b}");
        near(s.rmse, (1.0f64 / 3.0).sqrt());
        near(s.mae, 1.0 / 3.0);
        near(s.l2r, 1.0 / 14f64.sqrt());
        near(s.mean, 1.0 / 3.0);
        near(s.std, (2.0f64 / 9.0).sqrt());
        near(s.nse, 0.5);
        near(s.cos, 17.0 / (21f64.sqrt() * 14f64.sqrt()));
        assert_eq!(s.acc, None);
        let s = statistics(&[0.9, 0.1, 0.4, 0.6], &[1.0, 0.0, 1.0, 0.0], 2);
        assert_eq!(s.acc, Some(50.0));
        assert_eq!(statistics(&[0.9, 0.1, 0.4], &[1.0, 0.0, 1.0], 1).acc, Some(100.0 * 2.0 / 3.0));
        let same = statistics(&[0.25; 4], &[0.25; 4], 1);
        assert_eq!((same.rmse, same.l2r, same.nse, same.cos), (0.0, 0.0, 1.0, 1.0));
    }
}
