//! Text files with a text a line: alone, with a tab and a label, or beside a file of labels (TweetEval).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lines::Lines;
use super::row::{Cells, Row};
use super::text_source::{TextSource, open_text};
use super::{FileRows, OpenFile, ReadOptions};
use crate::error::{DataError, Location};

/// The column that texts without a header go by.
pub(crate) const TEXT: &str = "text";
/// The column that labels without a header go by.
pub(crate) const LABEL: &str = "label";

fn text_and_label() -> Arc<[String]> {
    Arc::from([TEXT.to_owned(), LABEL.to_owned()])
}

/// Opens a file of plain texts, one a line.
pub(super) fn open_plain(path: Arc<Path>, source: TextSource, options: &ReadOptions) -> OpenFile {
    let names: Arc<[String]> = Arc::from([TEXT.to_owned()]);
    let lines = Lines::new(Arc::clone(&path), source, options);
    let rows = PlainRows { path, names: Arc::clone(&names), lines };
    OpenFile::new(names, Box::new(rows))
}

struct PlainRows {
    path: Arc<Path>,
    names: Arc<[String]>,
    lines: Lines,
}

impl FileRows for PlainRows {
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        let Some(text) = self.lines.next_line_trimmed()? else { return Ok(None) };
        let line = self.lines.location().line;
        let cells = Cells::Text { names: Arc::clone(&self.names), values: vec![text] };
        Ok(Some(Row { path: Arc::clone(&self.path), line, number, cells }))
    }
}

/// Opens a file of `text<TAB>label` lines without header or quoting.
pub(super) fn open_tab(path: Arc<Path>, source: TextSource, options: &ReadOptions) -> OpenFile {
    let names = text_and_label();
    let lines = Lines::new(Arc::clone(&path), source, options);
    let rows = TabRows { path, names: Arc::clone(&names), lines };
    OpenFile::new(names, Box::new(rows))
}

struct TabRows {
    path: Arc<Path>,
    names: Arc<[String]>,
    lines: Lines,
}

impl FileRows for TabRows {
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        let Some(line) = self.lines.next_line_trimmed()? else { return Ok(None) };
        let at = self.lines.location();
        let mut fields = line.split('\t');
        let (Some(text), Some(label), None) = (fields.next(), fields.next(), fields.next()) else {
            let found = line.split('\t').count() as u64;
            return Err(DataError::Ragged { at, expected: 2, found });
        };
        let values = vec![text.to_owned(), label.to_owned()];
        let cells = Cells::Text { names: Arc::clone(&self.names), values };
        Ok(Some(Row { path: Arc::clone(&self.path), line: at.line, number, cells }))
    }
}

/// The files beside TweetEval's `X_text.txt`: `X_labels.txt` and `mapping.txt`, where they exist.
pub(crate) fn tweeteval_companions(text: &Path) -> Option<(Option<PathBuf>, Option<PathBuf>)> {
    let name = text.file_name()?.to_str()?;
    let split = name.strip_suffix("_text.txt")?;
    let existing = |name: &str| Some(text.with_file_name(name)).filter(|path| path.is_file());
    Some((existing(&format!("{split}_labels.txt")), existing("mapping.txt")))
}

/// Opens TweetEval's `X_text.txt` with the labels and the mapping beside it.
///
/// Source of the layout: Barbieri et al. 2020, <https://github.com/cardiffnlp/tweeteval>. Lines end at `\n` alone.
pub(super) fn open_tweeteval(path: Arc<Path>, options: &ReadOptions) -> Result<OpenFile, DataError> {
    let (labels_path, mapping) = tweeteval_companions(&path).unwrap_or_default();
    let texts = Lines::new(Arc::clone(&path), open_text(&path)?, options);
    let Some(labels_path) = labels_path else {
        let names: Arc<[String]> = Arc::from([TEXT.to_owned()]);
        let rows = PlainRows { path, names: Arc::clone(&names), lines: texts };
        return Ok(OpenFile::new(names, Box::new(rows)));
    };
    let labels_path: Arc<Path> = labels_path.into();
    let labels = Lines::new(Arc::clone(&labels_path), open_text(&labels_path)?, options);
    let names = text_and_label();
    let rows = TweetEvalRows { path, labels_path, names: Arc::clone(&names), texts, labels };
    let mut open = OpenFile::new(names, Box::new(rows));
    if let Some(mapping) = mapping {
        let label_names = read_mapping(mapping.into(), options)?;
        open.label_names.insert(LABEL.to_owned(), label_names);
    }
    Ok(open)
}

struct TweetEvalRows {
    path: Arc<Path>,
    labels_path: Arc<Path>,
    names: Arc<[String]>,
    texts: Lines,
    labels: Lines,
}

impl TweetEvalRows {
    /// Counts what is left of both files, for the message.
    fn length_mismatch(&mut self, text: bool, label: bool, rows: u64) -> Result<DataError, DataError> {
        let mut text_lines = rows + u64::from(text);
        let mut label_lines = rows + u64::from(label);
        while self.texts.next_line()?.is_some() {
            text_lines += 1;
        }
        while self.labels.next_line()?.is_some() {
            label_lines += 1;
        }
        let (text, labels) = (self.path.to_path_buf(), self.labels_path.to_path_buf());
        Ok(DataError::LengthMismatch { text, text_lines, labels, label_lines })
    }
}

impl FileRows for TweetEvalRows {
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        let (text, label) = (self.texts.next_line()?, self.labels.next_line_trimmed()?);
        let line = self.texts.location().line;
        let (text, label) = match (text, label) {
            (Some(text), Some(label)) => (text, label),
            (None, None) => return Ok(None),
            (text, label) => {
                let rows = line.unwrap_or(1) - 1;
                return Err(self.length_mismatch(text.is_some(), label.is_some(), rows)?);
            }
        };
        let cells = Cells::Text { names: Arc::clone(&self.names), values: vec![text, label] };
        Ok(Some(Row { path: Arc::clone(&self.path), line, number, cells }))
    }
}

/// Reads `mapping.txt`: lines of `id<TAB>name`, ids 0, 1, 2, ... in any order.
fn read_mapping(path: Arc<Path>, options: &ReadOptions) -> Result<Vec<String>, DataError> {
    let mut lines = Lines::new(Arc::clone(&path), open_text(&path)?, options);
    let mut entries: Vec<(usize, String)> = Vec::new();
    while let Some(line) = lines.next_line_trimmed()? {
        if line.trim().is_empty() {
            continue;
        }
        let at = lines.location();
        let entry =
            line.split_once('\t').and_then(|(id, name)| Some((id.trim().parse().ok()?, name.trim().to_owned())));
        let Some(entry) = entry else {
            let problem = "not a line of `id<TAB>name`, as mapping.txt has them".into();
            return Err(DataError::Cell { at, problem });
        };
        entries.push(entry);
    }
    entries.sort();
    if entries.iter().enumerate().any(|(index, (id, _))| index != *id) {
        let problem = "the ids must be 0, 1, 2, ... without gaps or repeats".into();
        return Err(DataError::Cell { at: Location::file(path), problem });
    }
    Ok(entries.into_iter().map(|(_, name)| name).collect())
}
