//! How much each target counts in the loss.

use std::path::Path;

use super::{DataError, Dataset};

/// Deals weights out to the series of `dataset`, one for each target in the order of the series. `at` says where a weight
/// stands in the file.
///
/// # Errors
/// If a weight is below 0, or no finite number.
pub(super) fn deal(
    path: &Path,
    values: &[f64],
    at: &dyn Fn(usize) -> String,
    dataset: &mut Dataset,
) -> Result<(), DataError> {
    if let Some(index) = values.iter().position(|&value| !(value >= 0.0 && (value as f32).is_finite())) {
        return Err(DataError::Weight { path: path.to_owned(), at: at(index), found: values[index] });
    }
    let width = dataset.target_width;
    let mut rest = values;
    for series in &mut dataset.series {
        let (own, after) = rest.split_at(series.targets.len() / width);
        series.weights = own.iter().map(|&value| value as f32).collect();
        rest = after;
    }
    Ok(())
}

/// Refuses a part of the file at `path` in which no target counts. Of targets at every step, the first `ignored` of each series
/// do not.
pub(super) fn some_count(data: &Dataset, part: &'static str, path: &Path, ignored: usize) -> Result<(), DataError> {
    // Without weights, it is the steps that are too few, and not for the file to mend.
    let weighted = data.series.iter().any(|series| !series.weights.is_empty());
    if weighted && data.counted_targets(ignored).next().is_none() {
        return Err(DataError::AllWeightless { path: path.to_owned(), part });
    }
    Ok(())
}
