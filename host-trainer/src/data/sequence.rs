//! Sequences of tokens: texts that are parted into symbols, and what an encoder-decoder is to make of them.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use csv::StringRecord;
use grulet::spec::{Decoding, Output};

use super::csv::Table;
use super::read::{Part, ReadOptions, names};
use super::{DataError, Dataset, NpyArray, Series, labels};
use crate::config::{Names, Tokens};

/// The name of the token that a decoder takes first.
pub const START: &str = "<start>";
/// The name of the token that ends a sequence.
pub const STOP: &str = "<stop>";

/// The most tokens of a sequence, and of a vocabulary with start and stop.
const MAX: usize = u16::MAX as usize - 1;

impl Tokens {
    /// The symbols of a text.
    fn split(self, text: &str) -> Vec<&str> {
        match self {
            Tokens::Characters => text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect(),
            Tokens::Words => text.split_whitespace().collect(),
        }
    }
}

/// The text of a sequence of tokens, which are numbers among `names`. Characters are put together as they are; words, and the
/// tokens of arrays, with spaces.
pub fn text(tokens: &[u16], names: &[String], kind: Option<Tokens>) -> String {
    let between = if kind == Some(Tokens::Characters) { "" } else { " " };
    let of = |&token: &u16| names.get(usize::from(token)).map_or_else(|| token.to_string(), Clone::clone);
    tokens.iter().map(of).collect::<Vec<_>>().join(between)
}

/// The symbols without start and stop behind them.
pub(super) fn without_ends(symbols: &[String]) -> &[String] {
    match symbols {
        [symbols @ .., start, stop] if start == START && stop == STOP => symbols,
        _ => symbols,
    }
}

/// All symbols, then start and stop, which may be there already.
fn with_ends(path: &Path, mut symbols: Vec<String>) -> Result<Vec<String>, DataError> {
    let ends = [START.to_owned(), STOP.to_owned()];
    symbols.truncate(without_ends(&symbols).len());
    if let Some(symbol) = ends.iter().find(|end| symbols.contains(end)) {
        return Err(DataError::ReservedSymbol { path: path.to_owned(), symbol: symbol.clone() });
    }
    symbols.extend(ends);
    Ok(symbols)
}

/// The decoding with these tokens; the encoder is the network's to know.
fn decoding(tokens: usize, longest: usize) -> Output {
    let (start, stop) = (tokens as u16 - 2, tokens as u16 - 1);
    Output::Sequence(Decoding { encoder: 0, start, stop, longest: longest as u16 })
}

fn not_too_many(path: &Path, found: usize, at: impl FnOnce() -> String) -> Result<(), DataError> {
    if found <= MAX {
        Ok(())
    } else {
        Err(DataError::TooManyTokens { path: path.to_owned(), at: at(), found, max: MAX })
    }
}

/// Texts from a table with a pair in each row: a column to read, and one to write, if targets are wanted.
pub(super) fn read_text(path: &Path, options: &ReadOptions, tokens: Tokens) -> Result<Dataset, DataError> {
    let data = options.data;
    let mut table = Table::open_texts(path)?;
    let source_name = data.csv.source.as_deref().unwrap_or("source");
    let source = table.column(source_name, "data.csv.source")?;
    let target = match options.targets {
        Some(_) => Some(table.column(data.csv.target.as_deref().unwrap_or("target"), "data.csv.target")?),
        None => None,
    };
    // Groups are for the split alone.
    let group = match &data.csv.group {
        Some(name) if options.groups && options.part == Part::Train => Some(table.column(name, "data.csv.group")?),
        _ => None,
    };
    let channel = table.header[source].to_owned();
    let (mut pairs, mut groups) = (Vec::new(), Vec::new());
    let mut row = StringRecord::new();
    while let Some(line) = table.next(&mut row)? {
        if let Some(column) = group {
            labels::group_is_there(path, &row[column], || table.at(column, line))?;
        }
        groups.push(group.map(|column| row[column].trim().to_owned()));
        pairs.push((line, row[source].to_owned(), target.map_or_else(String::new, |target| row[target].to_owned())));
    }
    if pairs.is_empty() {
        let fix = "the first line names the columns, every further line is a pair of texts";
        return Err(DataError::Empty { path: path.to_owned(), fix });
    }

    let symbols = match &data.classes {
        Some(Names::List(names)) => with_ends(path, names.clone())?,
        Some(Names::Key(_)) => return Err(DataError::NamesNeedNpz { path: path.to_owned(), setting: "data.classes" }),
        None => {
            let texts = pairs.iter().flat_map(|(_, source, target)| [source, target]);
            let distinct: BTreeSet<&str> = texts.flat_map(|text| tokens.split(text)).collect();
            with_ends(path, distinct.into_iter().map(str::to_owned).collect())?
        }
    };
    not_too_many(path, symbols.len(), || "the vocabulary".to_owned())?;
    let numbers: HashMap<&str, usize> =
        symbols.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let encode = |text: &str, line: u64| {
        tokens
            .split(text)
            .into_iter()
            .map(|symbol| match numbers.get(symbol) {
                Some(&number) => Ok(number as f32),
                None => {
                    let (path, at, symbol) = (path.to_owned(), format!("line {line}"), symbol.to_owned());
                    Err(DataError::UnknownSymbol { path, at, symbol })
                }
            })
            .collect::<Result<Vec<f32>, _>>()
    };
    let stop = (symbols.len() - 1) as f32;
    let (mut series, mut longest) = (Vec::with_capacity(pairs.len()), 0);
    for (index, ((line, source, text), group)) in pairs.iter().zip(groups).enumerate() {
        let x = encode(source, *line)?;
        if x.is_empty() {
            return Err(DataError::EmptyText { path: path.to_owned(), line: *line });
        }
        let mut targets = Vec::new();
        if target.is_some() {
            targets = encode(text, *line)?;
            not_too_many(path, targets.len(), || format!("line {line}"))?;
            longest = longest.max(targets.len());
            targets.push(stop);
        }
        series.push(Series { name: index.to_string(), group, start: 0, x, targets, weights: Vec::new() });
    }
    let lookup = |setting| move |_: &str| Err(DataError::NamesNeedNpz { path: path.to_owned(), setting });
    Ok(Dataset {
        series,
        channels: names(
            path,
            "data.channels",
            "input columns",
            data.channels.as_ref(),
            1,
            || vec![channel],
            lookup("data.channels"),
        )?,
        units: names(
            path,
            "data.units",
            "input columns",
            data.units.as_ref(),
            1,
            || vec![String::new()],
            lookup("data.units"),
        )?,
        output: if target.is_some() { decoding(symbols.len(), longest) } else { Output::EveryStep },
        classes: symbols,
        sample_rate: data.sample_rate,
        target_width: usize::from(target.is_some()),
    })
}

/// Takes the targets from an array of tokens `(N, T')`, of which `lengths` (N) says how many there are.
pub(super) fn set_targets(
    dataset: &mut Dataset,
    path: &Path,
    key: &str,
    y: &NpyArray,
    lengths: Option<&[usize]>,
    names: Option<Vec<String>>,
) -> Result<(), DataError> {
    let count = dataset.series.len();
    let width = match *y.shape() {
        [n, width] | [n, width, 1] if n == count && !y.is_text() => width,
        _ => {
            let expected = format!("target sequences are numbers of the shape (series, tokens), for {count} series");
            return Err(DataError::Shape {
                path: path.to_owned(),
                array: key.to_owned(),
                found: y.shape().to_vec(),
                expected,
            });
        }
    };
    let wrong = |problem: String| DataError::Mismatch { path: path.to_owned(), problem };
    if let Some(lengths) = lengths {
        if lengths.len() != count {
            let found = lengths.len();
            return Err(wrong(format!(
                "`data.npz.y_lengths` has {found} lengths for {count} series; give one for each"
            )));
        }
        if let Some((series, length)) = lengths.iter().enumerate().find(|(_, length)| **length > width) {
            let problem = format!("series {series} has {length} target tokens, but array {key:?} has room for {width}");
            return Err(wrong(format!("{problem}; correct `data.npz.y_lengths`")));
        }
    }
    let length = |series: usize| lengths.map_or(width, |lengths| lengths[series]);
    let known = names.map(|names| with_ends(path, names)).transpose()?;
    let max = known.as_ref().map_or(MAX, |names| names.len() - 2);
    let (mut symbols, mut longest) = (0, 0);
    for (index, series) in dataset.series.iter_mut().enumerate() {
        not_too_many(path, length(index), || format!("series {index} of array {key:?}"))?;
        for element in index * width..index * width + length(index) {
            let value = y.number(element);
            if !(value >= 0.0 && value.fract() == 0.0 && value < max as f64) {
                let at = format!("series {index}, token {} of array {key:?}", element - index * width);
                return Err(DataError::ClassIndex { path: path.to_owned(), at, value, max: max - 1 });
            }
            symbols = symbols.max(value as usize + 1);
            series.targets.push(value as f32);
        }
        longest = longest.max(length(index));
    }
    let classes = match known {
        Some(names) => names,
        None => with_ends(path, (0..symbols).map(|symbol| symbol.to_string()).collect())?,
    };
    let stop = (classes.len() - 1) as f32;
    dataset.series.iter_mut().for_each(|series| series.targets.push(stop));
    dataset.output = decoding(classes.len(), longest);
    (dataset.classes, dataset.target_width) = (classes, 1);
    Ok(())
}
