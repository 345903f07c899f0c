//! Everything that can go wrong between a tokenizer's files and token ids.

use std::path::{Path, PathBuf};

/// An error of this crate, with the file and field it is about and a hint at the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The folder holds none of the tokenizer files that can be read.
    #[error(
        "{}: no tokenizer found (looked for {looked_for}); {hint}",
        directory.display()
    )]
    NoTokenizer {
        /// The model folder.
        directory: PathBuf,
        /// The file names that would have been read.
        looked_for: &'static str,
        /// How to get one.
        hint: &'static str,
    },
    /// A file could not be read.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{}: not valid JSON: {source}; download the file again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        source: serde_json::Error,
    },
    /// A line of a text file cannot be understood.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of a file has a value that cannot be used.
    #[error("{}: {field}: {problem}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field, with dots between the levels.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The files are readable but describe no tokenizer that works.
    #[error("{}: not a usable tokenizer: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A text could not be encoded, or ids not decoded.
    #[error("cannot tokenize: {problem}")]
    Tokenize {
        /// What the tokenizer said.
        problem: String,
    },
    /// The asked-for length has no room for the special tokens.
    #[error(
        "max_length {max_length} is too short: the special tokens alone take {special}; \
         use at least {}", special + 1
    )]
    MaxLength {
        /// The limit that was asked for, after clipping to the model's positions.
        max_length: usize,
        /// How many special tokens every sequence has.
        special: usize,
    },
    /// A file could not be written; what was there before is unharmed.
    #[error("{}: cannot write: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl TextError {
    pub(crate) fn field(path: &Path, field: &str, problem: impl Into<String>) -> Self {
        Self::Field { path: path.to_owned(), field: field.to_owned(), problem: problem.into() }
    }

    pub(crate) fn unusable(path: &Path, problem: impl ToString) -> Self {
        Self::Unusable { path: path.to_owned(), problem: problem.to_string() }
    }
}
