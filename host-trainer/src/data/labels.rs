//! From what a file says about a series to targets that a loss can use.

use std::collections::BTreeSet;
use std::path::Path;

use super::DataError;
use super::error::nearest;
use crate::config::{Loss, Task};

/// The largest number of classes: a layer has at most this many units.
const MAX_CLASSES: usize = u16::MAX as usize;

/// The targets of a whole file in the order of its series, as read.
pub(super) enum Labels {
    /// Rows of `width` numbers.
    Numbers { width: usize, values: Vec<f64> },
    /// One word per row. A table's cells are words even if they look like numbers.
    Words(Vec<String>),
}

/// Targets, ready for the loss.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Values per row.
    pub width: usize,
    /// All rows after one another.
    pub values: Vec<f32>,
    /// Class names; empty unless the labels are classes.
    pub classes: Vec<String>,
}

/// Encodes `labels` for `loss`: real values as they are, classes as their index, for the categorical cross-entropy as
/// one-hot rows. `names` are the classes if they are known; `at` says where a row stands in the file.
pub(super) fn encode(
    path: &Path,
    labels: Labels,
    loss: Loss,
    names: Option<Vec<String>>,
    at: &dyn Fn(usize) -> String,
) -> Result<Encoded, DataError> {
    let task = loss.task();
    let names = names.filter(|names| !names.is_empty());
    let named = names.is_some();
    let (width, values, classes) = match labels {
        Labels::Words(words) => {
            let (values, classes) = from_words(path, &words, task, names, at)?;
            (1, values, classes)
        }
        Labels::Numbers { width, mut values } => {
            for (index, value) in values.iter().enumerate() {
                if !(*value as f32).is_finite() {
                    let at = format!("the target of {}", at(index / width));
                    return Err(DataError::NotFinite { path: path.to_owned(), at, value: value.to_string() });
                }
            }
            let classes = match task {
                Task::Classes | Task::Binary if width == 1 && names.as_deref().is_some_and(are_other_numbers) => {
                    let names = names.unwrap_or_default();
                    for (row, value) in values.iter_mut().enumerate() {
                        *value = by_number(path, &value.to_string(), *value, &names, row, at)?;
                    }
                    names
                }
                Task::Classes if width == 1 => from_indices(path, &values, names, at)?,
                Task::Classes => one_hot_names(path, loss, &values, width, names, at)?,
                Task::Binary | Task::Regression => names.unwrap_or_default(),
            };
            (width, values, classes)
        }
    };
    if task == Task::Binary {
        if let Some(index) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(DataError::Target {
                path: path.to_owned(),
                at: format!("the target of {}", at(index / width)),
                found: values[index].to_string(),
                expected: "binary_crossentropy needs targets from 0 to 1; \
                           for classes use `train.loss = \"sparse_categorical_crossentropy\"`",
            });
        }
        if let ([word], false) = (&classes[..], named) {
            return Err(DataError::OneWord { path: path.to_owned(), word: word.clone() });
        }
        // One output tells two classes apart; several outputs are a yes or no each.
        let needed = if width == 1 { 2 } else { width };
        if !classes.is_empty() && classes.len() != needed {
            return Err(DataError::Count {
                path: path.to_owned(),
                setting: "data.classes",
                found: classes.len(),
                expected: needed,
                what: if width == 1 { "classes under binary_crossentropy" } else { "target columns" },
            });
        }
    }
    if loss == Loss::CategoricalCrossentropy && width == 1 {
        let mut one_hot = vec![0.0; values.len() * classes.len()];
        for (row, &class) in one_hot.chunks_exact_mut(classes.len()).zip(&values) {
            row[class as usize] = 1.0;
        }
        return Ok(Encoded { width: classes.len(), values: one_hot, classes });
    }
    Ok(Encoded { width, values: values.into_iter().map(|value| value as f32).collect(), classes })
}

/// Labels that are indices into `names`, as words.
pub(super) fn words(
    path: &Path,
    values: &[f64],
    names: &[String],
    at: &dyn Fn(usize) -> String,
) -> Result<Labels, DataError> {
    let word = |(row, &value): (usize, &f64)| {
        class_index(path, value, names.len() - 1, at(row)).map(|index| names[index].clone())
    };
    values.iter().enumerate().map(word).collect::<Result<_, _>>().map(Labels::Words)
}

/// Whether a cell stands for a missing value: an empty one, or what pandas and NumPy write for it.
fn is_missing(text: &str) -> bool {
    matches!(text.trim(), "" | "nan" | "NaN")
}

/// The class that `word` names. A table's cells have lost the spaces around them, which may be all there was.
fn place(names: &[String], word: &str) -> Option<usize> {
    let same = names.iter().position(|name| name == word);
    same.or_else(|| names.iter().position(|name| word.is_empty() && name.trim().is_empty()))
}

/// Refuses the label `word` if it stands for a missing one and is none of the classes `names`; `at` says where.
pub(super) fn label_is_there(
    path: &Path,
    word: &str,
    names: Option<&[String]>,
    at: impl FnOnce() -> String,
) -> Result<(), DataError> {
    if !is_missing(word) || names.is_some_and(|names| place(names, word).is_some()) {
        return Ok(());
    }
    let (path, found, hint) = (path.to_owned(), word.to_owned(), "; if it is a class, list it in `data.classes`");
    Err(DataError::Missing { path, at: at(), what: "label", found, hint })
}

/// Refuses the `group` of a series if it stands for a missing one; `at` says where.
pub(super) fn group_is_there(path: &Path, group: &str, at: impl FnOnce() -> String) -> Result<(), DataError> {
    is_there(path, group, "group", at)
}

/// Refuses the name of a series if it stands for a missing one; `at` says where.
pub(super) fn series_is_there(path: &Path, series: &str, at: impl FnOnce() -> String) -> Result<(), DataError> {
    is_there(path, series, "series", at)
}

fn is_there(path: &Path, text: &str, what: &'static str, at: impl FnOnce() -> String) -> Result<(), DataError> {
    if !is_missing(text) {
        return Ok(());
    }
    Err(DataError::Missing { path: path.to_owned(), at: at(), what, found: text.to_owned(), hint: "" })
}

fn class_index(path: &Path, value: f64, max: usize, at: String) -> Result<usize, DataError> {
    if value >= 0.0 && value.fract() == 0.0 && value <= max as f64 {
        Ok(value as usize)
    } else {
        Err(DataError::ClassIndex { path: path.to_owned(), at: format!("the label of {at}"), value, max })
    }
}

/// Checks class indices, and names the classes by their numbers unless they have names.
fn from_indices(
    path: &Path,
    values: &[f64],
    names: Option<Vec<String>>,
    at: &dyn Fn(usize) -> String,
) -> Result<Vec<String>, DataError> {
    let max = names.as_ref().map_or(MAX_CLASSES, Vec::len) - 1;
    let mut count = 0;
    for (row, &value) in values.iter().enumerate() {
        count = count.max(1 + class_index(path, value, max, at(row))?);
    }
    Ok(names.unwrap_or_else(|| (0..count).map(|class| class.to_string()).collect()))
}

fn one_hot_names(
    path: &Path,
    loss: Loss,
    values: &[f64],
    width: usize,
    names: Option<Vec<String>>,
    at: &dyn Fn(usize) -> String,
) -> Result<Vec<String>, DataError> {
    let refuse = |row: usize, expected| {
        let found = format!("{:?}", &values[row * width..][..width.min(8)]);
        DataError::Target { path: path.to_owned(), at: format!("the target of {}", at(row)), found, expected }
    };
    if loss == Loss::SparseCategoricalCrossentropy {
        return Err(refuse(
            0,
            "sparse_categorical_crossentropy needs one class index; \
             for one-hot rows use `train.loss = \"categorical_crossentropy\"`",
        ));
    }
    let bad = values.chunks_exact(width).position(|row| {
        row.iter().any(|value| !(0.0..=1.0).contains(value)) || (row.iter().sum::<f64>() - 1.0).abs() > 1e-3
    });
    if let Some(row) = bad {
        return Err(refuse(row, "categorical_crossentropy needs one-hot rows: from 0 to 1 with the sum 1"));
    }
    let names = names.unwrap_or_else(|| (0..width).map(|class| class.to_string()).collect());
    if names.len() == width {
        Ok(names)
    } else {
        Err(DataError::Count {
            path: path.to_owned(),
            setting: "data.classes",
            found: names.len(),
            expected: width,
            what: "columns in the one-hot targets",
        })
    }
}

/// Turns words into class indices, or into numbers if all are numbers and no names are known.
fn from_words(
    path: &Path,
    words: &[String],
    task: Task,
    names: Option<Vec<String>>,
    at: &dyn Fn(usize) -> String,
) -> Result<(Vec<f64>, Vec<String>), DataError> {
    let numbers = || words.iter().map(|word| finite(word)).collect::<Option<Vec<f64>>>();
    let Some(names) = names else {
        if let Some(values) = numbers() {
            let classes = if task == Task::Classes { from_indices(path, &values, None, at)? } else { Vec::new() };
            return Ok((values, classes));
        }
        let distinct: BTreeSet<&String> = words.iter().collect();
        let max = if task == Task::Binary { 2 } else { MAX_CLASSES };
        if distinct.len() > max {
            return Err(DataError::TooManyClasses { path: path.to_owned(), found: distinct.len(), max });
        }
        let classes: Vec<String> = distinct.into_iter().cloned().collect();
        let index = |word: &String| classes.binary_search(word).map_or(f64::NAN, |index| index as f64);
        return Ok((words.iter().map(index).collect(), classes));
    };
    // If the names are numbers themselves, a number is a name and never an index: `3` means the class "3".
    let numeric_names = names.iter().any(|name| finite(name).is_some());
    let index = |(row, word): (usize, &String)| {
        let named = place(&names, word);
        match (named, finite(word)) {
            (Some(index), _) => Ok(index as f64),
            (None, Some(number)) if !numeric_names => {
                class_index(path, number, names.len() - 1, at(row)).map(|index| index as f64)
            }
            (None, number) => by_number(path, word, number.unwrap_or(f64::NAN), &names, row, at),
        }
    };
    let values = words.iter().enumerate().map(index).collect::<Result<_, _>>()?;
    Ok((values, names))
}

/// Whether some of these names are numbers, and not those of their places.
fn are_other_numbers(names: &[String]) -> bool {
    let number = |(index, name): (usize, &String)| Some((index as f64, finite(name)?));
    let mut numbers = names.iter().enumerate().filter_map(number).peekable();
    numbers.peek().is_some() && (numbers.clone().count() < names.len() || numbers.any(|(index, name)| index != name))
}

/// The index of the class whose name is the `number` that the label `word` is.
fn by_number(
    path: &Path,
    word: &str,
    number: f64,
    names: &[String],
    row: usize,
    at: &dyn Fn(usize) -> String,
) -> Result<f64, DataError> {
    let index = names.iter().position(|name| finite(name) == Some(number)).map(|index| index as f64);
    index.ok_or_else(|| DataError::UnknownClass {
        path: path.to_owned(),
        at: format!("the label of {}", at(row)),
        label: word.to_owned(),
        nearest: nearest(word, names.iter().map(String::as_str)),
        classes: names.to_vec(),
    })
}

/// The number that a word is. `nan` and `inf` are words.
fn finite(word: &str) -> Option<f64> {
    word.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str], loss: Loss, names: Option<&[&str]>) -> Result<Encoded, DataError> {
        let labels = Labels::Words(words.iter().map(|&word| word.to_owned()).collect());
        let names = names.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        encode(Path::new("f.csv"), labels, loss, names, &|row| format!("row {row}"))
    }

    fn numbers(width: usize, values: &[f64], loss: Loss, names: Option<&[&str]>) -> Result<Encoded, DataError> {
        let names = names.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        let labels = Labels::Numbers { width, values: values.to_vec() };
        encode(Path::new("f.npz"), labels, loss, names, &|row| format!("row {row}"))
    }

    const SPARSE: Loss = Loss::SparseCategoricalCrossentropy;

    #[test]
    fn words_become_classes_in_sorted_order_or_in_the_given_one() {
        let encoded = words(&["walk", "run", "walk"], SPARSE, None).unwrap();
        assert_eq!((encoded.values, encoded.classes), (vec![1.0, 0.0, 1.0], vec!["run".to_owned(), "walk".to_owned()]));
        let encoded = words(&["walk", "run", "0"], SPARSE, Some(&["walk", "run"])).unwrap();
        assert_eq!(encoded.values, [0.0, 1.0, 0.0]);
        assert_eq!(words(&["", "a"], SPARSE, Some(&["a", " "])).unwrap().values, [1.0, 0.0]);
        let error = words(&["wolk"], SPARSE, Some(&["walk", "run"])).unwrap_err();
        assert!(error.to_string().contains("did you mean \"walk\"?"), "{error}");
    }

    #[test]
    fn numbers_in_a_table_are_indices_unless_classes_are_called_so() {
        let encoded = words(&["2", "0", "1"], SPARSE, None).unwrap();
        assert_eq!((encoded.values, encoded.classes.len()), (vec![2.0, 0.0, 1.0], 3));
        let encoded = words(&["5", "3.0"], SPARSE, Some(&["3", "5"])).unwrap();
        assert_eq!(encoded.values, [1.0, 0.0]);
        assert!(matches!(words(&["0"], SPARSE, Some(&["3", "5"])), Err(DataError::UnknownClass { .. })));
        assert!(matches!(words(&["0.5", "1"], SPARSE, None), Err(DataError::ClassIndex { .. })));
    }

    #[test]
    fn numbers_are_names_where_names_are_numbers() {
        let encoded = numbers(1, &[2.0, 0.0, 1.0], SPARSE, Some(&["2", "1", "0"])).unwrap();
        assert_eq!(encoded.values, [0.0, 2.0, 1.0]);
        assert_eq!(numbers(1, &[3.0, 1.0], SPARSE, Some(&["1", "2", "3"])).unwrap().values, [2.0, 0.0]);
        let error = numbers(1, &[1.0, 0.0], SPARSE, Some(&["1", "2", "3"])).unwrap_err();
        assert!(matches!(&error, DataError::UnknownClass { label, .. } if label == "0"), "{error}");
        assert!(error.to_string().contains("row 1"), "{error}");
        let binary = |values: &[f64], names: &[&str]| numbers(1, values, Loss::BinaryCrossentropy, Some(names));
        assert_eq!(binary(&[0.0, 1.0], &["1", "0"]).unwrap().values, [1.0, 0.0]);
        assert!(matches!(binary(&[0.5], &["1", "0"]), Err(DataError::UnknownClass { .. })));
        // Where they are the indices themselves, shares of the second are what they are.
        assert_eq!(binary(&[0.5, 1.0], &["0", "1"]).unwrap().values, [0.5, 1.0]);
        assert_eq!(binary(&[0.5, 1.0], &["off", "on"]).unwrap().values, [0.5, 1.0]);
    }

    #[test]
    fn indices_are_checked() {
        assert_eq!(numbers(1, &[2.0, 0.0], SPARSE, None).unwrap().classes, ["0", "1", "2"]);
        for bad in [-1.0, 0.5, 3.0] {
            let error = numbers(1, &[0.0, bad], SPARSE, Some(&["a", "b", "c"])).unwrap_err();
            assert!(matches!(&error, DataError::ClassIndex { max: 2, .. }), "{error}");
            assert!(error.to_string().contains("row 1"), "{error}");
        }
        // Without names the limit keeps a real value from becoming a billion classes.
        assert!(matches!(numbers(1, &[1e9], SPARSE, None), Err(DataError::ClassIndex { .. })));
    }

    #[test]
    fn categorical_targets_are_one_hot() {
        let loss = Loss::CategoricalCrossentropy;
        let encoded = numbers(1, &[2.0, 0.0], loss, None).unwrap();
        assert_eq!((encoded.width, encoded.values), (3, vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0]));
        assert_eq!(numbers(2, &[0.0, 1.0], loss, Some(&["a", "b"])).unwrap().values, [0.0, 1.0]);
        assert!(matches!(numbers(2, &[0.5, 0.9], loss, None), Err(DataError::Target { .. })));
        assert!(matches!(numbers(2, &[0.0, 1.0], loss, Some(&["a"])), Err(DataError::Count { .. })));
        assert!(matches!(numbers(2, &[0.0, 1.0], SPARSE, None), Err(DataError::Target { .. })));
    }

    #[test]
    fn binary_targets_are_numbers_or_two_words() {
        let loss = Loss::BinaryCrossentropy;
        assert_eq!(words(&["0", "1", "0.5"], loss, None).unwrap().values, [0.0, 1.0, 0.5]);
        let encoded = words(&["on", "off"], loss, None).unwrap();
        assert_eq!((encoded.values, encoded.classes), (vec![1.0, 0.0], vec!["off".to_owned(), "on".to_owned()]));
        assert!(matches!(words(&["a", "b", "c"], loss, None), Err(DataError::TooManyClasses { max: 2, .. })));
        assert!(matches!(numbers(1, &[1.5], loss, None), Err(DataError::Target { .. })));
        assert!(matches!(numbers(1, &[1.0], loss, Some(&["a", "b", "c"])), Err(DataError::Count { .. })));
    }

    #[test]
    fn targets_must_be_finite() {
        let error = numbers(2, &[0.0, 0.0, 0.0, f64::NAN], Loss::Mse, None).unwrap_err();
        assert!(matches!(&error, DataError::NotFinite { at, .. } if at == "the target of row 1"), "{error}");
        assert!(matches!(numbers(1, &[1e300], Loss::Mse, None), Err(DataError::NotFinite { .. })));
    }
}
