//! What is done to whole series before batches: looking ahead, angles, windows.

use std::path::Path;

use grulet::spec::Output;

use super::split::slice;
use super::{DataError, Dataset, Warning};

impl Dataset {
    /// Moves every target `horizon` steps ahead: step t gets the target of step t + `horizon`, and the last `horizon`
    /// steps of each series, which then have none, are dropped. `path` is for the error.
    ///
    /// # Errors
    /// If a series has no step left.
    pub fn look_ahead(&mut self, horizon: usize, path: &Path) -> Result<(), DataError> {
        let (c, d) = (self.inputs(), self.target_width);
        for index in 0..self.series.len() {
            let steps = self.steps(index);
            let series = &mut self.series[index];
            if steps <= horizon {
                let (path, series) = (path.to_owned(), series.name.clone());
                return Err(DataError::HorizonTooLong { path, series, steps, horizon });
            }
            series.x.truncate((steps - horizon) * c);
            series.targets.drain(..horizon * d);
            series.weights.drain(..horizon.min(series.weights.len()));
        }
        Ok(())
    }

    /// Replaces each target, an angle in radians, by its sine and cosine: width `D` becomes `2·D`.
    pub fn sin_cos(&mut self) {
        for series in &mut self.series {
            series.targets = series.targets.iter().flat_map(|angle| [libm::sinf(*angle), libm::cosf(*angle)]).collect();
        }
        self.target_width *= 2;
    }

    /// Drops the last `horizon` steps of each series, as [`look_ahead`](Self::look_ahead) does, but leaves the others their own
    /// targets: what is known at each step of the target that lies ahead.
    pub fn look_around(&mut self, horizon: usize) {
        let (c, d) = (self.inputs(), self.target_width);
        for series in &mut self.series {
            series.x.truncate(series.x.len().saturating_sub(horizon * c));
            series.targets.truncate(series.targets.len().saturating_sub(horizon * d));
            series.weights.truncate(series.weights.len().saturating_sub(horizon));
        }
    }

    /// Leaves each series, whose targets are of steps, that of its last step, and that step's weight.
    pub fn last_targets(&mut self) {
        for series in &mut self.series {
            series.targets.drain(..series.targets.len().saturating_sub(self.target_width));
            series.weights.drain(..series.weights.len().saturating_sub(1));
        }
        self.output = Output::LastStep;
    }

    /// Cuts every series into windows of `window` steps, one every `stride` steps. A last part shorter than a window is
    /// dropped; a series shorter than a window is kept whole, with a warning.
    ///
    /// # Panics
    /// If `window` or `stride` is 0.
    pub fn windows(&self, window: usize, stride: usize) -> (Self, Option<Warning>) {
        assert!(window > 0 && stride > 0, "a window has at least one step and moves on");
        let (mut windows, mut short) = (Vec::new(), 0);
        for (index, series) in self.series.iter().enumerate() {
            let steps = self.steps(index);
            if steps < window {
                short += 1;
                windows.push(series.clone());
                continue;
            }
            let starts = (0..=steps - window).step_by(stride);
            windows.extend(starts.map(|start| slice(self, series, start, start + window)));
        }
        let warning = (short > 0).then_some(Warning::ShortSeries { count: short, window });
        (self.with_series(windows), warning)
    }
}
