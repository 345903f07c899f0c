//! How far a file of predictions has come, kept beside it, so that an interrupted run can go on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::hex;
use crate::error::DataError;
use crate::resolve::{Source, folder_entries};

/// The version of the progress file's layout.
const VERSION: u32 = 1;
/// How much of an input file is hashed.
const HEAD_BYTES: u64 = 64 << 10;

/// What must be the same for a run to be continued: the input, and the settings that decide what is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunIdentity {
    inputs: Vec<InputIdentity>,
    settings: BTreeMap<String, String>,
}

/// An input file, as far as can be told without reading all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct InputIdentity {
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    /// SHA-256 of the first [`HEAD_BYTES`]; of the names inside for a folder.
    head_sha256: String,
}

impl RunIdentity {
    /// Looks at the input files; `settings` are the caller's: model, columns, truncation and the like, by flag name.
    ///
    /// # Errors
    /// An input file that cannot be read.
    pub fn new(source: &Source, settings: BTreeMap<String, String>) -> Result<Self, DataError> {
        let inputs =
            source.files.iter().map(|path| InputIdentity::of(path).map_err(|source| DataError::open(path, source)));
        Ok(Self { inputs: inputs.collect::<Result<_, _>>()?, settings })
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.settings.insert(name.to_owned(), value);
    }

    /// What differs from an earlier run, in words; `None` when nothing does.
    fn difference(&self, earlier: &Self) -> Option<String> {
        if self.inputs.len() != earlier.inputs.len() {
            return Some(format!("the input had {} files and has {} now", earlier.inputs.len(), self.inputs.len()));
        }
        let inputs = earlier.inputs.iter().zip(&self.inputs);
        if let Some(difference) = inputs.filter_map(|(then, now)| now.difference(then)).next() {
            return Some(difference);
        }
        let names = earlier.settings.keys().chain(self.settings.keys());
        let changed = names.filter(|name| earlier.settings.get(*name) != self.settings.get(*name));
        changed.into_iter().next().map(|name| {
            let value = |settings: &BTreeMap<String, String>| {
                settings.get(name).map_or("not set".to_owned(), |value| format!("`{value}`"))
            };
            format!("{name} was {} and is {} now", value(&earlier.settings), value(&self.settings))
        })
    }
}

impl InputIdentity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mut hash = Sha256::new();
        if metadata.is_dir() {
            let entries = folder_entries(path).map_err(io::Error::other)?;
            for folder in entries.folders {
                for file in folder_entries(&folder).map_err(io::Error::other)?.files {
                    hash.update(file.as_os_str().as_encoded_bytes());
                    hash.update([0]);
                }
            }
        } else {
            let mut head = Vec::new();
            File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
            hash.update(&head);
        }
        let head_sha256 = hex(&hash.finalize());
        let path = fs::canonicalize(path)?;
        Ok(Self { path, bytes: metadata.len(), modified, head_sha256 })
    }

    fn difference(&self, then: &Self) -> Option<String> {
        let path = self.path.display();
        if self.path != then.path {
            Some(format!("the input was {} and is {path} now", then.path.display()))
        } else if self.bytes != then.bytes {
            Some(format!("{path} had {} bytes and has {} now", then.bytes, self.bytes))
        } else if self.head_sha256 != then.head_sha256 {
            Some(format!("the beginning of {path} has changed"))
        } else if self.modified != then.modified {
            Some(format!("{path} was modified since, by its time stamp"))
        } else {
            None
        }
    }
}

/// What of the output is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    version: u32,
    /// Input rows whose predictions are durable.
    pub(super) rows: u64,
    /// Bytes of the partial file that hold them.
    pub(super) bytes: u64,
    /// Part files that hold them (Parquet).
    pub(super) parts: u32,
    /// Whether the partial file is the whole output and only wants its name.
    pub(super) finished: bool,
    identity: RunIdentity,
}

impl Progress {
    pub(super) fn new(identity: RunIdentity) -> Self {
        Self { version: VERSION, rows: 0, bytes: 0, parts: 0, finished: false, identity }
    }

    /// Reads an earlier run's progress and checks that it is of the same run; `None` when there is none.
    pub(super) fn load(path: &Path, output: &Path, identity: &RunIdentity) -> Result<Option<Self>, DataError> {
        let refuse = |reason: String| DataError::CannotResume { path: output.to_owned(), reason };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DataError::open(path, source)),
        };
        let progress: Self = serde_json::from_slice(&text)
            .map_err(|error| refuse(format!("{} is not readable: {error}", path.display())))?;
        if progress.version != VERSION {
            return Err(refuse(format!("it was begun by another version of this program ({})", progress.version)));
        }
        match identity.difference(&progress.identity) {
            Some(difference) => Err(refuse(difference)),
            None => Ok(Some(progress)),
        }
    }

    /// Replaces the progress file, durably.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let folder = folder_of(path);
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(&folder)
    }
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// Makes a rename in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Renames within a folder, durably.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(&folder_of(to))
}

/// Removes a file that need not be there.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
