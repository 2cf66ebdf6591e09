//! Pooling over time on a shard of a batch.

use grulet::layer::pool::LIMIT;
use grulet::spec::Pooling;

use super::Real;
use super::gru::Extent;

/// A pool's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub width: usize,
    pub over: Pooling,
}

/// How much step `t`, from 0, counts in the mean, as in the runtime.
fn weight<R: Real>(t: usize) -> R {
    R::from_f64(1.0 / (t + 1).min(LIMIT as usize) as f64)
}

impl Pool {
    /// The values over all steps so far (T, B, N) of inputs (T, B, N). Those in the padding mean nothing.
    pub fn forward<R: Real>(&self, extent: Extent<'_>, x: &[R], out: &mut [R]) {
        let step = extent.rows() * self.width;
        out[..step].copy_from_slice(&x[..step]);
        for t in 1..extent.steps {
            let weight = weight::<R>(t);
            let (before, now) = out.split_at_mut(t * step);
            let (before, x) = (&before[(t - 1) * step..], &x[t * step..][..step]);
            for ((now, &before), &x) in now.iter_mut().zip(before).zip(x) {
                *now = match self.over {
                    Pooling::Mean => before + (x - before) * weight,
                    Pooling::Max if x > before => x,
                    Pooling::Max => before,
                };
            }
        }
    }

    /// The gradient `d_x` by the inputs (T, B, N), from inputs `x`, outputs `out` and the gradient `d` by these (T, B, N). A
    /// maximum's goes to the first step that has it.
    pub fn backward<R: Real>(&self, extent: Extent<'_>, x: &[R], out: &[R], d: &[R], d_x: &mut [R]) {
        let step = extent.rows() * self.width;
        d_x[..extent.steps * step].fill(R::ZERO);
        for (row, &length) in extent.lengths.iter().enumerate() {
            for site in row * self.width..(row + 1) * self.width {
                // By the value after step `t`, through all that follow.
                let mut carried = R::ZERO;
                for t in (0..length).rev() {
                    let at = t * step + site;
                    let sum = carried + d[at];
                    let share = match self.over {
                        Pooling::Mean => weight(t),
                        Pooling::Max if t == 0 || x[at] > out[at - step] => R::ONE,
                        Pooling::Max => R::ZERO,
                    };
                    d_x[at] = sum * share;
                    carried = sum - d_x[at];
                }
            }
        }
    }
}
