//! Series from a long table: one row per step, a column that says which series it belongs to.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Chain, Cursor, Read as _};
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use grulet::spec::Output;

use super::error::nearest;
use super::labels::{self, Labels};
use super::lines::Lines;
use super::read::{Part, ReadOptions, TargetOptions, names};
use super::spacing::{Spacing, Steps};
use super::{DataError, Dataset, Series, Warning, time, weights};
use crate::config::{CsvColumns, DataConfig, Names, Task};

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<(Dataset, Vec<Warning>), DataError> {
    let mut table = Table::open(path)?;
    let columns = Columns::find(&table, options)?;
    let data = options.data;
    let width = columns.features.len();
    let by_key = |setting: &'static str| move |_: &str| Err(DataError::NamesNeedNpz { path: path.to_owned(), setting });
    let classes = match (data.classes.as_ref(), options.targets) {
        (None, _) | (_, None) => None,
        (Some(Names::List(names)), Some(_)) => Some(names.clone()),
        (Some(Names::Key(key)), Some(_)) => Some(by_key("data.classes")(key)?),
    };
    let recordings = Recordings::gather(&mut table, &columns, options.targets, classes.as_deref())?;
    let header = || columns.features.iter().map(|&column| table.header[column].to_owned()).collect();
    let mut dataset = Dataset {
        channels: names(
            path,
            "data.channels",
            "input columns",
            data.channels.as_ref(),
            width,
            header,
            by_key("data.channels"),
        )?,
        units: names(
            path,
            "data.units",
            "input columns",
            data.units.as_ref(),
            width,
            || vec![String::new(); width],
            by_key("data.units"),
        )?,
        series: Vec::new(),
        classes: Vec::new(),
        sample_rate: data.sample_rate,
        output: options.targets.map_or(Output::EveryStep, |targets| targets.output),
        target_width: 0,
    };
    let inputs: HashSet<usize> = columns.features.iter().copied().collect();
    for (name, &column) in dataset.channels.iter().zip(&columns.features) {
        if table.places.get(name).is_some_and(|&other| other != column && inputs.contains(&other)) {
            let problem = format!(
                "`data.channels` calls the input column {:?} {name:?}, as another one is called; the order of columns is that of \
                 `data.csv.features`",
                &table.header[column]
            );
            return Err(DataError::Mismatch { path: path.to_owned(), problem });
        }
    }
    let warnings = recordings.spacing.warnings(data.sample_rate);
    let Recordings { series, labels, weights, lines, .. } = recordings;
    dataset.series = series;
    if let Some(targets) = options.targets {
        let at = |row: usize| format!("line {}", lines[row]);
        let encoded = labels::encode(path, labels, targets.loss, classes, &at)?;
        dataset.set_targets(encoded, targets.output);
        if columns.weight.is_some() {
            weights::deal(path, &weights, &at, &mut dataset)?;
        }
    }
    Ok((dataset, warnings))
}

/// The input columns that a file is read with, so that other files can be read with the same ones.
///
/// # Errors
/// If the file has no header, or not the columns that the configuration names.
pub fn feature_columns(path: &Path, data: &DataConfig) -> Result<Vec<String>, DataError> {
    let table = Table::open(path)?;
    let features = find_features(&table, &data.csv)?;
    Ok(features.iter().map(|&column| table.header[column].to_owned()).collect())
}

/// What is read behind the end of the file: a record of its own, unless a quote is still open.
const END: &str = "\0end of the file\0";

/// A file, its lines noted, and then [`END`].
type Text = Chain<Lines<File>, Cursor<String>>;

/// An open table behind its header.
pub(super) struct Table<'a> {
    path: &'a Path,
    reader: csv::Reader<Text>,
    pub header: StringRecord,
    /// Where each column is.
    places: HashMap<String, usize>,
}

impl<'a> Table<'a> {
    /// With cells of numbers and names, without the spaces around them.
    pub fn open(path: &'a Path) -> Result<Self, DataError> {
        Self::trimmed(path, Trim::All)
    }

    /// With cells of texts, every character of which counts.
    pub fn open_texts(path: &'a Path) -> Result<Self, DataError> {
        Self::trimmed(path, Trim::Headers)
    }

    fn trimmed(path: &'a Path, trim: Trim) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        // Flexible, so that a row of another length is our error with our words.
        let text = Lines::new(file).chain(Cursor::new(format!("\n{END}\n")));
        let mut reader = ReaderBuilder::new().trim(trim).flexible(true).from_reader(text);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(refuse(path, &mut reader, error)),
        };
        closed(path, &mut reader, &header)?;
        if is_end(&header) {
            let fix = "the first line names the columns, every further line is one step";
            return Err(DataError::Empty { path: path.to_owned(), fix });
        }
        if header.iter().any(|name| name.contains('\0')) {
            let problem = "not UTF-8 text, but perhaps UTF-16 (there are NUL bytes)".to_owned();
            return Err(DataError::Corrupt { path: path.to_owned(), array: String::new(), problem });
        }
        if header.iter().all(|name| name.parse::<f64>().is_ok()) {
            let line = line_of(&mut reader, &header);
            return Err(DataError::NoHeader { path: path.to_owned(), line });
        }
        let mut places = HashMap::new();
        for (place, name) in header.iter().enumerate() {
            if places.insert(name.to_owned(), place).is_some() && !name.is_empty() {
                return Err(DataError::DuplicateColumn { path: path.to_owned(), column: name.to_owned() });
            }
        }
        Ok(Table { path, reader, header, places })
    }

    pub fn column(&self, name: &str, setting: &'static str) -> Result<usize, DataError> {
        self.places.get(name).copied().ok_or_else(|| DataError::MissingColumn {
            path: self.path.to_owned(),
            column: name.to_owned(),
            setting,
            columns: self.header.iter().map(str::to_owned).collect(),
            nearest: nearest(name, &self.header),
        })
    }

    /// The column that the configuration names, which must be there, or the usual one, if it is there.
    fn optional(&self, name: Option<&str>, usual: &str, setting: &'static str) -> Result<Option<usize>, DataError> {
        match name {
            Some(name) => self.column(name, setting).map(Some),
            None => Ok(self.places.get(usual).copied()),
        }
    }

    /// Reads the next row into `row` and says on which line it begins.
    pub fn next(&mut self, row: &mut StringRecord) -> Result<Option<u64>, DataError> {
        match self.reader.read_record(row) {
            Ok(true) if is_end(row) => return Ok(None),
            Ok(true) => closed(self.path, &mut self.reader, row)?,
            Ok(false) => return Ok(None),
            Err(error) => return Err(refuse(self.path, &mut self.reader, error)),
        }
        let line = line_of(&mut self.reader, row);
        if row.len() == self.header.len() {
            return Ok(Some(line));
        }
        let (path, expected) = (self.path.to_owned(), self.header.len());
        Err(DataError::RaggedRow { path, line, expected, found: row.len() })
    }

    /// The place of a cell.
    pub fn at(&self, column: usize, line: u64) -> String {
        format!("line {line}, column {:?}", &self.header[column])
    }

    fn number(&self, row: &StringRecord, column: usize, line: u64) -> Result<f64, DataError> {
        row[column].parse().map_err(|_| DataError::NotANumber {
            path: self.path.to_owned(),
            line,
            column: self.header[column].to_owned(),
            found: row[column].to_owned(),
            hint: "; a column that is no input is left out by `data.csv.features`",
        })
    }
}

fn is_end(row: &StringRecord) -> bool {
    row.len() == 1 && &row[0] == END
}

/// The line, from 1, on which a record begins that has just been read.
fn line_of(reader: &mut csv::Reader<Text>, row: &StringRecord) -> u64 {
    row.position().map_or(0, |start| reader.get_mut().get_mut().0.line(start.byte()))
}

/// Refuses a record that has the end of the file inside of quotes.
fn closed(path: &Path, reader: &mut csv::Reader<Text>, row: &StringRecord) -> Result<(), DataError> {
    if is_end(row) || !row.iter().next_back().is_some_and(|cell| cell.trim_end().ends_with(END)) {
        return Ok(());
    }
    Err(DataError::OpenQuote { path: path.to_owned(), line: line_of(reader, row) })
}

fn refuse(path: &Path, reader: &mut csv::Reader<Text>, error: csv::Error) -> DataError {
    let line = |start: &csv::Position| format!("line {}: ", reader.get_mut().get_mut().0.line(start.byte()));
    let line = error.position().map_or_else(String::new, line);
    let problem = match error.into_kind() {
        csv::ErrorKind::Io(source) => return DataError::Read { path: path.to_owned(), source },
        csv::ErrorKind::Utf8 { .. } => format!("{line}not UTF-8 text"),
        kind => format!("{line}{kind:?}"),
    };
    DataError::Corrupt { path: path.to_owned(), array: String::new(), problem }
}

/// Which column is what.
struct Columns {
    series: Option<usize>,
    time: Option<usize>,
    group: Option<usize>,
    weight: Option<usize>,
    label: Vec<usize>,
    features: Vec<usize>,
}

impl Columns {
    fn find(table: &Table, options: &ReadOptions) -> Result<Self, DataError> {
        let csv = &options.data.csv;
        let label = match (&csv.label, options.targets) {
            (_, None) => Vec::new(),
            (Some(names), Some(_)) if !names.as_slice().is_empty() => {
                let columns = names.as_slice().iter().map(|name| table.column(name, "data.csv.label"));
                columns.collect::<Result<_, _>>()?
            }
            (_, Some(_)) => vec![table.column("label", "data.csv.label")?],
        };
        Ok(Columns {
            series: table.optional(csv.series.as_deref(), "series", "data.csv.series")?,
            time: table.optional(csv.time.as_deref(), "t", "data.csv.time")?,
            // Groups are for the split alone.
            group: match &csv.group {
                Some(name) if options.groups && options.part == Part::Train => {
                    Some(table.column(name, "data.csv.group")?)
                }
                _ => None,
            },
            weight: match (&csv.weight, options.targets) {
                (Some(name), Some(targets)) if targets.weights => Some(table.column(name, "data.csv.weight")?),
                _ => None,
            },
            label,
            features: find_features(table, csv)?,
        })
    }
}

/// The input columns: the named ones in their order, or all that are nothing else.
fn find_features(table: &Table, csv: &CsvColumns) -> Result<Vec<usize>, DataError> {
    if let Some(names) = &csv.features {
        return names.iter().map(|name| table.column(name, "data.csv.features")).collect();
    }
    let usual = |name: &Option<String>, usual: &str| name.clone().unwrap_or_else(|| usual.to_owned());
    let mut taken = vec![usual(&csv.series, "series"), usual(&csv.time, "t")];
    taken.extend(csv.group.iter().chain(&csv.weight).cloned());
    match &csv.label {
        Some(names) => taken.extend_from_slice(names.as_slice()),
        None => taken.push("label".to_owned()),
    }
    let rest = |column: &usize| !taken.iter().any(|name| *name == table.header[*column]);
    let features: Vec<usize> = (0..table.header.len()).filter(rest).collect();
    // Usually a row number that some program has added: as an input it would spoil the training silently.
    if let Some(column) = features.iter().find(|&&column| table.header[column].is_empty()) {
        return Err(DataError::UnnamedColumn { path: table.path.to_owned(), column: column + 1 });
    }
    if features.is_empty() {
        return Err(DataError::NoFeatures { path: table.path.to_owned() });
    }
    Ok(features)
}

/// What the rows hold, by series in the order of their first rows.
struct Recordings {
    series: Vec<Series>,
    labels: Labels,
    /// The weight of each label, or none.
    weights: Vec<f64>,
    /// The line of each label.
    lines: Vec<u64>,
    /// How far rows are apart in time.
    spacing: Spacing,
}

/// One series while its rows come in.
struct Recording {
    series: Series,
    /// One entry per label column and row; only the first row's if the label is per sequence.
    labels: Vec<String>,
    /// One entry per row of labels, or none.
    weights: Vec<f64>,
    lines: Vec<u64>,
    time: Option<(time::Time, String)>,
    spacing: Steps,
}

impl Recordings {
    fn gather(
        table: &mut Table,
        columns: &Columns,
        targets: Option<TargetOptions>,
        classes: Option<&[String]>,
    ) -> Result<Self, DataError> {
        let width = columns.label.len();
        let plain = targets.is_some_and(|targets| targets.loss.task() != Task::Regression) && width == 1;
        let mut recordings: Vec<Recording> = Vec::new();
        let mut by_name: HashMap<String, usize> = HashMap::new();
        let mut row = StringRecord::new();
        while let Some(line) = table.next(&mut row)? {
            if plain {
                labels::label_is_there(table.path, &row[columns.label[0]], classes, || {
                    table.at(columns.label[0], line)
                })?;
            }
            if let Some(column) = columns.group {
                labels::group_is_there(table.path, &row[column], || table.at(column, line))?;
            }
            if let Some(column) = columns.series {
                labels::series_is_there(table.path, &row[column], || table.at(column, line))?;
            }
            let name = columns.series.map_or("0", |column| &row[column]);
            let index = match by_name.get(name) {
                Some(&index) => index,
                None => {
                    by_name.insert(name.to_owned(), recordings.len());
                    recordings.push(Recording::new(name, columns, &row));
                    recordings.len() - 1
                }
            };
            recordings[index].add(table, columns, targets, &row, line)?;
        }
        if recordings.is_empty() {
            let fix = "behind the header, every line is one step";
            return Err(DataError::Empty { path: table.path.to_owned(), fix });
        }
        let mut gathered = Recordings {
            series: Vec::new(),
            labels: Labels::Words(Vec::new()),
            weights: Vec::new(),
            lines: Vec::new(),
            spacing: Spacing::default(),
        };
        let mut words = Vec::new();
        for recording in recordings {
            let stamps = recording.time.as_ref().is_some_and(|(time, _)| time.is_stamp);
            gathered.spacing.add(&recording.series.name, &recording.spacing, stamps);
            gathered.series.push(recording.series);
            gathered.weights.extend(recording.weights);
            gathered.lines.extend(recording.lines);
            words.extend(recording.labels);
        }
        gathered.labels = if plain {
            Labels::Words(words)
        } else {
            let mut values = Vec::with_capacity(words.len());
            for (index, word) in words.iter().enumerate() {
                values.push(word.parse().map_err(|_| DataError::NotANumber {
                    path: table.path.to_owned(),
                    line: gathered.lines[index / width],
                    column: table.header[columns.label[index % width]].to_owned(),
                    found: word.clone(),
                    hint: "; for classes use `train.loss = \"sparse_categorical_crossentropy\"`",
                })?);
            }
            Labels::Numbers { width, values }
        };
        Ok(gathered)
    }
}

impl Recording {
    fn new(name: &str, columns: &Columns, row: &StringRecord) -> Self {
        let group = columns.group.map(|column| row[column].to_owned());
        let (x, targets, weights) = (Vec::new(), Vec::new(), Vec::new());
        let series = Series { name: name.to_owned(), group, start: 0, x, targets, weights };
        Recording {
            series,
            labels: Vec::new(),
            weights: Vec::new(),
            lines: Vec::new(),
            time: None,
            spacing: Steps::default(),
        }
    }

    fn add(
        &mut self,
        table: &Table,
        columns: &Columns,
        targets: Option<TargetOptions>,
        row: &StringRecord,
        line: u64,
    ) -> Result<(), DataError> {
        let path = || table.path.to_owned();
        let series = || self.series.name.clone();
        if let Some(column) = columns.time {
            let text = &row[column];
            let now = time::parse(text).ok_or_else(|| DataError::Time { path: path(), line, time: text.to_owned() })?;
            if let Some((before, previous)) = &self.time
                && (before.value >= now.value || before.is_stamp != now.is_stamp)
            {
                let (path, series, time, previous) = (path(), series(), text.to_owned(), previous.clone());
                return Err(match before.is_stamp == now.is_stamp {
                    true => DataError::TimeOrder { path, line, series, time, previous },
                    false => DataError::TimeKind { path, line, series, time, previous },
                });
            }
            if let Some((before, _)) = &self.time {
                self.spacing.add(now.value - before.value, line);
            }
            self.time = Some((now, text.to_owned()));
        }
        if let (Some(column), Some(before)) = (columns.group, &self.series.group)
            && row[column] != **before
        {
            let (before, after) = (before.clone(), row[column].to_owned());
            return Err(DataError::GroupChanges { path: path(), line, series: series(), before, after });
        }
        for &column in &columns.features {
            let value = table.number(row, column, line)?;
            if !(value as f32).is_finite() {
                let at = format!("line {line}, column {:?}, series {:?}", &table.header[column], self.series.name);
                return Err(DataError::NotFinite { path: path(), at, value: row[column].to_owned() });
            }
            self.series.x.push(value as f32);
        }
        let weight = columns.weight.map(|column| table.number(row, column, line)).transpose()?;
        let labels = columns.label.iter().map(|&column| &row[column]);
        match targets.map(|targets| targets.output) {
            Some(Output::LastStep) if !self.labels.is_empty() => {
                if let Some((before, after)) = self.labels.iter().zip(labels).find(|(before, after)| before != after) {
                    let (before, after) = (before.clone(), after.to_owned());
                    return Err(DataError::LabelChanges { path: path(), line, series: series(), before, after });
                }
                if let (Some(&before), Some(after)) = (self.weights.first(), weight)
                    && before.to_bits() != after.to_bits()
                {
                    return Err(DataError::WeightChanges { path: path(), line, series: series(), before, after });
                }
            }
            Some(_) => {
                self.labels.extend(labels.map(str::to_owned));
                self.weights.extend(weight);
                self.lines.push(line);
            }
            None => {}
        }
        Ok(())
    }
}
