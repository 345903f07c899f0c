//! A folder of data, sorted into splits by the names of files and folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Source, Split, source_of_files};
use crate::error::DataError;
use crate::rows::Format;
use crate::rows::class_folders::{UNLABELLED_FOLDER, class_names};

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
pub(super) fn check_shards(files: &[PathBuf]) -> Result<(), DataError> {
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
    let open_error = |source| DataError::open(folder, source);
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
