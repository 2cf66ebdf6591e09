//! What `--vary` says, and the combinations that follow from it.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::SweepError;
use crate::nn::Rng;

/// The stream of the seed that draws come from. The first weights have the low numbers, dropout the highest bit.
const DRAWS: u64 = 1 << 62;
/// Ends of a range that lie at least so far apart are drawn between on a logarithmic scale.
const LOG_RATIO: f64 = 10.0;
/// Draws until a new combination is found, before there is thought to be none.
const TRIES: usize = 1000;

/// A setting and the values that it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The setting, such as `train.learning_rate`.
    pub key: String,
    values: Values,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    /// As they are written.
    List(Vec<String>),
    /// All between two ends.
    Reals(f64, f64),
    /// All whole numbers between two ends, both included.
    Integers(i64, i64),
}

impl Axis {
    /// Reads `key=[value, value]` or `key=low..high`.
    ///
    /// # Errors
    /// If it is neither, or if a sweep cannot vary the setting.
    pub fn parse(text: &str) -> Result<Self, SweepError> {
        let wrong = |problem: &str| SweepError::Vary { text: text.to_owned(), problem: problem.to_owned() };
        let (key, values) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        let (key, values) = (key.trim().to_owned(), values.trim());
        let values = if values.starts_with('[') {
            Values::List(
                list(values).ok_or_else(|| wrong("the list cannot be read (where one word has quotes, or a list is in the list, all words need quotes)"))?,
            )
        } else if let Some((low, high)) = values.split_once("..") {
            range(low.trim(), high.trim()).map_err(|problem| wrong(&problem))?
        } else {
            return Err(wrong("there is neither a list nor a range"));
        };
        if matches!(&values, Values::List(list) if list.is_empty()) {
            return Err(wrong("the list is empty"));
        }
        Ok(Self { key, values })
    }

    /// Its value for a number that is uniform in [0, 1).
    fn draw(&self, uniform: f64) -> String {
        match &self.values {
            Values::List(list) => list[(uniform * list.len() as f64) as usize].clone(),
            &Values::Reals(low, high) => {
                // Three digits after the first, so that the setting can be read, and is what is written.
                let drawn = format!("{:.3e}", between(low, high, is_log(low, high), uniform));
                format!("{:?}", drawn.parse().unwrap_or(low).clamp(low, high))
            }
            &Values::Integers(low, high) => {
                let drawn = between(low as f64, high as f64 + 1.0, is_log(low as f64, high as f64), uniform);
                (drawn.floor() as i64).clamp(low, high).to_string()
            }
        }
    }
}

/// Every combination of the lists as settings `key=value`, the last axis fastest.
///
/// # Errors
/// If there is a range.
pub fn grid(axes: &[Axis]) -> Result<Vec<Vec<String>>, SweepError> {
    let mut grid = vec![Vec::new()];
    for axis in axes {
        let Values::List(list) = &axis.values else { return Err(SweepError::Range { key: axis.key.clone() }) };
        let longer = |settings: &Vec<String>, value: &String| [&settings[..], &[setting(axis, value)]].concat();
        grid = grid.iter().flat_map(|settings| list.iter().map(move |value| longer(settings, value))).collect();
    }
    let mut seen = BTreeSet::new();
    grid.retain(|settings| seen.insert(settings.clone()));
    Ok(grid)
}

/// So many different combinations, drawn by `seed`; fewer if there are no more. With the same axes, a larger count begins
/// with the combinations of a smaller one.
pub fn draw(axes: &[Axis], count: usize, seed: u64) -> Vec<Vec<String>> {
    let mut rng = Rng::new(seed, DRAWS);
    let (mut drawn, mut seen, mut tries) = (Vec::new(), BTreeSet::new(), 0);
    while drawn.len() < count && tries < TRIES {
        let settings: Vec<String> = axes.iter().map(|axis| setting(axis, &axis.draw(rng.uniform()))).collect();
        tries += 1;
        if seen.insert(settings.clone()) {
            drawn.push(settings);
            tries = 0;
        }
    }
    drawn
}

fn setting(axis: &Axis, value: &str) -> String {
    format!("{}={value}", axis.key)
}

/// The elements of a TOML list as they are written; words need no quotes.
fn list(text: &str) -> Option<Vec<String>> {
    let document = format!("v = {text}");
    if let Ok(table) = DeTable::parse(&document) {
        let DeValue::Array(array) = table.get_ref().get("v")?.get_ref() else { return None };
        return Some(array.iter().map(|value| document[value.span()].to_owned()).collect());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let words: Vec<String> = inner.split(',').map(|word| word.trim().to_owned()).collect();
    let plain = |word: &String| !word.is_empty() && !word.contains(['[', ']', '{', '}', '"', '\'']);
    words.iter().all(plain).then_some(words)
}

fn range(low: &str, high: &str) -> Result<Values, String> {
    let values = match (low.parse::<i64>(), high.parse::<i64>()) {
        (Ok(low), Ok(high)) => Values::Integers(low, high),
        _ => {
            let end = |text: &str| {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.ok_or_else(|| format!("the end {text:?} of the range is not a number"))
            };
            Values::Reals(end(low)?, end(high)?)
        }
    };
    let rises = match values {
        Values::Integers(low, high) => low < high,
        Values::Reals(low, high) => low < high,
        Values::List(_) => true,
    };
    if rises { Ok(values) } else { Err(format!("the range does not rise from {low} to {high}")) }
}

fn is_log(low: f64, high: f64) -> bool {
    low > 0.0 && high >= LOG_RATIO * low
}

/// From `low` at 0 to `high` at 1.
fn between(low: f64, high: f64, log: bool, uniform: f64) -> f64 {
    if log {
        let (low, high) = (libm::log(low), libm::log(high));
        libm::exp(low + uniform * (high - low))
    } else {
        low + uniform * (high - low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(texts: &[&str]) -> Vec<Axis> {
        texts.iter().map(|text| Axis::parse(text).unwrap_or_else(|error| panic!("{error}"))).collect()
    }

    #[test]
    fn a_grid_has_every_combination_with_the_last_axis_fastest() {
        let all = grid(&axes(&["train.learning_rate=[1e-3, 3e-3]", "a=[x,y, x]", "b=[[0.0, 0.3]]"])).unwrap();
        let expected: Vec<[&str; 3]> = vec![
            ["train.learning_rate=1e-3", "a=x", "b=[0.0, 0.3]"],
            ["train.learning_rate=1e-3", "a=y", "b=[0.0, 0.3]"],
            ["train.learning_rate=3e-3", "a=x", "b=[0.0, 0.3]"],
            ["train.learning_rate=3e-3", "a=y", "b=[0.0, 0.3]"],
        ];
        assert_eq!(all, expected);
        assert!(grid(&axes(&["a=1..2"])).unwrap_err().to_string().contains("--random"));
        assert_eq!(grid(&axes(&["a=[\"p, q\", \"r\"]"])).unwrap(), [["a=\"p, q\""], ["a=\"r\""]]);
    }

    #[test]
    fn draws_lie_in_their_ranges_and_follow_from_the_seed() {
        let axes = axes(&["r=1e-4..1e-2", "u=-0.5..0.5", "n=2..64", "l=[a,b,c]"]);
        let drawn = draw(&axes, 200, 7);
        assert_eq!(drawn.len(), 200);
        for settings in &drawn {
            let value = |index: usize| settings[index].split_once('=').unwrap().1;
            let number = |index| value(index).parse::<f64>().unwrap();
            assert!((1e-4..=1e-2).contains(&number(0)) && (-0.5..=0.5).contains(&number(1)), "{settings:?}");
            assert!((2..=64).contains(&value(2).parse::<i64>().unwrap()), "{settings:?}");
            assert!(["a", "b", "c"].contains(&value(3)), "{settings:?}");
        }
        assert_eq!(draw(&axes, 50, 7), drawn[..50]);
        assert_ne!(draw(&axes, 50, 8), drawn[..50]);
    }

    #[test]
    fn wide_positive_ranges_are_logarithmic_and_others_uniform() {
        for (axis, low, middle, high) in [
            ("a=1e-4..1e-2", "0.0001", "0.001", "0.01"),
            ("a=1.0..10.0", "1.0", "3.162", "10.0"),
            ("a=1.0..9.9", "1.0", "5.45", "9.9"),
            ("a=0.0..100.0", "0.0", "50.0", "100.0"),
            ("a=-1e-3..1e3", "-0.001", "500.0", "1000.0"),
            ("a=1..1000000", "1", "1000", "1000000"),
            ("a=1..9", "1", "5", "9"),
            ("a=-3..3", "-3", "0", "3"),
            // More digits than a draw has: the end is not passed.
            ("a=0.12345..0.12346", "0.12346", "0.12346", "0.12346"),
        ] {
            let axis = Axis::parse(axis).unwrap();
            assert_eq!([0.0, 0.5, 1.0 - 1e-9].map(|uniform| axis.draw(uniform)), [low, middle, high], "{axis:?}");
        }
        let integers = Axis::parse("a=1..4").unwrap();
        assert_eq!([0.24, 0.26, 0.49, 0.51, 0.76].map(|uniform| integers.draw(uniform)), ["1", "2", "2", "3", "4"]);
    }

    #[test]
    fn where_there_are_no_more_combinations_all_come_once() {
        let mut drawn = draw(&axes(&["a=[1,2]", "b=1..2"]), 100, 1);
        drawn.sort();
        assert_eq!(drawn, [["a=1", "b=1"], ["a=1", "b=2"], ["a=2", "b=1"], ["a=2", "b=2"]]);
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        for (text, problem) in [
            ("train.epochs", "no `=`"),
            ("train.epochs=3", "neither a list nor a range"),
            ("train.epochs=[]", "the list is empty"),
            ("train.epochs=[1,2", "the list cannot be read"),
            ("train.epochs=[[1,2]", "the list cannot be read"),
            ("train.epochs=1..many", "\"many\""),
            ("train.learning_rate=1e-2..1e-4", "does not rise from 1e-2 to 1e-4"),
            ("train.learning_rate=0.0..inf", "\"inf\""),
        ] {
            let error = Axis::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(&format!("--vary {text}: ")), "{error}");
        }
    }
}
