//! From the paths a user names (files, patterns, folders) to the files of one split.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::rows::Format;
use crate::rows::class_folders::{UNLABELLED_FOLDER, class_names};

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
    source_of_files(path, vec![path.to_owned()], format)
}

fn matching_files(pattern: &Path) -> Result<Vec<PathBuf>, DataError> {
    let no_data = |reason: String| DataError::NoData { path: pattern.to_owned(), reason };
    let paths = glob::glob(&pattern.to_string_lossy()).map_err(|error| no_data(format!("not a pattern: {error}")))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            let path = error.path().to_owned();
            DataError::Open { path, source: error.into() }
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

/// How many folders may stand between the named folder and the one with the data.
const FOLDERS_BETWEEN: u32 = 1;

/// A dataset's folder, sorted into splits.
#[derive(Clone, Debug)]
pub struct DataFolder {
    /// The splits there are.
    pub splits: BTreeMap<Split, Source>,
    /// What was passed over and should be said aloud.
    pub notes: Vec<String>,
}

impl DataFolder {
    /// Sorts a folder's files into splits by their names.
    ///
    /// Known shapes: files such as `train.csv`, `train-00000-of-00002.parquet` or `train_text.txt` in the folder or in
    /// its `data/`; folders named by split (`train/0000.parquet`) or by class under a split (`train/pos/0_9.txt`);
    /// folders by class alone; one folder in between, as the Hub has for a dataset's configuration (`plain_text/`).
    /// Files whose names tell no split are one training split, unless others' names do.
    ///
    /// # Errors
    /// No data, several formats in a split, a missing shard.
    pub fn open(path: &Path, format: Option<Format>) -> Result<Self, DataError> {
        Self::open_within(path, format, FOLDERS_BETWEEN)
    }

    fn open_within(path: &Path, format: Option<Format>, depth: u32) -> Result<Self, DataError> {
        let entries = folder_entries(path)?;
        let files = data_files(&entries.files, format);
        if !files.is_empty() {
            return Self::from_files(path, files, format);
        }
        if let Some(folder) = Self::from_folders(path, &entries.folders, format)? {
            return Ok(folder);
        }
        let inner = if depth == 0 { &[] } else { entries.folders.as_slice() };
        let holds_data = |folder: &&PathBuf| Self::open_within(folder, format, depth - 1).is_ok();
        let candidates: Vec<&PathBuf> = inner.iter().filter(holds_data).collect();
        match candidates.as_slice() {
            [only] => Self::open_within(only, format, depth - 1),
            [] => Err(DataError::NoData { path: path.to_owned(), reason: no_data_reason(&entries) }),
            several => {
                let names = several.iter().map(|folder| folder.display().to_string());
                let reason =
                    format!("several folders in it hold data: {}; name one", names.collect::<Vec<_>>().join(", "));
                Err(DataError::NoData { path: path.to_owned(), reason })
            }
        }
    }

    /// Files by the splits in their names.
    fn from_files(path: &Path, files: Vec<PathBuf>, format: Option<Format>) -> Result<Self, DataError> {
        let mut by_split: BTreeMap<Split, Vec<PathBuf>> = BTreeMap::new();
        let mut others = Vec::new();
        for file in files {
            match file_name(&file).and_then(Split::from_name) {
                Some(split) => by_split.entry(split).or_default().push(file),
                None => others.push(file),
            }
        }
        let mut notes = Vec::new();
        if by_split.is_empty() {
            by_split.insert(Split::Train, others);
        } else if !others.is_empty() {
            let names: Vec<&str> = others.iter().filter_map(|file| file_name(file)).collect();
            notes.push(format!("not used, for the name tells no split: {}", names.join(", ")));
        }
        let mut splits = BTreeMap::new();
        for (split, files) in by_split {
            check_shards(&files)?;
            splits.insert(split, source_of_files(path, files, format)?);
        }
        Ok(Self { splits, notes })
    }

    /// Subfolders by split, or by class; `None` when they are neither.
    fn from_folders(path: &Path, folders: &[PathBuf], format: Option<Format>) -> Result<Option<Self>, DataError> {
        let mut splits = BTreeMap::new();
        let mut notes = Vec::new();
        for folder in folders {
            let Some(split) = file_name(folder).and_then(Split::from_name) else { continue };
            let files = data_files(&folder_entries(folder)?.files, format);
            let source = if !class_names(folder)?.is_empty() {
                note_unlabelled(folder, &mut notes);
                class_source(folder)
            } else if !files.is_empty() {
                check_shards(&files)?;
                source_of_files(folder, files, format)?
            } else {
                continue;
            };
            splits.insert(split, source);
        }
        if splits.is_empty() && !class_names(path)?.is_empty() && format.is_none() {
            note_unlabelled(path, &mut notes);
            splits.insert(Split::Train, class_source(path));
        }
        Ok(Some(Self { splits, notes }).filter(|folder| !folder.splits.is_empty()))
    }
}

fn class_source(folder: &Path) -> Source {
    let files = vec![folder.to_owned()];
    Source { path: folder.to_owned(), format: Format::ClassFolders, files, notes: Vec::new() }
}

fn note_unlabelled(folder: &Path, notes: &mut Vec<String>) {
    let unlabelled = folder.join(UNLABELLED_FOLDER);
    if unlabelled.is_dir() {
        notes.push(format!("not used, for its texts have no labels: {}", unlabelled.display()));
    }
}

fn no_data_reason(entries: &FolderEntries) -> String {
    if entries.files.is_empty() && entries.folders.is_empty() {
        return "the folder is empty".into();
    }
    let names: Vec<&str> =
        entries.files.iter().chain(&entries.folders).filter_map(|path| file_name(path)).take(5).collect();
    format!("it holds no data file (but: {})", names.join(", "))
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The files of a folder that look like data: known extensions; papers and metadata are none.
fn data_files(files: &[PathBuf], format: Option<Format>) -> Vec<PathBuf> {
    let is_data = |file: &&PathBuf| {
        let Some(name) = file_name(file).map(str::to_ascii_lowercase) else { return false };
        let has_split = Split::from_name(&name).is_some();
        let is_paper = name.starts_with("readme") || name.starts_with("license");
        let is_companion = name == "mapping.txt" || name.ends_with("_labels.txt");
        match Format::from_name(file) {
            None => false,
            Some(found) if format.is_some_and(|wanted| !extension_fits(wanted, found)) => false,
            Some(Format::PlainText) => !is_paper && !is_companion,
            // `dataset_info.json` and its like describe data; they are none.
            Some(Format::JsonLines) => !name.ends_with(".json") || has_split,
            Some(_) => true,
        }
    };
    files.iter().filter(is_data).cloned().collect()
}

/// Whether a file that its name calls `found` may be read as `wanted`: the text formats share extensions.
fn extension_fits(wanted: Format, found: Format) -> bool {
    let is_binary = |format| matches!(format, Format::Parquet | Format::ClassFolders);
    wanted == found || !(is_binary(wanted) || is_binary(found))
}

/// Refuses `train-00000-of-00002.parquet` without `train-00001-of-00002.parquet`.
fn check_shards(files: &[PathBuf]) -> Result<(), DataError> {
    let mut seen: BTreeMap<(String, usize), Vec<(usize, &PathBuf)>> = BTreeMap::new();
    for file in files {
        if let Some((prefix, index, total)) = file_name(file).and_then(shard_numbers) {
            seen.entry((prefix.to_owned(), total)).or_default().push((index, file));
        }
    }
    for ((_, total), mut shards) in seen {
        shards.sort();
        let missing = (0..total).find(|index| shards.get(*index).is_none_or(|(there, _)| there != index));
        if let (Some(missing), Some((_, path))) = (missing, shards.first()) {
            return Err(DataError::MissingShard { path: path.to_path_buf(), missing, total });
        }
    }
    Ok(())
}

/// Splits `train-00000-of-00002...` into its prefix, number and total.
fn shard_numbers(name: &str) -> Option<(&str, usize, usize)> {
    let (before, after) = name.split_once("-of-")?;
    let (prefix, index) = before.rsplit_once('-')?;
    let total: String = after.chars().take_while(char::is_ascii_digit).collect();
    let (index, total) = (index.parse().ok()?, total.parse().ok()?);
    Some((prefix, index, total))
}

/// What a folder holds, by name; hidden entries left out.
pub(crate) struct FolderEntries {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) folders: Vec<PathBuf>,
}

pub(crate) fn folder_entries(folder: &Path) -> Result<FolderEntries, DataError> {
    let open_error = |source| DataError::Open { path: folder.to_owned(), source };
    let mut entries = FolderEntries { files: Vec::new(), folders: Vec::new() };
    for entry in std::fs::read_dir(folder).map_err(open_error)? {
        let path = entry.map_err(open_error)?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            entries.folders.push(path);
        } else {
            entries.files.push(path);
        }
    }
    entries.files.sort();
    entries.folders.sort();
    Ok(entries)
}
