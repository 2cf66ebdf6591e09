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

/// Refuses a training part in which no target counts.
pub(super) fn some_count(train: &Dataset, path: &Path) -> Result<(), DataError> {
    let zero = |weights: &[f32]| !weights.is_empty() && weights.iter().all(|&weight| weight == 0.0);
    if train.series.iter().all(|series| zero(&series.weights)) {
        return Err(DataError::AllWeightless { path: path.to_owned() });
    }
    Ok(())
}
