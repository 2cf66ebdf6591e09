//! Linear models: ridge regression and logistic regression, fitted in `f64`.

use nalgebra::{Cholesky, DMatrix, Dyn};

/// λ: weight of the penalty `λ/2·‖w‖²`, beside means over standardised examples. The intercept has none.
pub const RIDGE: f64 = 1e-3;
/// Steps of a logistic regression, at most, and fewer than which are worth nothing.
const STEPS: [usize; 2] = [50, 500];
/// Examples times features times outputs of all steps together, at most: some seconds.
const WORK: usize = 20_000_000_000;
/// Change of a weight that is as good as none.
const TOLERANCE: f64 = 1e-6;

/// How sums become probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link {
    /// Each on its own: `1 / (1 + e⁻ˢ)`.
    Sigmoid,
    /// Together 1: `eˢ / Σeˢ`.
    Softmax,
}

impl Link {
    /// Sums of one answer to probabilities, in place.
    pub fn apply(self, sums: &mut [f64]) {
        match self {
            Link::Sigmoid => sums.iter_mut().for_each(|s| *s = 1.0 / (1.0 + (-*s).exp())),
            Link::Softmax => {
                let max = sums.iter().copied().fold(f64::MIN, f64::max);
                sums.iter_mut().for_each(|s| *s = (*s - max).exp());
                let total: f64 = sums.iter().sum();
                sums.iter_mut().for_each(|s| *s /= total);
            }
        }
    }
}

/// Weights (F, O) with the least `‖Xw - Y‖²/2N + λ/2·‖w‖²`, by the normal equations (Hoerl and Kennard 1970). The first
/// feature is 1. None if the equations cannot be solved.
pub fn ridge(x: &DMatrix<f64>, y: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    Some(penalised(x, 1.0)?.solve(&(x.tr_mul(y) / x.nrows() as f64)))
}

/// Weights (F, O) with the least mean cross-entropy to the probabilities `Y`, plus `λ/2·‖w‖²`. The first feature is 1.
///
/// Newton's method with a bound in place of the second derivatives: `XᵀX/2N` for a softmax (Böhning 1992), `XᵀX/4N` for a
/// sigmoid (Böhning and Lindsay 1988). It is factorised once, and no step makes the loss larger. None if [`steps`] are,
/// or if it is `interrupted`.
pub fn logistic(
    x: &DMatrix<f64>,
    y: &DMatrix<f64>,
    link: Link,
    interrupted: &dyn Fn() -> bool,
) -> Option<DMatrix<f64>> {
    let steps = steps(x.nrows(), x.ncols(), y.ncols())?;
    let bound = penalised(x, if link == Link::Softmax { 0.5 } else { 0.25 })?;
    let mut weights = DMatrix::zeros(x.ncols(), y.ncols());
    for _ in 0..steps {
        if interrupted() {
            return None;
        }
        let step = bound.solve(&descent(x, y, link, &weights));
        weights += &step;
        if step.amax() < TOLERANCE {
            break;
        }
    }
    Some(weights)
}

/// The most steps of a logistic regression that are taken for so many examples, features and outputs; none where there is no
/// time for enough of them.
pub fn steps(examples: usize, features: usize, outputs: usize) -> Option<usize> {
    let step = examples.saturating_mul(features).saturating_mul(outputs).max(1);
    let [least, most] = STEPS;
    Some((WORK / step).min(most)).filter(|&steps| steps >= least)
}

/// The negative gradient of a logistic regression's loss.
fn descent(x: &DMatrix<f64>, y: &DMatrix<f64>, link: Link, weights: &DMatrix<f64>) -> DMatrix<f64> {
    // Outputs by columns, as nalgebra keeps them.
    let mut p = (x * weights).transpose();
    p.column_iter_mut().for_each(|mut sums| link.apply(sums.as_mut_slice()));
    let mut descent = x.tr_mul(&(y - p.transpose())) / x.nrows() as f64;
    descent.rows_mut(1, x.ncols() - 1).zip_apply(&weights.rows(1, x.ncols() - 1), |d, w| *d -= RIDGE * w);
    descent
}

/// `factor·XᵀX/N + λ·I`, factorised.
fn penalised(x: &DMatrix<f64>, factor: f64) -> Option<Cholesky<f64, Dyn>> {
    let mut matrix = x.tr_mul(x) * (factor / x.nrows() as f64);
    for i in 1..x.ncols() {
        matrix[(i, i)] += RIDGE;
    }
    matrix.cholesky()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Rng;

    /// Ones and normal features, `(n, 3)`.
    fn features(n: usize) -> DMatrix<f64> {
        let mut rng = Rng::new(3, 0);
        DMatrix::from_fn(n, 3, |_, column| if column == 0 { 1.0 } else { rng.normal() })
    }

    #[test]
    fn many_classes_get_fewer_steps_or_no_regression() {
        assert_eq!(steps(10_000, 100, 40), Some(500));
        assert_eq!(steps(10_000, 100, 100), Some(200));
        assert_eq!(steps(10_000, 100, 3_000), None);
        assert_eq!(steps(usize::MAX, 2, 2), None);
    }

    #[test]
    fn ridge_by_hand() {
        // XᵀX/N is the identity and XᵀY/N is (2, 1): the slope is shrunk by the penalty, the intercept is not.
        let x = DMatrix::from_row_slice(2, 2, &[1.0, 1.0, 1.0, -1.0]);
        let weights = ridge(&x, &DMatrix::from_row_slice(2, 1, &[3.0, 1.0])).unwrap();
        assert!((weights[0] - 2.0).abs() < 1e-15 && (weights[1] - 1.0 / (1.0 + RIDGE)).abs() < 1e-15, "{weights}");
    }

    #[test]
    fn ridge_finds_a_linear_rule() {
        let x = features(500);
        let rule = DMatrix::from_row_slice(3, 2, &[5.0, -1.0, 2.0, 0.0, -0.5, 3.0]);
        let found = ridge(&x, &(&x * &rule)).unwrap();
        assert!((&found - &rule).amax() < 5e-3, "{found}");
    }

    /// The rule's own probabilities as targets: the weights are the rule, up to the penalty.
    fn finds(link: Link, rule: &DMatrix<f64>) {
        let x = features(500);
        let mut y = (&x * rule).transpose();
        y.column_iter_mut().for_each(|mut sums| link.apply(sums.as_mut_slice()));
        let y = y.transpose();
        let found = logistic(&x, &y, link, &|| false).unwrap();
        assert!((&found - rule).amax() < 0.06, "{link:?}: {found}");
        // It ended because it was there, where the slope is zero.
        let descent = descent(&x, &y, link, &found);
        assert!(descent.amax() < 1e-6, "{link:?}: {descent}");
    }

    #[test]
    fn logistic_regression_finds_a_linear_rule() {
        finds(Link::Sigmoid, &DMatrix::from_row_slice(3, 2, &[0.5, 0.0, 2.0, -1.0, -1.0, 0.5]));
        // Only differences between classes count; those found have the sum 0.
        finds(Link::Softmax, &DMatrix::from_row_slice(3, 3, &[0.5, 0.0, -0.5, 2.0, -1.0, -1.0, 0.0, 1.5, -1.5]));
    }

    #[test]
    fn what_can_be_separated_or_never_changes_stays_finite() {
        let x = features(200);
        let sure = DMatrix::from_fn(200, 1, |row, _| f64::from(u8::from(x[(row, 1)] > 0.0)));
        let right = |weights: &DMatrix<f64>| {
            let sums = &x * weights;
            sums.iter().zip(&sure).filter(|&(s, y)| (*s > 0.0) == (*y > 0.5)).count()
        };
        let weights = logistic(&x, &sure, Link::Sigmoid, &|| false).unwrap();
        assert!(right(&weights) >= 195 && weights.amax() < 100.0, "{weights}");
        let always = logistic(&x, &DMatrix::repeat(200, 1, 1.0), Link::Sigmoid, &|| false).unwrap();
        assert!(always[0] > 5.0 && always[0] < 20.0 && always[1].abs() < 0.1, "{always}");
    }

    #[test]
    fn links_by_hand() {
        let of = |link: Link, mut sums: Vec<f64>| {
            link.apply(&mut sums);
            sums
        };
        assert_eq!(of(Link::Sigmoid, vec![0.0, 1e4, -1e4]), [0.5, 1.0, 0.0]);
        assert_eq!(of(Link::Softmax, vec![1e4, 1e4, -1e4, 1e4 - 800.0]), [0.5, 0.5, 0.0, 0.0]);
        let thirds = of(Link::Softmax, vec![0.0, 2f64.ln()]);
        assert!((thirds[1] - 2.0 / 3.0).abs() < 1e-15, "{thirds:?}");
    }
}
