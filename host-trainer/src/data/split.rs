//! Splitting off a part for validation. A series is wholly on one side, unless there is only one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grulet::spec::Output;

use super::batches::{Purpose, shuffle, stream};
use super::{DataError, Dataset, Series};
use crate::config::Group;

/// Splits off `fraction` of the series, chosen by `seed`, at least one; of a single series the last part in time. Where
/// series have groups, whole groups, until they have so many series.
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
    let sizes = group_sizes(&data);
    if !sizes.is_empty() {
        if sizes.len() == 1 {
            let problem = "all series are of one group, of which no part can be split off; leave the group out";
            return Err(DataError::Split { path: path.to_owned(), problem });
        }
        let mut order: Vec<(Group, usize)> = sizes.into_iter().map(|(name, size)| (group(name), size)).collect();
        order.sort_by_key(|(group, _)| by_value(group));
        shuffle(&mut order, &mut stream(Purpose::Split, seed, 0, 0));
        order.pop();
        let (mut groups, mut series) = (Vec::new(), 0);
        for (group, size) in order {
            if series < chosen {
                groups.push(group);
                series += size;
            }
        }
        return split_groups(data, path, &groups);
    }
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

/// Splits off fold `number` (from 1) of `count`: the series are shuffled by `seed` and dealt out one by one, so that each is
/// in one fold and folds differ by one series at most. Where series have groups, it is a fold of [`deal_groups`].
/// Returns training and validation.
///
/// # Errors
/// If there are fewer series or groups than folds.
pub fn split_fold(
    data: Dataset,
    path: &Path,
    [number, count]: [usize; 2],
    seed: u64,
) -> Result<(Dataset, Dataset), DataError> {
    if data.series.iter().any(|series| series.group.is_some()) {
        let groups = deal_groups(&data, path, count)?.swap_remove(number - 1);
        return split_groups(data, path, &groups);
    }
    enough(path, count, data.series.len(), "series")?;
    let mut order: Vec<usize> = (0..data.series.len()).collect();
    shuffle(&mut order, &mut stream(Purpose::Split, seed, 0, 0));
    let chosen: BTreeSet<usize> = order.into_iter().skip(number - 1).step_by(count).collect();
    Ok(by_index(data, |index, _| chosen.contains(&index)))
}

/// Deals the groups of `data` out to `count` folds: the largest first, each to the fold with the fewest series so far. Folds
/// are in the order of their first groups, groups in the order of their names; whole numbers come by value.
///
/// # Errors
/// If there are fewer groups than folds.
pub fn deal_groups(data: &Dataset, path: &Path, count: usize) -> Result<Vec<Vec<Group>>, DataError> {
    let sizes = group_sizes(data);
    enough(path, count, sizes.len(), "groups")?;
    let mut groups: Vec<(Group, usize)> = sizes.into_iter().map(|(name, size)| (group(name), size)).collect();
    // Both sorts are stable: groups of one size stay in the order of their names.
    groups.sort_by_key(|(group, _)| by_value(group));
    groups.sort_by_key(|(_, size)| Reverse(*size));
    let mut folds: Vec<(usize, Vec<Group>)> = vec![(0, Vec::new()); count];
    for (group, size) in groups {
        let Some(smallest) = folds.iter_mut().min_by_key(|(series, _)| *series) else { break };
        smallest.0 += size;
        smallest.1.push(group);
    }
    let mut folds: Vec<Vec<Group>> = folds.into_iter().map(|(_, groups)| groups).collect();
    folds.iter_mut().for_each(|fold| fold.sort_by_key(by_value));
    folds.sort_by_key(|fold| fold.first().map(by_value));
    Ok(folds)
}

/// How many series each group has.
fn group_sizes(data: &Dataset) -> BTreeMap<&str, usize> {
    let mut sizes = BTreeMap::new();
    for group in data.series.iter().filter_map(|series| series.group.as_deref()) {
        *sizes.entry(group).or_default() += 1;
    }
    sizes
}

/// A group as the configuration would name it.
fn group(name: &str) -> Group {
    match name.parse::<i64>() {
        Ok(number) if number.to_string() == name => Group::Number(number),
        _ => Group::Word(name.to_owned()),
    }
}

/// What groups are ordered by.
fn by_value(group: &Group) -> (i64, String) {
    match group {
        Group::Number(number) => (*number, String::new()),
        Group::Word(word) => (i64::MAX, word.clone()),
    }
}

fn enough(path: &Path, folds: usize, found: usize, what: &'static str) -> Result<(), DataError> {
    if folds <= found { Ok(()) } else { Err(DataError::Folds { path: path.to_owned(), folds, found, what }) }
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
            Output::LastStep | Output::Sequence(_) => series.targets.clone(),
        },
        weights: match data.output {
            Output::EveryStep if !series.weights.is_empty() => series.weights[from..to].to_vec(),
            _ => series.weights.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Series of two steps, one for each name of a group.
    fn dataset(groups: &[&str]) -> Dataset {
        let series = groups.iter().enumerate().map(|(index, group)| Series {
            name: index.to_string(),
            group: Some((*group).to_owned()),
            start: 0,
            x: vec![0.0; 2],
            targets: vec![0.0; 2],
            weights: vec![],
        });
        Dataset {
            series: series.collect(),
            channels: vec!["a".into()],
            units: vec![],
            classes: vec![],
            sample_rate: None,
            output: Output::EveryStep,
            target_width: 1,
        }
    }

    fn names(data: &Dataset) -> Vec<String> {
        data.series.iter().map(|series| series.name.clone()).collect()
    }

    fn words(folds: Vec<Vec<Group>>) -> Vec<Vec<String>> {
        folds.into_iter().map(|fold| fold.iter().map(Group::to_string).collect()).collect()
    }

    const PATH: &str = "a.csv";

    #[test]
    fn folds_hold_out_every_series_once_and_evenly() {
        let mut data = dataset(&[""; 11]);
        data.series.iter_mut().for_each(|series| series.group = None);
        let fold = |number, seed| split_fold(data.clone(), Path::new(PATH), [number, 4], seed).unwrap();
        let mut held_out = Vec::new();
        for number in 1..=4 {
            let (train, validation) = fold(number, 1);
            assert_eq!(validation.series.len(), if number == 4 { 2 } else { 3 });
            let mut both = [names(&train), names(&validation)].concat();
            both.sort_by_key(|name| name.parse::<usize>().unwrap());
            assert_eq!(both, names(&data), "fold {number}");
            held_out.extend(names(&validation));
        }
        assert_ne!(held_out, names(&data), "shuffled");
        held_out.sort_by_key(|name| name.parse::<usize>().unwrap());
        assert_eq!(held_out, names(&data));
        assert_eq!(fold(2, 1), fold(2, 1));
        assert_ne!(fold(2, 1), fold(2, 2));
        let error = split_fold(data, Path::new(PATH), [1, 12], 1).unwrap_err().to_string();
        assert!(error.contains("a.csv: 12 folds, but the file has only 11 series"), "{error}");
    }

    #[test]
    fn groups_are_never_on_both_sides() {
        let data = dataset(&["a", "b", "a", "c", "b", "d", "a", "b"]);
        let of = |data: &Dataset| -> BTreeSet<String> {
            data.series.iter().filter_map(|series| series.group.clone()).collect()
        };
        let mut seen = BTreeSet::new();
        for seed in 1..20 {
            for (fraction, least) in [(0.01, 1), (0.25, 2), (0.5, 4)] {
                let (train, validation) = split_fraction(data.clone(), Path::new(PATH), fraction, seed).unwrap();
                assert!(of(&train).is_disjoint(&of(&validation)), "{fraction}, seed {seed}");
                assert!(!train.series.is_empty() && validation.series.len() >= least, "{fraction}, seed {seed}");
                // No group more than it takes, and the largest has three series.
                assert!(validation.series.len() < least + 3, "{fraction}, seed {seed}");
                seen.extend(of(&validation));
            }
        }
        assert_eq!(seen.len(), 4, "the seed chooses");
        let groups = deal_groups(&data, Path::new(PATH), 3).unwrap();
        for number in 1..=3 {
            let (_, validation) = split_fold(data.clone(), Path::new(PATH), [number, 3], 1).unwrap();
            assert_eq!(vec![of(&validation).into_iter().collect::<Vec<_>>()], words(vec![groups[number - 1].clone()]));
        }
        let error = split_fraction(dataset(&["a", "a"]), Path::new(PATH), 0.5, 1).unwrap_err().to_string();
        assert!(error.contains("all series are of one group"), "{error}");
    }

    #[test]
    fn as_many_folds_as_groups_leave_one_out_each() {
        let data = dataset(&["10", "9", "b", "9", "a", "10", "9"]);
        let folds = words(deal_groups(&data, Path::new(PATH), 4).unwrap());
        assert_eq!(folds, [["9"], ["10"], ["a"], ["b"]]);
        let error = deal_groups(&data, Path::new(PATH), 5).unwrap_err().to_string();
        assert!(error.contains("5 folds, but the file has only 4 groups"), "{error}");
    }

    #[test]
    fn fewer_folds_than_groups_have_about_as_many_series() {
        // Sizes 5, 3, 2, 2, 1, 1.
        let groups = [["p1"; 5].as_slice(), &["p2"; 3], &["p3"; 2], &["p4"; 2], &["p5"], &["p6"]].concat();
        let data = dataset(&groups);
        let folds = deal_groups(&data, Path::new(PATH), 2).unwrap();
        let sizes: Vec<usize> = folds
            .iter()
            .map(|fold| {
                let (train, validation) = split_groups(data.clone(), Path::new(PATH), fold).unwrap();
                let of = |data: &Dataset| -> BTreeSet<String> {
                    data.series.iter().filter_map(|series| series.group.clone()).collect()
                };
                assert!(of(&train).is_disjoint(&of(&validation)));
                validation.series.len()
            })
            .collect();
        assert_eq!(sizes, [7, 7]);
        assert_eq!(words(folds), [vec!["p1", "p4"], vec!["p2", "p3", "p5", "p6"]]);
    }
}
