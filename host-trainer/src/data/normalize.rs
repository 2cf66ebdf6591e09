//! Normalising by mean and standard deviation.

use super::warning::is_coarse;
use super::{Dataset, Warning};

/// Mean and standard deviation per column.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalizer {
    /// Subtracted first, `(width)`.
    pub mean: Vec<f32>,
    /// Divided by then, `(width)`; 1 for a constant column.
    pub std: Vec<f32>,
}

impl Normalizer {
    /// Takes mean and (population) standard deviation of every input channel over all steps; warns of channels that
    /// are constant, or that `f32` does not resolve.
    pub fn of_inputs(data: &Dataset) -> (Self, Vec<Warning>) {
        let rows = || data.series.iter().flat_map(|series| series.x.chunks_exact(data.inputs()));
        let (normalizer, constant) = Self::fit(data.inputs(), rows);
        let warning = |column: usize| {
            let channel = &data.channels[column];
            match constant.contains(&column) {
                true => Some(Warning::ConstantChannel { channel: channel.clone(), value: normalizer.mean[column] }),
                false => normalizer.coarse(column, || format!("channel {channel:?}")),
            }
        };
        let warnings = (0..data.inputs()).filter_map(warning).collect();
        (normalizer, warnings)
    }

    /// Takes mean and (population) standard deviation of every target column over the targets that count in the loss; warns of
    /// those that `f32` does not resolve.
    pub fn of_targets(data: &Dataset) -> (Self, Vec<Warning>) {
        let (normalizer, constant) = Self::fit(data.target_width, || data.counted_targets(0));
        let varies = |column: &usize| !constant.contains(column);
        let coarse = |column| normalizer.coarse(column, || format!("target {}", column + 1));
        let warnings = (0..data.target_width).filter(varies).filter_map(coarse).collect();
        (normalizer, warnings)
    }

    fn coarse(&self, column: usize, what: impl Fn() -> String) -> Option<Warning> {
        let (mean, std) = (self.mean[column], self.std[column]);
        is_coarse(mean, std).then(|| Warning::Coarse { what: what(), mean, std })
    }

    /// Also says which columns are constant.
    fn fit<'a, I: Iterator<Item = &'a [f32]>>(width: usize, rows: impl Fn() -> I) -> (Self, Vec<usize>) {
        let count = rows().count() as f64;
        let mean: Vec<f64> = sums(rows(), width, |_, x| x).into_iter().map(|sum| sum / count).collect();
        let squares = sums(rows(), width, |column, x| (x - mean[column]).powi(2));
        let mut std: Vec<f32> = squares.into_iter().map(|sum| (sum / count).sqrt() as f32).collect();
        let mut mean: Vec<f32> = mean.into_iter().map(|mean| mean as f32).collect();
        let mut constant = Vec::new();
        // By comparison, because rounding leaves a constant column a tiny deviation.
        for column in 0..width {
            let mut values = rows().map(|row| row[column]);
            let first = values.next();
            if values.all(|x| Some(x) == first) || std[column] == 0.0 {
                mean[column] = first.unwrap_or(0.0);
                std[column] = 1.0;
                constant.push(column);
            }
        }
        (Normalizer { mean, std }, constant)
    }

    /// `(x - mean) / std` on rows of `width` values.
    pub fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len()) {
            for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = (*x - mean) / std;
            }
        }
    }

    /// `x · std + mean` on rows of `width` values.
    pub fn undo(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len()) {
            for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = *x * std + mean;
            }
        }
    }
}

/// Sums of `f(column, value)` per column, in f64.
fn sums<'a>(rows: impl Iterator<Item = &'a [f32]>, width: usize, f: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    rows.fold(vec![0.0; width], |mut sums, row| {
        for (column, (sum, x)) in sums.iter_mut().zip(row).enumerate() {
            *sum += f(column, f64::from(*x));
        }
        sums
    })
}
