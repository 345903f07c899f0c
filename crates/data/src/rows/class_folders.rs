//! A folder per class with a file per text, as aclImdb has it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lines::decode_text;
use super::row::{Cells, Row};
use super::text_lines::{LABEL, TEXT};
use super::text_source::open_text;
use super::{FileRows, OpenFile, ReadOptions};
use crate::error::{DataError, Location};
use crate::resolve::folder_entries;

/// The folder of unlabelled reviews in aclImdb.
pub(crate) const UNLABELLED_FOLDER: &str = "unsup";

/// The column with a text's file name, from the root.
const FILE: &str = "file";

struct FolderRows {
    names: Arc<[String]>,
    root: PathBuf,
    classes: VecDeque<String>,
    class: String,
    files: VecDeque<PathBuf>,
    lossy: bool,
    limit: usize,
}

/// The classes of a folder: subfolders with at least one `.txt` file, by name; [`UNLABELLED_FOLDER`] is none.
pub(crate) fn class_names(root: &Path) -> Result<Vec<String>, DataError> {
    let mut classes = Vec::new();
    for folder in folder_entries(root)?.folders {
        let has_text = folder_entries(&folder)?.files.iter().any(|file| is_text(file));
        if let (true, Some(name)) = (has_text, folder.file_name().and_then(|name| name.to_str()))
            && name != UNLABELLED_FOLDER
        {
            classes.push(name.to_owned());
        }
    }
    Ok(classes)
}

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "txt")
}

/// Opens a folder whose subfolders are classes and whose `.txt` files are texts.
pub(super) fn open(root: &Path, options: &ReadOptions) -> Result<OpenFile, DataError> {
    let names: Arc<[String]> = Arc::from([TEXT, LABEL, FILE].map(str::to_owned));
    let rows = FolderRows {
        names: Arc::clone(&names),
        root: root.to_owned(),
        classes: class_names(root)?.into(),
        class: String::new(),
        files: VecDeque::new(),
        lossy: options.lossy,
        limit: options.max_line_bytes,
    };
    Ok(OpenFile::new(names, Box::new(rows)))
}

impl FileRows for FolderRows {
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        let file = loop {
            if let Some(file) = self.files.pop_front() {
                break file;
            }
            let Some(class) = self.classes.pop_front() else { return Ok(None) };
            let entries = folder_entries(&self.root.join(&class))?;
            self.files = entries.files.into_iter().filter(|file| is_text(file)).collect();
            self.class = class;
        };
        let path: Arc<Path> = Arc::from(file.as_path());
        let text = read_whole(&path, self.limit, self.lossy)?;
        let name = file.strip_prefix(&self.root).unwrap_or(&file).display().to_string();
        let values = vec![text, self.class.clone(), name];
        let cells = Cells::Text { names: Arc::clone(&self.names), values };
        Ok(Some(Row { path, line: None, number, cells }))
    }
}

/// A file that is one text; a newline at its end is not part of it.
fn read_whole(path: &Arc<Path>, limit: usize, lossy: bool) -> Result<String, DataError> {
    use std::io::Read;
    let at = Location::file(Arc::clone(path));
    let mut bytes = Vec::new();
    let read = open_text(path)?.take(limit as u64 + 1).read_to_end(&mut bytes);
    if let Err(source) = read {
        return Err(DataError::Read { at, source });
    }
    if bytes.len() > limit {
        return Err(DataError::TooLong { at, limit, quoted: false });
    }
    let mut text = decode_text(bytes, lossy, || at.clone())?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}
