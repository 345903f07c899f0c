//! Everything that can go wrong between text files and masked sequences.

use std::io;
use std::path::{Path, PathBuf};

use serin_checkpoint::CheckpointError;
use serin_data::{DataError, Location};
use serin_text::TextError;

/// An error of this crate, with the file, row and field it is about and a hint at the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A text file that cannot be read; names file, line or row, and column.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A document of a text file that does not end.
    #[error(
        "{at}: the document that begins here has no blank line within {limit} bytes\nhint: if every line is a document, \
         pass --line-by-line; otherwise put a blank line between documents"
    )]
    DocumentTooLong {
        /// Its first line.
        at: Location,
        /// The most bytes that a document may have.
        limit: usize,
    },
    /// Files without a single document.
    #[error("{} holds no text: {reason}", path.display())]
    NoDocuments {
        /// The first of the files.
        path: PathBuf,
        /// Which part is empty and why.
        reason: String,
    },
    /// A document that the tokenizer fails on.
    #[error("{at}: {source}")]
    Tokenize {
        /// Where the document begins.
        at: Location,
        /// What the tokenizer said.
        source: Box<TextError>,
    },
    /// A tokenizer that cannot be used for masked language modelling.
    #[error("the tokenizer cannot be used for masked language modelling: {problem}")]
    Tokenizer {
        /// What it lacks.
        problem: String,
    },
    /// A setting that makes no sense.
    #[error("{field}: {problem}")]
    Setting {
        /// The setting's name.
        field: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// The files of a tokenized corpus could not be written or read.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Putting the corpus in its place failed.
    #[error(transparent)]
    Save(#[from] CheckpointError),
    /// The folder that the corpus should replace holds something else.
    #[error("{}: holds files that are no tokenized corpus\nhint: name another folder", folder.display())]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds no tokenized corpus.
    #[error("{}: no tokenized corpus is here ({} is missing)", folder.display(), crate::header::HEADER_FILE)]
    NoCorpus {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of a tokenized corpus is not what was written.
    #[error("{}: the tokenized corpus is damaged: {problem}\nhint: remove the folder, so that it is tokenized anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tokenized corpus that was made from something else.
    #[error(
        "{}: was tokenized with another {field} ({found}, now {expected})\nhint: give the same data, tokenizer and \
         settings, or remove the folder, so that it is tokenized anew", folder.display()
    )]
    Mismatch {
        /// The corpus.
        folder: PathBuf,
        /// What differs.
        field: String,
        /// What the corpus was made with.
        found: String,
        /// What is asked for now.
        expected: String,
    },
    /// The progress callback asked to stop; nothing was left behind.
    #[error("interrupted: no corpus was written")]
    Interrupted,
}

impl CorpusError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }
}
