//! The formats of dataset files, and how a file tells which it is.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use super::ReadOptions;
use super::lines::Lines;
use super::text_lines::tweeteval_companions;
use super::text_source::open_text;
use crate::error::DataError;

/// A format of dataset files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Comma-separated values, RFC 4180; also `.gz`.
    Csv,
    /// Tab-separated values with a header and RFC 4180 quoting; also `.gz`.
    Tsv,
    /// One JSON object a line; also `.gz`.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// One text a line, no labels; also `.gz`.
    PlainText,
    /// `text<TAB>label` a line, no header, no quoting; also `.gz`.
    TabLabel,
    /// TweetEval: `X_text.txt` with `X_labels.txt` and `mapping.txt` beside it.
    TweetEval,
    /// A folder per class, a `.txt` file per text, as aclImdb has it.
    ClassFolders,
}

/// How many lines are looked at to tell [`Format::TabLabel`] from [`Format::PlainText`].
const SNIFFED_LINES: usize = 20;
/// No label is longer than this in bytes, where the format is to be told from the lines.
const SNIFFED_LABEL_BYTES: usize = 64;

impl Format {
    /// What [`Format::from_str`] takes, for messages.
    pub const NAMES: &'static str = "csv|tsv|jsonl|parquet|text|tab|tweeteval|folders";

    /// The format's name, as a flag takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
            Self::PlainText => "text",
            Self::TabLabel => "tab",
            Self::TweetEval => "tweeteval",
            Self::ClassFolders => "folders",
        }
    }

    /// The format that a file's name tells, before any look inside; `None` for unknown names.
    ///
    /// `.txt` may be plain, tab-separated or TweetEval: it is [`Format::PlainText`] here.
    pub fn from_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let plain_name = name.strip_suffix(".gz").unwrap_or(&name);
        let (_, extension) = plain_name.rsplit_once('.')?;
        match extension {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "parquet" if plain_name == name => Some(Self::Parquet),
            "txt" => Some(Self::PlainText),
            _ => None,
        }
    }

    /// The format of a file, by its name and, for `.txt`, by its neighbours and first lines.
    ///
    /// # Errors
    /// A name that tells nothing, or a `.txt` file that cannot be opened.
    pub fn detect(path: &Path) -> Result<Self, DataError> {
        let Some(format) = Self::from_name(path) else {
            let reason = match path.extension() {
                Some(extension) => format!("`.{}` is not known", extension.display()),
                None => "the name has no extension".into(),
            };
            return Err(DataError::UnknownFormat { path: path.to_owned(), reason });
        };
        if format != Self::PlainText {
            return Ok(format);
        }
        if tweeteval_companions(path).is_some_and(|(labels, _)| labels.is_some()) {
            return Ok(Self::TweetEval);
        }
        if has_tab_labels(path)? { Ok(Self::TabLabel) } else { Ok(Self::PlainText) }
    }
}

/// Whether each of the first lines is a text, one tab and a short label.
fn has_tab_labels(path: &Path) -> Result<bool, DataError> {
    let shared: Arc<Path> = Arc::from(path);
    // Bad bytes are for the reader to report, with the user's options.
    let options = ReadOptions { lossy: true, ..ReadOptions::default() };
    let mut lines = Lines::new(Arc::clone(&shared), open_text(&shared)?, &options);
    for seen in 0..SNIFFED_LINES {
        let Some(line) = lines.next_line_trimmed()? else { return Ok(seen > 0) };
        let labelled = line
            .split_once('\t')
            .is_some_and(|(_, label)| !label.is_empty() && label.len() <= SNIFFED_LABEL_BYTES && !label.contains('\t'));
        if !labelled {
            return Ok(false);
        }
    }
    Ok(true)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        match name.to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "jsonl" | "json" | "ndjson" => Ok(Self::JsonLines),
            "parquet" => Ok(Self::Parquet),
            "text" | "txt" => Ok(Self::PlainText),
            "tab" => Ok(Self::TabLabel),
            "tweeteval" => Ok(Self::TweetEval),
            "folders" => Ok(Self::ClassFolders),
            _ => Err(DataError::Setting(format!("`{name}` is not a format\nhint: one of {}", Self::NAMES))),
        }
    }
}
