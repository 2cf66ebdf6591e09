//! Series from the arrays of a `.npz`: dense `(N, T, C)`, or rows `(rows, C)` cut by lengths; of tokens, `(N, T)` or `(rows)` too.

use std::path::Path;

use grulet::spec::Output;

use super::labels::{self, Labels};
use super::read::{Part, ReadOptions, TargetOptions, names};
use super::{DataError, Dataset, NpyArray, Npz, Series, sequence, weights};
use crate::config::{Names, NpzKeys, Scale, Task};

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    read_arrays(path, options).map_err(|error| match error {
        // The setting is that of the part.
        DataError::MissingKey { path, key, setting, keys, nearest } => {
            let setting = test_setting(options, setting).unwrap_or(setting);
            DataError::MissingKey { path, key, setting, keys, nearest }
        }
        error => error,
    })
}

/// The setting of a test that goes before `setting`, where it is given.
fn test_setting(options: &ReadOptions, setting: &str) -> Option<&'static str> {
    let test = &options.data.npz_test;
    let given = match setting {
        "data.npz.x" => (test.x.is_some(), "data.npz_test.x"),
        "data.npz.y" => (test.y.is_some(), "data.npz_test.y"),
        "data.npz.lengths" => (test.lengths.is_some(), "data.npz_test.lengths"),
        "data.npz.y_lengths" => (test.y_lengths.is_some(), "data.npz_test.y_lengths"),
        "data.npz.group" => (test.group.is_some(), "data.npz_test.group"),
        "data.npz.x_scale" => (test.x_scale.is_some(), "data.npz_test.x_scale"),
        "data.npz.y_scale" => (test.y_scale.is_some(), "data.npz_test.y_scale"),
        _ => return None,
    };
    (given.0 && options.part == Part::Test).then_some(given.1)
}

fn read_arrays(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    let mut npz = Npz::open(path)?;
    let keys = keys(options);
    let layout = Layout::read(&mut npz, &keys, options.tokens)?;
    let channels = layout.channels;
    let factors = factors(&mut npz, keys.x_scale.as_ref(), "data.npz.x_scale", channels, "input channels")?;
    let groups = read_groups(&mut npz, &keys, layout.series.len())?;

    let mut series = Vec::with_capacity(layout.series.len());
    for (index, rows) in layout.series.iter().enumerate() {
        let numbers = layout.x.map_numbers(rows.start * channels..rows.end * channels, |number| number);
        let values = numbers.iter().zip(factors.iter().cycle()).map(|(number, factor)| number * factor);
        let x: Vec<f32> = values.clone().map(|value| value as f32).collect();
        if let Some(element) = x.iter().position(|value| !value.is_finite()) {
            let (step, channel) = (element / channels, element % channels);
            let at = format!("array {:?}, series {index}, step {step}, channel {channel}", layout.x_key);
            let value = values.clone().nth(element).unwrap_or_default().to_string();
            return Err(DataError::NotFinite { path: path.to_owned(), at, value });
        }
        let group = groups.as_ref().map(|groups| groups[index].clone());
        series.push(Series { name: index.to_string(), group, start: 0, x, targets: Vec::new(), weights: Vec::new() });
    }

    let data = options.data;
    let default = |npz: &mut Npz, key: &str, missing: &dyn Fn(usize) -> String| {
        let found = if npz.has(key) { strings(npz, key, "data.channels").ok() } else { None };
        let found = found.filter(|names| names.len() == channels);
        found.unwrap_or_else(|| (0..channels).map(missing).collect())
    };
    // Names in an array of their own go with the file that has it.
    let given = |npz: &Npz, names: Option<&'_ Names>| match names {
        Some(Names::Key(key)) if options.alike && !npz.has(key) => None,
        names => names.cloned(),
    };
    let (channel_names, unit_names) = (given(&npz, data.channels.as_ref()), given(&npz, data.units.as_ref()));
    let default_channels = default(&mut npz, "channels", &|channel| format!("c{channel}"));
    let default_units = default(&mut npz, "units", &|_| String::new());
    let mut dataset = Dataset {
        series,
        channels: names(
            path,
            "data.channels",
            "input channels",
            channel_names.as_ref(),
            channels,
            || default_channels,
            |key| strings(&mut npz, key, "data.channels"),
        )?,
        units: names(
            path,
            "data.units",
            "input channels",
            unit_names.as_ref(),
            channels,
            || default_units,
            |key| strings(&mut npz, key, "data.units"),
        )?,
        classes: Vec::new(),
        sample_rate: data.sample_rate,
        output: options.targets.map_or(Output::EveryStep, |targets| targets.output),
        target_width: 0,
    };
    if let Some(targets) = options.targets {
        read_targets(&mut npz, &keys, options, targets, &layout, &mut dataset)?;
    }
    Ok(dataset)
}

/// The keys for this part: the test's own, and the training's for the rest. Groups are for the split alone.
fn keys(options: &ReadOptions) -> NpzKeys {
    let mut train = options.data.npz.clone();
    if options.part == Part::Train {
        train.group = train.group.filter(|_| options.groups);
        return train;
    }
    let test = options.data.npz_test.clone();
    NpzKeys {
        x: test.x.or(train.x),
        y: test.y.or(train.y),
        y_lengths: test.y_lengths.or(train.y_lengths),
        lengths: test.lengths.or(train.lengths),
        group: test.group.filter(|_| options.groups),
        weight: train.weight,
        x_scale: test.x_scale.or(train.x_scale),
        y_scale: test.y_scale.or(train.y_scale),
    }
}

/// The inputs, and which of their rows are which series.
struct Layout {
    x: NpyArray,
    x_key: String,
    /// `(N, T)` if the inputs are dense.
    dense: Option<(usize, usize)>,
    channels: usize,
    /// The rows of each series; a row is `channels` elements.
    series: Vec<std::ops::Range<usize>>,
}

impl Layout {
    fn read(npz: &mut Npz, keys: &NpzKeys, tokens: bool) -> Result<Self, DataError> {
        let path = npz.path().to_owned();
        let x_key = keys.x.clone().unwrap_or_else(|| "x".to_owned());
        let x = npz.array(&x_key, "data.npz.x")?;
        if x.is_text() {
            let (array, found) = (x_key, x.type_name());
            return Err(DataError::ArrayType { path, array, found, expected: "inputs are numbers" });
        }
        let lengths = match &keys.lengths {
            Some(key) => Some((key.clone(), read_lengths(npz, key)?)),
            None => None,
        };
        let shape = |expected: &str| DataError::Shape {
            path: path.clone(),
            array: x_key.clone(),
            found: x.shape().to_vec(),
            expected: expected.to_owned(),
        };
        let (dense, channels) = match *x.shape() {
            [n, t, c] => (Some((n, t)), c),
            [n, t] if tokens && (t != 1 || lengths.is_none()) => (Some((n, t)), 1),
            [_] if tokens && lengths.is_some() => (None, 1),
            [_, c] if lengths.is_some() => (None, c),
            [_, _] => return Err(shape("two axes need `data.npz.lengths`; or give three: (series, steps, channels)")),
            _ if tokens => {
                return Err(shape(
                    "tokens are (series, steps), or one after the other and cut into series by `data.npz.lengths`",
                ));
            }
            _ => {
                return Err(shape(
                    "inputs are (series, steps, channels), or (rows, channels) cut into series by `data.npz.lengths`",
                ));
            }
        };
        if channels == 0 {
            return Err(shape("inputs need at least one channel"));
        }
        // Before the series are listed: a header may promise any number of series without a step.
        if x.is_empty() {
            return match dense {
                Some((1.., 0)) => Err(DataError::EmptySeries { path, series: "0".to_owned() }),
                _ => Err(DataError::Empty { path, fix: "give at least one series" }),
            };
        }
        let rows = x.len() / channels;
        let mut series = Vec::new();
        if let Some((array, lengths)) = lengths {
            let problem = |problem: String| DataError::Lengths { path: path.clone(), array: array.clone(), problem };
            match dense {
                Some((n, t)) => {
                    if lengths.len() != n {
                        let found = lengths.len();
                        return Err(problem(format!("there are {found} lengths for {n} series; give one for each")));
                    }
                    for (index, &length) in lengths.iter().enumerate() {
                        if length > t {
                            return Err(problem(format!(
                                "series {index} has the length {length}, but {x_key:?} holds {t} steps of each; \
                                 correct the length"
                            )));
                        }
                        series.push(index * t..index * t + length);
                    }
                }
                None => {
                    let total = lengths.iter().try_fold(0usize, |sum, &length| sum.checked_add(length));
                    if total != Some(rows) {
                        let sum: f64 = lengths.iter().map(|&length| length as f64).sum();
                        return Err(problem(format!(
                            "the lengths add up to {sum}, but {x_key:?} has {rows} rows; both must be equal"
                        )));
                    }
                    let mut start = 0;
                    for length in lengths {
                        series.push(start..start + length);
                        start += length;
                    }
                }
            }
        } else if let Some((n, t)) = dense {
            series.extend((0..n).map(|index| index * t..(index + 1) * t));
        }
        if let Some(index) = series.iter().position(|rows| rows.is_empty()) {
            return Err(DataError::EmptySeries { path, series: index.to_string() });
        }
        Ok(Layout { x, x_key, dense, channels, series })
    }

    /// The shape of an array with one element for each target.
    fn of_targets(&self, output: Output) -> Vec<usize> {
        match (output, self.dense) {
            (Output::EveryStep, Some((n, t))) => vec![n, t],
            (Output::EveryStep, None) => vec![self.x.len() / self.channels],
            (Output::LastStep | Output::Sequence(_), _) => vec![self.series.len()],
        }
    }
}

fn read_lengths(npz: &mut Npz, key: &str) -> Result<Vec<usize>, DataError> {
    let array = npz.array(key, "data.npz.lengths")?;
    let path = npz.path().to_owned();
    if array.shape().len() != 1 {
        let expected = "lengths are one number per series".to_owned();
        return Err(DataError::Shape { path, array: key.to_owned(), found: array.shape().to_vec(), expected });
    }
    (0..array.len())
        .map(|index| {
            let length = array.number(index);
            if length >= 0.0 && length.fract() == 0.0 && length < 2f64.powi(53) {
                Ok(length as usize)
            } else {
                let problem = format!("series {index} has the length {}; lengths are whole numbers", array.text(index));
                Err(DataError::Lengths { path: path.clone(), array: key.to_owned(), problem })
            }
        })
        .collect()
}

fn read_groups(npz: &mut Npz, keys: &NpzKeys, series: usize) -> Result<Option<Vec<String>>, DataError> {
    let Some(key) = &keys.group else { return Ok(None) };
    let array = npz.array(key, "data.npz.group")?;
    if array.shape() != [series] {
        return Err(DataError::Shape {
            path: npz.path().to_owned(),
            array: key.clone(),
            found: array.shape().to_vec(),
            expected: format!("there are {series} series, each with one group"),
        });
    }
    let group = |index: usize| {
        let group = array.text(index);
        labels::group_is_there(npz.path(), &group, || format!("series {index} (array {key:?})"))?;
        Ok(group)
    };
    (0..series).map(group).collect::<Result<_, _>>().map(Some)
}

/// The factors on `width` columns: one for all, or one for each.
fn factors(
    npz: &mut Npz,
    scale: Option<&Scale>,
    setting: &'static str,
    width: usize,
    what: &'static str,
) -> Result<Vec<f64>, DataError> {
    let factors = match scale {
        None => return Ok(vec![1.0]),
        Some(Scale::Number(factor)) => vec![*factor],
        Some(Scale::List(factors)) => factors.clone(),
        Some(Scale::Key(key)) => {
            let array = npz.array(key, setting)?;
            array.map_numbers(0..array.len(), |number| number)
        }
    };
    let path = npz.path().to_owned();
    if let Some(factor) = factors.iter().find(|factor| !factor.is_finite() || **factor == 0.0) {
        let problem = format!("`{setting}` has the factor {factor}; give finite numbers other than 0");
        return Err(DataError::Mismatch { path, problem });
    }
    if factors.len() != 1 && factors.len() != width {
        return Err(DataError::Count { path, setting, found: factors.len(), expected: width, what });
    }
    Ok(factors)
}

fn strings(npz: &mut Npz, key: &str, setting: &'static str) -> Result<Vec<String>, DataError> {
    let array = npz.array(key, setting)?;
    if array.is_text() {
        return Ok((0..array.len()).map(|index| array.text(index)).collect());
    }
    let (path, found) = (npz.path().to_owned(), array.type_name());
    Err(DataError::ArrayType { path, array: key.to_owned(), found, expected: "names are strings" })
}

/// Reads the targets into `dataset`, whose series are there already.
fn read_targets(
    npz: &mut Npz,
    keys: &NpzKeys,
    options: &ReadOptions,
    targets: TargetOptions,
    layout: &Layout,
    dataset: &mut Dataset,
) -> Result<(), DataError> {
    let key = keys.y.clone().unwrap_or_else(|| "y".to_owned());
    let y = npz.array(&key, "data.npz.y")?;
    let path = npz.path().to_owned();
    if let Output::Sequence(_) = targets.output {
        let lengths = match &keys.y_lengths {
            Some(key) => Some(read_lengths(npz, key)?),
            None => None,
        };
        let names = class_names(npz, options)?;
        // Those of a model have its start and stop token too.
        same_classes(npz, options, names.as_deref().map(sequence::without_ends))?;
        return sequence::set_targets(dataset, &path, &key, &y, lengths.as_deref(), names);
    }
    if y.is_text() && targets.loss.task() == Task::Regression {
        let expected = "the loss needs numbers; for classes use `train.loss = \"sparse_categorical_crossentropy\"`";
        return Err(DataError::ArrayType { path, array: key, found: y.type_name(), expected });
    }
    let width = target_width(&y, &key, layout, targets.output, &path)?;

    // Where the rows of the series' targets are, in the order of the series.
    let rows: Vec<(usize, usize)> = match targets.output {
        Output::LastStep | Output::Sequence(_) => (0..layout.series.len()).map(|series| (series, series)).collect(),
        Output::EveryStep => {
            let rows = |(series, rows): (usize, &std::ops::Range<usize>)| rows.clone().map(move |row| (series, row));
            layout.series.iter().enumerate().flat_map(rows).collect()
        }
    };
    let labels = if y.is_text() {
        Labels::Words(rows.iter().map(|&(_, row)| y.text(row)).collect())
    } else {
        let factors = factors(npz, keys.y_scale.as_ref(), "data.npz.y_scale", width, "target columns")?;
        let value = |row: usize, d: usize| y.number(row * width + d) * factors[d % factors.len()];
        let values = rows.iter().flat_map(|&(_, row)| (0..width).map(move |d| (row, d)));
        Labels::Numbers { width, values: values.map(|(row, d)| value(row, d)).collect() }
    };
    let names = class_names(npz, options)?;
    let place = |key: &str, index: usize| {
        let (series, row) = rows[index];
        match targets.output {
            Output::LastStep | Output::Sequence(_) => format!("series {series} (array {key:?})"),
            Output::EveryStep => format!("series {series}, step {} (array {key:?})", row - layout.series[series].start),
        }
    };
    if let Labels::Words(words) = &labels {
        for (index, word) in words.iter().enumerate() {
            labels::label_is_there(&path, word, names.as_deref(), || place(&key, index))?;
        }
    }
    let labels = match labels {
        Labels::Numbers { width: 1, values } if targets.loss.task() != Task::Regression => {
            match other_classes(npz, options, names.as_deref())? {
                Some(own) => labels::words(&path, &values, &own, &|index| place(&key, index))?,
                None => Labels::Numbers { width: 1, values },
            }
        }
        Labels::Numbers { .. } => {
            same_classes(npz, options, names.as_deref())?;
            labels
        }
        words => words,
    };
    let encoded = labels::encode(&path, labels, targets.loss, names, &|index| place(&key, index))?;
    dataset.set_targets(encoded, targets.output);
    if let Some(key) = keys.weight.as_ref().filter(|_| targets.weights) {
        let array = weight_array(npz, key, layout, targets.output)?;
        let values: Vec<f64> = rows.iter().map(|&(_, row)| array.number(row)).collect();
        weights::deal(&path, &values, &|index| place(key, index), dataset)?;
    }
    Ok(())
}

fn class_names(npz: &mut Npz, options: &ReadOptions) -> Result<Option<Vec<String>>, DataError> {
    match options.data.classes.as_ref() {
        None => Ok(None),
        Some(Names::List(names)) => Ok(Some(names.clone())),
        Some(Names::Key(key)) => strings(npz, key, "data.classes").map(Some),
    }
}

/// The file's own classes, if they or their order are other ones than `names`.
fn other_classes(
    npz: &mut Npz,
    options: &ReadOptions,
    names: Option<&[String]>,
) -> Result<Option<Vec<String>>, DataError> {
    let (Some(names), Some(key)) = (names, options.own_classes) else { return Ok(None) };
    if !npz.has(key) {
        return Ok(None);
    }
    let own = strings(npz, key, "data.classes")?;
    Ok((!own.is_empty() && own != names).then_some(own))
}

/// Refuses a file whose own classes, or their order, are other ones than `names`.
fn same_classes(npz: &mut Npz, options: &ReadOptions, names: Option<&[String]>) -> Result<(), DataError> {
    let Some(own) = other_classes(npz, options, names)? else { return Ok(()) };
    let (own, expected) = (own.join(", "), names.unwrap_or_default().join(", "));
    let problem =
        format!("its classes are {own}, but those of the training {expected}; give the same, in the same order");
    Err(DataError::Mismatch { path: npz.path().to_owned(), problem })
}

/// The array of weights, which has an element for each target.
fn weight_array(npz: &mut Npz, key: &str, layout: &Layout, output: Output) -> Result<NpyArray, DataError> {
    let array = npz.array(key, "data.npz.weight")?;
    let path = npz.path().to_owned();
    if array.is_text() {
        let (array, found) = (key.to_owned(), array.type_name());
        return Err(DataError::ArrayType { path, array, found, expected: "weights are numbers" });
    }
    let needed = layout.of_targets(output);
    if matches!(array.shape().strip_prefix(&needed[..]), Some([] | [1])) {
        return Ok(array);
    }
    let each = if output == Output::EveryStep { "step" } else { "series" };
    let expected = format!("a weight for each {each}, as `model.output` has its targets, is {needed:?}");
    Err(DataError::Shape { path, array: key.to_owned(), found: array.shape().to_vec(), expected })
}

/// The number of values per target, if the targets' shape fits the inputs and the network's output.
fn target_width(y: &NpyArray, key: &str, layout: &Layout, output: Output, path: &Path) -> Result<usize, DataError> {
    let width = |output: Output| match y.shape().strip_prefix(&layout.of_targets(output)[..]) {
        Some([]) => Some(1),
        Some(&[width]) if width > 0 => Some(width),
        _ => None,
    };
    let expected = match output {
        _ if y.is_text() && width(output).is_some_and(|width| width > 1) => "a target in words is one word".to_owned(),
        Output::EveryStep if width(output).is_none() && width(Output::LastStep).is_some() => {
            "`model.output = \"every_step\"` needs a target for every step; \
             set `model.output = \"last_step\"` for one target per series"
                .to_owned()
        }
        Output::LastStep if width(output).is_none() && width(Output::EveryStep).is_some() => {
            "`model.output = \"last_step\"` needs one target per series; \
             set `model.output = \"every_step\"` for a target per step, or `data.window` with `data.horizon = 0` for windows that \
             each have the target of their last step"
                .to_owned()
        }
        _ => match width(output) {
            Some(width) => return Ok(width),
            None => format!(
                "the inputs {:?} have the shape {:?} and are {} series; give a target for each {}",
                layout.x_key,
                layout.x.shape(),
                layout.series.len(),
                if output == Output::EveryStep { "step" } else { "series" },
            ),
        },
    };
    Err(DataError::Shape { path: path.to_owned(), array: key.to_owned(), found: y.shape().to_vec(), expected })
}
