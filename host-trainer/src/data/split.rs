//! Splitting off a part for validation. A series is wholly on one side, unless there is only one.

use std::collections::BTreeSet;
use std::path::Path;

use grulet::spec::Output;

use super::batches::{Purpose, shuffle, stream};
use super::{DataError, Dataset, Series};
use crate::config::Group;

/// Splits off `fraction` of the series, chosen by `seed`, at least one; of a single series the last part in time.
/// Returns training and validation; both keep the order of the file, `path`.
///
/// # Errors
/// If there is too little to split.
pub fn split_fraction(data: Dataset, path: &Path, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), DataError> {
    let count = data.series.len();
    if count == 1 {
        return split_in_time(data, path, fraction);
    }
    let chosen = ((fraction * count as f64).round() as usize).clamp(1, count - 1);
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, &mut stream(Purpose::Split, seed, 0, 0));
    let chosen: BTreeSet<usize> = order[..chosen].iter().copied().collect();
    Ok(by_index(data, |index, _| chosen.contains(&index)))
}

/// Splits off all series of the named groups. Returns training and validation.
///
/// # Errors
/// If no series is of a named group, or all series are of the named groups.
pub fn split_groups(data: Dataset, path: &Path, groups: &[Group]) -> Result<(Dataset, Dataset), DataError> {
    let named: BTreeSet<String> = groups.iter().map(Group::to_string).collect();
    let known: BTreeSet<String> = data.series.iter().filter_map(|series| series.group.clone()).collect();
    if let Some(group) = named.difference(&known).next() {
        let (path, group, groups) = (path.to_owned(), group.clone(), known.into_iter().collect());
        return Err(DataError::UnknownGroup { path, group, groups });
    }
    let (train, validation) =
        by_index(data, |_, series| series.group.as_ref().is_some_and(|group| named.contains(group)));
    if train.series.is_empty() {
        let problem = "every series is of a group for validation; leave some out of `data.validation.groups`";
        return Err(DataError::Split { path: path.to_owned(), problem });
    }
    Ok((train, validation))
}

fn by_index(mut data: Dataset, chosen: impl Fn(usize, &Series) -> bool) -> (Dataset, Dataset) {
    let series = std::mem::take(&mut data.series).into_iter().enumerate();
    let (validation, train): (Vec<_>, Vec<_>) = series.partition(|(index, series)| chosen(*index, series));
    let strip = |series: Vec<(usize, Series)>| series.into_iter().map(|(_, series)| series).collect();
    (data.with_series(strip(train)), data.with_series(strip(validation)))
}

fn split_in_time(data: Dataset, path: &Path, fraction: f64) -> Result<(Dataset, Dataset), DataError> {
    let steps = data.steps(0);
    if steps < 2 {
        let problem = "a single series of one step cannot be split; add data, or leave [data.validation] out";
        return Err(DataError::Split { path: path.to_owned(), problem });
    }
    let validation = ((fraction * steps as f64).round() as usize).clamp(1, steps - 1);
    let cut = |from, to| data.with_series(vec![slice(&data, &data.series[0], from, to)]);
    Ok((cut(0, steps - validation), cut(steps - validation, steps)))
}

/// Steps `from..to` of a series of `data`.
pub(super) fn slice(data: &Dataset, series: &Series, from: usize, to: usize) -> Series {
    let (c, d) = (data.inputs(), data.target_width);
    Series {
        name: series.name.clone(),
        group: series.group.clone(),
        start: series.start + from,
        x: series.x[from * c..to * c].to_vec(),
        targets: match data.output {
            Output::EveryStep => series.targets[from * d..to * d].to_vec(),
            Output::LastStep => series.targets.clone(),
        },
    }
}
