//! What can go wrong with the files a run reports in.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a report file could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, e.g. `create the event file`.
        action: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// A file that is not the JSON it should be.
    #[error("{}: not a trainer state: {source}; it is damaged or not written by a Trainer", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Line, column and field.
        source: serde_json::Error,
    },
    /// A line in the middle of a JSONL log that is not a JSON object.
    #[error(
        "{}: line {line} is not a JSON object, yet lines follow it, so no interrupted run left it so; \
         mend or move the file, a new one is then begun",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: u64,
    },
    /// A log entry that has no JSON form.
    #[error("{}: cannot encode the log entry: {source}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
}

impl ReportError {
    /// Names the file in an I/O error.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}
