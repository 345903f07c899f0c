//! Everything that can go wrong between a dataset file and an example, with the place and the mend.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::nearby;

/// Where in the data something is: file, then line or row, then column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: Arc<Path>,
    /// The line of a text file, counted from 1.
    pub line: Option<u64>,
    /// The data row, counted from 1 over all files of the split (a header is no row).
    pub row: Option<u64>,
    /// The column.
    pub column: Option<Box<str>>,
}

impl Location {
    /// The file as a whole.
    pub fn file(path: impl Into<Arc<Path>>) -> Self {
        Self { path: path.into(), line: None, row: None, column: None }
    }

    /// One line of a text file, counted from 1.
    pub fn line(path: impl Into<Arc<Path>>, line: u64) -> Self {
        Self { line: Some(line), ..Self::file(path) }
    }

    /// The same place, narrowed to a row.
    pub fn with_row(mut self, row: u64) -> Self {
        self.row = Some(row);
        self
    }

    /// The same place, narrowed to a column.
    pub fn with_column(mut self, column: &str) -> Self {
        self.column = Some(column.into());
        self
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match (self.line, self.row) {
            (Some(line), Some(row)) => write!(f, ", line {line} (row {row})")?,
            (Some(line), None) => write!(f, ", line {line}")?,
            (None, Some(row)) => write!(f, ", row {row}")?,
            (None, None) => {}
        }
        match &self.column {
            Some(column) => write!(f, ", column `{column}`"),
            None => Ok(()),
        }
    }
}

/// What went wrong with dataset files, columns, labels or output files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder cannot be opened.
    #[error("cannot open {}: {source}{hint}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
        /// For a path that leads nowhere: names like it, or where it was looked for.
        hint: Box<str>,
    },
    /// Reading failed part of the way through; a truncated gzip file ends here.
    #[error("{at}: reading failed: {source}{}", truncation_hint(source))]
    Read {
        /// How far reading got.
        at: Location,
        /// The operating system's or decompressor's reason.
        source: io::Error,
    },
    /// There is not one data row.
    #[error("{} holds no data rows{hint}", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// What the file has instead, and the mend.
        hint: &'static str,
    },
    /// A folder or pattern leads to no data file.
    #[error(
        "{} leads to no data: {reason}\nhint: expected .parquet, .csv, .tsv, .jsonl or .txt files (also .gz), \
         train_text.txt + train_labels.txt, or one folder per class",
        path.display()
    )]
    NoData {
        /// The folder or pattern.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// A shard such as `train-00001-of-00002.parquet` is not there.
    #[error("{} is one of {total} shards, but shard {missing:05} is missing\nhint: download it again, or name the \
             files you want one by one", path.display())]
    MissingShard {
        /// A shard that is there.
        path: PathBuf,
        /// The number of the absent one, counted from 0.
        missing: usize,
        /// How many there should be.
        total: usize,
    },
    /// The file's name and shape do not tell its format.
    #[error("{}: the format is not clear: {reason}\nhint: name it with --format {}", path.display(), crate::rows::Format::NAMES)]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Bytes that are not UTF-8.
    #[error(
        "{at}: not valid UTF-8\nhint: convert the file (iconv -f latin1 -t utf-8), or pass --lossy to read bad \
             bytes as U+FFFD"
    )]
    Encoding {
        /// The line.
        at: Location,
    },
    /// A NUL byte in a text file.
    #[error(
        "{at}: a NUL byte: the file is binary or UTF-16, not UTF-8 text\nhint: convert it (iconv -f utf-16 -t \
             utf-8), or pass --lossy to read NUL as U+FFFD"
    )]
    NulByte {
        /// The line.
        at: Location,
    },
    /// A line or CSV record over the limit.
    #[error("{at}: longer than the limit of {limit} bytes{}", quote_hint(*quoted))]
    TooLong {
        /// Where the line or the quoted field begins.
        at: Location,
        /// The limit in bytes.
        limit: usize,
        /// Whether it is a quoted CSV field.
        quoted: bool,
    },
    /// A CSV quote that is never closed, or is closed in the middle of a field.
    #[error(
        "{at}: the quote opened here {problem}\nhint: write a quote inside a quoted field twice (\"\"); if quotes \
             are plain characters in this file, pass --no-quoting"
    )]
    BrokenQuote {
        /// The line where the quote opens.
        at: Location,
        /// What is wrong with it.
        problem: String,
    },
    /// A row with more or fewer fields than the header.
    #[error(
        "{at}: {found} fields where the first row has {expected}\nhint: a text that contains the delimiter must \
             be quoted"
    )]
    Ragged {
        /// The line.
        at: Location,
        /// Fields of the header or first row.
        expected: u64,
        /// Fields found.
        found: u64,
    },
    /// A line that is not a JSON object.
    #[error("{at}: {message}")]
    Json {
        /// The line.
        at: Location,
        /// The parser's words.
        message: String,
    },
    /// A Parquet file that does not parse.
    #[error(
        "{at}: not readable as Parquet: {message}\nhint: a truncated download? compare the file's size with its source"
    )]
    Parquet {
        /// The file, and the row where it stopped.
        at: Location,
        /// The parser's words.
        message: String,
    },
    /// Files of one split that do not have the same columns.
    #[error("{}: its columns ({found}) differ from those of {} ({expected})", path.display(), first.display())]
    SchemaMismatch {
        /// The odd one out.
        path: PathBuf,
        /// The first file of the split.
        first: PathBuf,
        /// Its columns.
        expected: String,
        /// The other file's columns.
        found: String,
    },
    /// Text and label files that do not belong together.
    #[error("{} has {text_lines} texts but {} has {label_lines} labels", text.display(), labels.display())]
    LengthMismatch {
        /// The file of texts.
        text: PathBuf,
        /// Its lines.
        text_lines: u64,
        /// The file of labels.
        labels: PathBuf,
        /// Its lines.
        label_lines: u64,
    },
    /// A column that was named, or is needed, is not there.
    #[error("{at}: {what}; the columns are: {available}\nhint: {hint}")]
    MissingColumn {
        /// The file or row.
        at: Location,
        /// Which column, and what for.
        what: Box<str>,
        /// The columns there are.
        available: Box<str>,
        /// The flag that mends it.
        hint: Box<str>,
    },
    /// A cell of a kind that the column cannot have (a number as text, a list as class label).
    #[error("{at}: {problem}")]
    Cell {
        /// The cell.
        at: Location,
        /// What is wrong with it.
        problem: String,
    },
    /// A label cell with nothing in it.
    #[error("{at}: the label is empty\nhint: remove the row or fill in the label")]
    EmptyLabel {
        /// The cell.
        at: Location,
    },
    /// A label that is not one of the known labels, or could be several of them.
    #[error(
        "{at}: label `{value}` {problem}; the known labels are: {known}\nhint: rename labels with --label-map {value}=NAME"
    )]
    Label {
        /// The cell.
        at: Location,
        /// The label as it stands in the data.
        value: Box<str>,
        /// Unknown, out of range, or ambiguous.
        problem: Box<str>,
        /// The known labels.
        known: Box<str>,
    },
    /// Rows whose label is -1, the Hub's mark of unlabelled data.
    #[error(
        "{at}: {count} of {total} rows have the label -1, which marks unlabelled text\nhint: use a labelled split \
             (the Hub's `unsupervised` split has none), or predict instead of training or evaluating"
    )]
    Unlabelled {
        /// The first such row.
        at: Location,
        /// How many rows.
        count: u64,
        /// Of how many.
        total: u64,
    },
    /// -1 beside other numbers, all from 0 up, where nobody says what it means.
    #[error(
        "{at}: {count} of {total} rows have the label -1, with which the Hub's datasets mark a row without a label; beside \
             it there are only labels from 0 up\nhint: remove these rows; if -1 is a class of its own, name it: \
             --label-map=-1=NAME"
    )]
    UnclearMark {
        /// The first such row.
        at: Location,
        /// How many rows.
        count: u64,
        /// Of how many.
        total: u64,
    },
    /// The same as [`DataError::Unlabelled`], where rows are read one by one.
    #[error(
        "{at}: the label is -1, which marks unlabelled text\nhint: use a labelled split (the Hub's `unsupervised` split \
             has none), or predict instead of evaluating"
    )]
    UnlabelledRow {
        /// The row.
        at: Location,
    },
    /// Names that cannot be a label set.
    #[error("not a usable set of labels: {problem}")]
    LabelSet {
        /// A repeated or empty name.
        problem: String,
    },
    /// A setting that makes no sense for this data.
    #[error("{0}")]
    Setting(String),
    /// The output cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The output file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The output, or the partial output of an interrupted run, is already there.
    #[error("{} already exists\nhint: {hint}", path.display())]
    OutputExists {
        /// The file in the way.
        path: PathBuf,
        /// Continue or overwrite.
        hint: &'static str,
    },
    /// `--resume` with another input or other settings than the interrupted run had.
    #[error("cannot resume {}: {reason}\nhint: give the same input and settings, or start again with --overwrite", path.display())]
    CannotResume {
        /// The output file.
        path: PathBuf,
        /// What changed, by name.
        reason: String,
    },
}

impl DataError {
    /// [`DataError::Open`], with a hint where there is no such file.
    pub(crate) fn open(path: &Path, source: io::Error) -> Self {
        let hint = if source.kind() == io::ErrorKind::NotFound { nearby::hint(path) } else { String::new() };
        Self::Open { path: path.to_owned(), source, hint: hint.into() }
    }
}

fn truncation_hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        "\nhint: the compressed file is truncated; download or compress it again"
    } else {
        ""
    }
}

fn quote_hint(quoted: bool) -> &'static str {
    if quoted {
        "\nhint: is the closing quote of the field that begins here missing?"
    } else {
        "\nhint: raise --max-line-bytes if the line is really one text"
    }
}
