//! From the paths a user names (files, patterns, folders) to the files of one split.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::rows::Format;

pub use self::folder::DataFolder;
use self::folder::check_shards;
pub(crate) use self::folder::folder_entries;

mod folder;

/// A part of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// What is learned from.
    #[default]
    Train,
    /// What settings and epochs are chosen by.
    Validation,
    /// What is reported on.
    Test,
}

impl Split {
    /// All splits, in order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The split that a file or folder name tells, by the words that `datasets` goes by: `train-00000-of-00002.parquet`,
    /// `imdb_test.csv`, `val_text.txt`, `dev`.
    pub fn from_name(name: &str) -> Option<Self> {
        name.to_ascii_lowercase().split(|letter: char| !letter.is_ascii_alphanumeric()).find_map(|word| match word {
            "train" | "training" => Some(Self::Train),
            "validation" | "valid" | "val" | "dev" => Some(Self::Validation),
            "test" | "testing" | "eval" | "evaluation" => Some(Self::Test),
            _ => None,
        })
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// The files of one split, all of one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file, folder or pattern as it was named.
    pub path: PathBuf,
    /// The files' format.
    pub format: Format,
    /// The files in reading order; for class folders the folder that holds the classes.
    pub files: Vec<PathBuf>,
    /// What was passed over and should be said aloud.
    pub notes: Vec<String>,
}

impl Source {
    /// Finds the files behind what was named: files, patterns (`data/train-*.parquet`), or a folder's `split`.
    ///
    /// # Errors
    /// Nothing there, an unclear format, files of several formats, a missing shard.
    pub fn resolve(paths: &[PathBuf], split: Split, format: Option<Format>) -> Result<Self, DataError> {
        let mut sources = paths.iter().map(|path| resolve_one(path, split, format));
        let Some(first) = sources.next() else {
            return Err(DataError::Setting("no data file was given".into()));
        };
        let mut joined = first?;
        for source in sources {
            let source = source?;
            if source.format != joined.format {
                return Err(mixed_formats(&source.path, joined.format, source.format));
            }
            joined.files.extend(source.files);
            joined.notes.extend(source.notes);
        }
        Ok(joined)
    }
}

fn mixed_formats(path: &Path, one: Format, other: Format) -> DataError {
    let reason = format!("files of one split must have one format, not {one} and {other}");
    DataError::UnknownFormat { path: path.to_owned(), reason }
}

fn resolve_one(path: &Path, split: Split, format: Option<Format>) -> Result<Source, DataError> {
    if path.is_dir() {
        if format == Some(Format::ClassFolders) {
            let files = vec![path.to_owned()];
            return Ok(Source { path: path.to_owned(), format: Format::ClassFolders, files, notes: Vec::new() });
        }
        let DataFolder { mut splits, notes } = DataFolder::open(path, format)?;
        let there: Vec<String> = splits.keys().map(Split::to_string).collect();
        let source = splits.remove(&split).ok_or_else(|| DataError::NoData {
            path: path.to_owned(),
            reason: format!("it has no {split} split, only {}", there.join(", ")),
        });
        return source.map(|source| Source { notes, ..source });
    }
    let is_pattern = path.to_str().is_some_and(|text| text.contains(['*', '?', '[']));
    if is_pattern && !path.exists() {
        let files = matching_files(path)?;
        check_shards(&files)?;
        return source_of_files(path, files, format);
    }
    // Before its name is asked for a format: that is not what is wrong with it.
    if let Err(error) = std::fs::metadata(path) {
        return Err(DataError::open(path, error));
    }
    source_of_files(path, vec![path.to_owned()], format)
}

fn matching_files(pattern: &Path) -> Result<Vec<PathBuf>, DataError> {
    let no_data = |reason: String| DataError::NoData { path: pattern.to_owned(), reason };
    let paths = glob::glob(&pattern.to_string_lossy()).map_err(|error| no_data(format!("not a pattern: {error}")))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            let path = error.path().to_owned();
            DataError::open(&path, error.into())
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(no_data("no file matches".into()));
    }
    files.sort();
    Ok(files)
}

/// Files as one source; without a given format, all must be of the same.
fn source_of_files(path: &Path, files: Vec<PathBuf>, format: Option<Format>) -> Result<Source, DataError> {
    let mut found = format;
    if format.is_none() {
        for file in &files {
            let detected = Format::detect(file)?;
            match found {
                Some(known) if known != detected => {
                    return Err(mixed_formats(file, known, detected));
                }
                _ => found = Some(detected),
            }
        }
    }
    let format = found.ok_or_else(|| DataError::NoData { path: path.to_owned(), reason: "it holds no file".into() })?;
    Ok(Source { path: path.to_owned(), format, files, notes: Vec::new() })
}
