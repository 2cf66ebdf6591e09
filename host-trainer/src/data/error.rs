//! What can be wrong with data.

use std::path::PathBuf;

use crate::config::ConfigError;

/// Why data were refused. Every message says which file, where in it, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The training cannot begin with the weights of that model.
    #[error("`train.init`: {0}")]
    Init(String),
    /// The file cannot be opened or read.
    #[error("{}: cannot read the file: {source}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file's name ends in neither `.npz` nor `.csv`.
    #[error("{}: unknown kind of file; give a .npz or a .csv", path.display())]
    UnknownExtension {
        /// The file.
        path: PathBuf,
    },
    /// There is no data in the file.
    #[error("{}: there is no data in the file; {fix}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What a file needs.
        fix: &'static str,
    },
    /// The bytes are not what the file's kind asks for.
    #[error("{}: {}damaged or of another format: {problem}; write the file again", path.display(), of_array(.array))]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The array in it, empty for the file as a whole.
        array: String,
        /// What is wrong.
        problem: String,
    },
    /// An array that the configuration names is not in the archive.
    #[error("{}: there is no array {key:?}; the file has {}{}; set `{setting}`",
        path.display(), list(.keys), meant(.nearest))]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key that was looked for.
        key: String,
        /// The configuration's key that names it.
        setting: &'static str,
        /// All keys of the archive.
        keys: Vec<String>,
        /// The one most like `key`.
        nearest: Option<String>,
    },
    /// A column that the configuration names is not in the header.
    #[error("{}: there is no column {column:?}; the header has {}{}",
        path.display(), list(.columns), other_column(.columns, .nearest, setting))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that was looked for.
        column: String,
        /// The configuration's key that names it.
        setting: &'static str,
        /// All columns.
        columns: Vec<String>,
        /// The one most like `column`.
        nearest: Option<String>,
    },
    /// No column is left for the inputs.
    #[error("{}: no column is left for the inputs; name them in `data.csv.features`", path.display())]
    NoFeatures {
        /// The file.
        path: PathBuf,
    },
    /// A column without a name that would become an input.
    #[error("{}: column {column} has no name; name it, or name the inputs in `data.csv.features`", path.display())]
    UnnamedColumn {
        /// The file.
        path: PathBuf,
        /// The column, from 1.
        column: usize,
    },
    /// A first line that holds numbers.
    #[error("{}:{line}: the first line holds numbers; put a line with the columns' names before it", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// Names that are to be read from a `.npz`, for a file that is none.
    #[error("{}: `{setting}` names an array, which only a .npz has; list the names themselves", path.display())]
    NamesNeedNpz {
        /// The file.
        path: PathBuf,
        /// The configuration's key.
        setting: &'static str,
    },
    /// Two columns have one name.
    #[error("{}: two columns are called {column:?}; rename one in the header", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A row with more or fewer cells than the header.
    #[error("{}:{line}: the row has {found} cells, but the header has {expected}; complete or remove the row",
        path.display())]
    RaggedRow {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Cells of the header.
        expected: usize,
        /// Cells of the row.
        found: usize,
    },
    /// A quote that swallows what is left of the file.
    #[error("{}:{line}: a quote that opens in this row is never closed; close or remove it, or double it inside of quotes",
        path.display())]
    OpenQuote {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A cell that should be a number.
    #[error("{}:{line}: column {column:?} {}, which is not a number; correct the cell{}{hint}",
        path.display(), holds(.found), decimal_comma(.found))]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column's name.
        column: String,
        /// The cell.
        found: String,
        /// What else to do about it; may be empty.
        hint: &'static str,
    },
    /// A NaN or an infinity, or a value beyond the range of f32.
    #[error("{}: {at} is {value}; remove or interpolate such values before training", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: String,
        /// The value as it was read.
        value: String,
    },
    /// A label or a group that is missing.
    #[error("{}: {at}: the {what} is {}; gaps are not filled silently: fill it in, or remove the row or series{hint}",
        path.display(), missing(.found))]
    Missing {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: String,
        /// `label` or `group`.
        what: &'static str,
        /// What stands there.
        found: String,
        /// What else to do about it; may be empty.
        hint: &'static str,
    },
    /// A time that does not lie behind the one before it in its series.
    #[error("{}:{line}: series {series:?}: time {time:?} does not come after {previous:?}; \
        sort the rows of each series by time and remove doubled ones", path.display())]
    TimeOrder {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The series.
        series: String,
        /// The time at fault.
        time: String,
        /// The time before it.
        previous: String,
    },
    /// A number among time stamps, or the other way round.
    #[error("{}:{line}: series {series:?}: of the times {previous:?} and {time:?} one is a number and one a time stamp; \
        write all in one way", path.display())]
    TimeKind {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The series.
        series: String,
        /// The time at fault.
        time: String,
        /// The time before it.
        previous: String,
    },
    /// A time that is neither a number nor an ISO 8601 time stamp.
    #[error("{}:{line}: time {time:?} is neither a number nor like 2026-03-20T11:00:00; \
        rewrite the column, or name another in `data.csv.time`", path.display())]
    Time {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The cell.
        time: String,
    },
    /// An array of a shape that does not fit the others.
    #[error("{}: array {array:?} has the shape {found:?}, but {expected}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array's key.
        array: String,
        /// Its shape.
        found: Vec<usize>,
        /// Which shape is needed and why.
        expected: String,
    },
    /// An array of a type that cannot be used here.
    #[error("{}: array {array:?} holds {found}, but {expected}", path.display())]
    ArrayType {
        /// The file.
        path: PathBuf,
        /// The array's key.
        array: String,
        /// The type it has.
        found: String,
        /// The type that is needed.
        expected: &'static str,
    },
    /// Lengths that do not fit the rows.
    #[error("{}: array {array:?}: {problem}", path.display())]
    Lengths {
        /// The file.
        path: PathBuf,
        /// The array's key.
        array: String,
        /// What does not fit.
        problem: String,
    },
    /// A series without a step.
    #[error("{}: series {series:?} has no steps; remove it", path.display())]
    EmptySeries {
        /// The file.
        path: PathBuf,
        /// The series.
        series: String,
    },
    /// A symbol that is the name of a token which every sequence has.
    #[error(
        "{}: {symbol:?} is the name of a token that is added to every target; take it out of the texts, or out of `data.classes`",
        path.display()
    )]
    ReservedSymbol {
        /// The file.
        path: PathBuf,
        /// The symbol.
        symbol: String,
    },
    /// A name that is more than a line.
    #[error(
        "{}: {what} {name:?} has a line feed, which a model's names cannot hold; put another character in its place",
        path.display()
    )]
    LineFeed {
        /// The file.
        path: PathBuf,
        /// What is called so.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Labels in words of which there is one alone, where two are told apart.
    #[error(
        "{}: every label is {word:?}, but binary_crossentropy tells two classes apart; name both in `data.classes`, that of no first",
        path.display()
    )]
    OneWord {
        /// The file.
        path: PathBuf,
        /// The label.
        word: String,
    },
    /// A list of names or factors of another length than what it names.
    #[error("{}: `{setting}` has {found} entries, but there are {expected} {what}; give one for each", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// The configuration's key.
        setting: &'static str,
        /// Entries it has.
        found: usize,
        /// Entries it should have.
        expected: usize,
        /// What is counted.
        what: &'static str,
    },
    /// A class index that is no whole number, negative or too large.
    #[error("{}: {at} is {value}, but a class index is a whole number from 0 to {max}; correct it, or set `data.classes`",
        path.display())]
    ClassIndex {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: String,
        /// The value.
        value: f64,
        /// The largest index there is.
        max: usize,
    },
    /// A label that is no class.
    #[error("{}: {at} is {label:?}, which is none of the classes {}{}; correct it, or set `data.classes`",
        path.display(), list(.classes), meant(.nearest))]
    UnknownClass {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: String,
        /// The label.
        label: String,
        /// All classes.
        classes: Vec<String>,
        /// The class most like it.
        nearest: Option<String>,
    },
    /// More kinds of labels than there can be classes.
    #[error("{}: the labels have {found} different values, but at most {max} classes are possible; \
        for real values use `train.loss = \"mse\"`", path.display())]
    TooManyClasses {
        /// The file.
        path: PathBuf,
        /// Different labels.
        found: usize,
        /// The most there may be.
        max: usize,
    },
    /// Nothing to tell apart.
    #[error("{}: all examples are of class {class:?}, and there is nothing to tell it from; add examples of another", path.display())]
    SingleClass {
        /// The training file.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A class that the training part has no example of.
    #[error("{}: class {class:?} has no example in the training part; \
        add some, list in `data.classes` those that there are (without it, labels that are numbers count classes from 0), \
        or choose another `data.validation`", path.display())]
    EmptyClass {
        /// The training file.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A target outside 0..=1 under binary cross-entropy, or a row that is no one-hot vector.
    #[error("{}: {at} is {found}, but {expected}", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: String,
        /// The value.
        found: String,
        /// What the loss needs.
        expected: &'static str,
    },
    /// A label that changes inside a series although the network gives one answer per series.
    #[error("{}:{line}: series {series:?} changes its label from {before:?} to {after:?}; \
        set `model.output = \"every_step\"` for labels per step, or `data.window` with `data.horizon = 0` for windows that each have \
        the label of their last step, or cut the series where the label changes",
        path.display())]
    LabelChanges {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The series.
        series: String,
        /// The label so far.
        before: String,
        /// The label on this line.
        after: String,
    },
    /// A weight that no loss can be multiplied with.
    #[error("{}: {at} weighs {found:?}, but a weight is 0 or a finite number above 0; correct it", path.display())]
    Weight {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: String,
        /// The weight.
        found: f64,
    },
    /// A weight that changes inside a series although the network gives one answer per series.
    #[error("{}:{line}: series {series:?} changes its weight from {before} to {after}; \
        give all its rows one weight, or set `model.output = \"every_step\"` for weights per step", path.display())]
    WeightChanges {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The series.
        series: String,
        /// The weight so far.
        before: f64,
        /// The weight on this line.
        after: f64,
    },
    /// Weights that leave nothing to learn from.
    #[error("{}: all weights of the {part} part are 0 where they count (in whole windows, after `train.ignore_steps`); \
        give some target there a weight above 0", path.display())]
    AllWeightless {
        /// The file.
        path: PathBuf,
        /// `training` or `validation`.
        part: &'static str,
    },
    /// The decoder's tokens are others than the data's.
    #[error(
        "the decoder's first layer has a vocabulary of {vocabulary}, but there are {needed} tokens, with start and stop; \
        leave `vocabulary` out of its entry in `model.layers`"
    )]
    DecoderVocabulary {
        /// The vocabulary.
        vocabulary: u16,
        /// Tokens of the training file, with start and stop.
        needed: usize,
    },
    /// A pair of texts with nothing to read.
    #[error("{}: line {line}: the text to read is empty; remove the row", path.display())]
    EmptyText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A symbol that the training file does not have.
    #[error("{}: {at} has {symbol:?}, which is no token of the training file or of `data.classes`; remove the row, or train with it", path.display())]
    UnknownSymbol {
        /// The file.
        path: PathBuf,
        /// Where.
        at: String,
        /// The symbol.
        symbol: String,
    },
    /// A sequence that is longer than a model can say.
    #[error("{}: {at} has {found} tokens, but at most {max} are possible; cut it", path.display())]
    TooManyTokens {
        /// The file.
        path: PathBuf,
        /// Where.
        at: String,
        /// Its tokens.
        found: usize,
        /// Tokens possible.
        max: usize,
    },
    /// No token.
    #[error("{}: series {series:?}, step {step}: {found} is no token; tokens are whole numbers from 0, below the \
        `vocabulary` of {vocabulary}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// The series.
        series: String,
        /// The step in it, from 0.
        step: usize,
        /// What stands there.
        found: f32,
        /// How many tokens there are.
        vocabulary: u16,
    },
    /// A group that changes inside a series.
    #[error("{}:{line}: series {series:?} changes its group from {before:?} to {after:?}; \
        give every series one group", path.display())]
    GroupChanges {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The series.
        series: String,
        /// The group so far.
        before: String,
        /// The group on this line.
        after: String,
    },
    /// A target further ahead than the series goes on.
    #[error("{}: series {series:?} has {steps} steps, of which none has a target {horizon} steps ahead \
        (where a part for validation is split off, each part counts alone); lower `data.horizon`, or remove the series", path.display())]
    HorizonTooLong {
        /// The file.
        path: PathBuf,
        /// The series.
        series: String,
        /// Its steps.
        steps: usize,
        /// `data.horizon`.
        horizon: usize,
    },
    /// A window that no series fills.
    #[error("{}: `data.window` is {window}, but the longest training series has {longest} steps (after `data.horizon`); \
        lower `data.window`, or leave it out to use the series whole", path.display())]
    WindowTooLong {
        /// The training file.
        path: PathBuf,
        /// `data.window`.
        window: usize,
        /// Steps of the longest series.
        longest: usize,
    },
    /// A group to validate on that no series has.
    #[error("{}: no series is of group {group:?}; the groups are {}; correct `data.validation.groups`",
        path.display(), list(.groups))]
    UnknownGroup {
        /// The file.
        path: PathBuf,
        /// The group.
        group: String,
        /// The groups there are.
        groups: Vec<String>,
    },
    /// More folds than there is to hold out.
    #[error("{}: {folds} folds, but the file has only {found} {what}; ask for fewer folds, or add data", path.display())]
    Folds {
        /// The training file.
        path: PathBuf,
        /// Folds.
        folds: usize,
        /// What there is of that which is held out whole.
        found: usize,
        /// What it is.
        what: &'static str,
    },
    /// A split that leaves one side without data.
    #[error("{}: {problem}", path.display())]
    Split {
        /// The file.
        path: PathBuf,
        /// Which side, and what to change.
        problem: &'static str,
    },
    /// Too little to take a standard deviation of.
    #[error("{}: the training part has {rows} step(s), too few to normalise by; \
        add data, or set `data.normalize = \"none\"`", path.display())]
    TooFewRows {
        /// The training file.
        path: PathBuf,
        /// Steps of the training part.
        rows: usize,
    },
    /// Two files that should hold the same kind of data.
    #[error("{}: {problem}", path.display())]
    Mismatch {
        /// The file that differs.
        path: PathBuf,
        /// How it differs from the training file, and what to do.
        problem: String,
    },
    /// More weights than a model file holds.
    #[error(
        "`model.layers`: the weights take {bytes} bytes, but a model file holds at most 4 GiB; set smaller `units`"
    )]
    NetworkTooLarge {
        /// Bytes of all weights in f32.
        bytes: u64,
    },
    /// Classes count for something, but an answer is several times yes or no.
    #[error("{}: `{setting}` goes by the class of an answer, but each answer has {answers} values; leave it out",
        path.display())]
    SeveralAnswers {
        /// The training file.
        path: PathBuf,
        /// The configuration key.
        setting: &'static str,
        /// Values of each answer.
        answers: usize,
    },
    /// A last layer that does not give what the data ask for.
    #[error("`model.layers`: the last layer has {units} units, but {reason}; set its `units` to {needed}")]
    OutputUnits {
        /// Units it has.
        units: usize,
        /// Units it needs.
        needed: usize,
        /// Why.
        reason: String,
    },
    /// More input channels than a network may have.
    #[error("{}: {found} input channels are too many; at most {max} are possible", path.display(), max = u16::MAX)]
    TooManyChannels {
        /// The file.
        path: PathBuf,
        /// Channels found.
        found: usize,
    },
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The candidate with the fewest letters to change, if that is at most half of them.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&candidate.to_lowercase(), &word), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| 2 * distance <= candidate.chars().count().max(word.chars().count()))
        .map(|(_, candidate)| candidate.to_owned())
}

/// Names as a list, cut where it grows too long to read.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 24;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        text.push(format!("… ({} in all)", names.len()));
    }
    text.join(", ")
}

/// What to do where a column is not among `columns`.
fn other_column(columns: &[String], nearest: &Option<String>, setting: &str) -> String {
    match columns {
        [one] if one.contains([';', '\t']) => "; write the file with commas between the cells".to_owned(),
        _ => format!("{}; set `{setting}`", meant(nearest)),
    }
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}

fn of_array(array: &str) -> String {
    if array.is_empty() { String::new() } else { format!("array {array:?}: ") }
}

fn holds(found: &str) -> String {
    if found.is_empty() { "is empty".to_owned() } else { format!("holds {found:?}") }
}

fn missing(found: &str) -> String {
    if found.is_empty() { "missing".to_owned() } else { format!("{found:?}, which stands for a missing one") }
}

fn decimal_comma(found: &str) -> &'static str {
    let comma = found.contains(',') && found.replace(',', ".").parse::<f64>().is_ok();
    if comma { " (write the decimal comma as a point)" } else { "" }
}
