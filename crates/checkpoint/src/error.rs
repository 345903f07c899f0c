//! What can go wrong between a file or the Hub and us, each with its place and a hint at the mend.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A second line under an error that says how to mend it; prints nothing where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint(Option<Cow<'static, str>>);

impl Hint {
    /// No advice to give.
    pub const NONE: Self = Self(None);
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(formatter, "\nhint: {text}"),
            None => Ok(()),
        }
    }
}

impl From<&'static str> for Hint {
    fn from(text: &'static str) -> Self {
        Self(Some(Cow::Borrowed(text)))
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Self(Some(Cow::Owned(text)))
    }
}

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system refused: missing file, permissions, full disk.
    #[error("{}: cannot {action}: {source}{hint}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as in "cannot {action}".
        action: &'static str,
        /// The system's reason.
        source: io::Error,
        /// How to mend it.
        hint: Hint,
    },

    /// The folder has no weights that can be read.
    #[error("{}: no weights found (looked for model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json; the folder holds: {found}){hint}", folder.display())]
    NoWeights {
        /// The folder that was searched.
        folder: PathBuf,
        /// What lies there instead.
        found: String,
        /// How to mend it.
        hint: Hint,
    },

    /// A file is not what its name or header says.
    #[error("{}: {reason}{hint}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// How to mend it.
        hint: Hint,
    },

    /// One tensor of a weight file is malformed or of the wrong kind.
    #[error("{}: tensor '{tensor}': {reason}{hint}", path.display())]
    Tensor {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// What is wrong with it.
        reason: String,
        /// How to mend it.
        hint: Hint,
    },

    /// One field of a JSON file is missing or malformed.
    #[error("{}: field '{field}': {reason}{hint}", path.display())]
    Field {
        /// The JSON file.
        path: PathBuf,
        /// The field, as a dotted path.
        field: String,
        /// What is wrong with it.
        reason: String,
        /// How to mend it.
        hint: Hint,
    },

    /// A pickle names a function or class outside the short list that weights need.
    #[error("{}: this file wants to run {global}: refused\nhint: nothing was run; use a model.safetensors of the same model, or ask its author for weights saved with torch.save(model.state_dict(), …)", path.display())]
    RefusedGlobal {
        /// The pickle file.
        path: PathBuf,
        /// The `module.name` that was asked for.
        global: String,
    },

    /// A pickle is truncated, corrupt, or uses a feature that weights never need.
    #[error("{}: at byte {offset} of its pickle: {reason}{hint}", path.display())]
    Pickle {
        /// The pickle file.
        path: PathBuf,
        /// Where in the pickle stream.
        offset: usize,
        /// What is wrong there.
        reason: String,
        /// How to mend it.
        hint: Hint,
    },

    /// Another process is writing the same folder.
    #[error("{}: another process is writing this folder\nhint: wait for it to end, or give this run an output folder of its own", path.display())]
    Busy {
        /// The folder that is being replaced.
        path: PathBuf,
    },

    /// A name is neither a local folder nor a Hub repository.
    #[error("'{name}': no such local folder, and {hub_reason}{hint}")]
    NotFoundAnywhere {
        /// What was asked for.
        name: String,
        /// Why the Hub could not help.
        hub_reason: String,
        /// How to mend it.
        hint: Hint,
    },

    /// An environment variable, a repository id, a revision or a pattern is not usable.
    #[error("{what} '{value}': {reason}{hint}")]
    InvalidSetting {
        /// The variable or argument.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
        /// How to mend it.
        hint: Hint,
    },

    /// The Hub answered, but not with what was asked for.
    #[error("{repository}: {reason}{hint}")]
    Hub {
        /// What kind of answer.
        kind: HubFailure,
        /// The repository id, with `datasets/` before a dataset's.
        repository: String,
        /// What was asked and what came back.
        reason: String,
        /// How to mend it.
        hint: Hint,
    },
}

/// The kinds of failure that callers of the Hub client tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubFailure {
    /// 401 or 403: private, gated, or a bad token.
    AccessDenied,
    /// No such repository (or it is private and the Hub does not say so).
    RepositoryNotFound,
    /// The repository has no such branch, tag, pull request or commit.
    RevisionNotFound,
    /// The revision has no such file.
    FileNotFound,
    /// Offline mode, and the cache lacks what was asked for.
    OfflineMiss,
    /// No connection, or it broke more often than we retry.
    Connection,
    /// An answer that breaks the protocol: no etag, bad JSON, an unsafe file name.
    Protocol,
    /// The bytes are not the ones announced: wrong size or SHA-256.
    Corrupt,
}

impl CheckpointError {
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        let hint = io_hint(&source);
        Self::Io { path: path.to_owned(), action, source, hint }
    }

    pub(crate) fn format(path: &Path, reason: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self::Format { path: path.to_owned(), reason: reason.into(), hint: hint.into() }
    }

    pub(crate) fn tensor(path: &Path, tensor: &str, reason: impl Into<String>) -> Self {
        Self::Tensor { path: path.to_owned(), tensor: tensor.to_owned(), reason: reason.into(), hint: Hint::NONE }
    }
}

fn io_hint(source: &io::Error) -> Hint {
    match source.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free some space or choose another folder".into(),
        io::ErrorKind::QuotaExceeded => "your disk quota is used up: free some space or choose another folder".into(),
        io::ErrorKind::FileTooLarge => "the file system or a limit (ulimit -f) forbids files of this size".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only: choose another folder".into(),
        io::ErrorKind::PermissionDenied => {
            "check the owner and permissions of the folder, or choose another one".into()
        }
        _ => Hint::NONE,
    }
}
