//! The documents of text files, one after the other, in constant memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serin_data::{
    ColumnOptions, Columns, DataError, Format, LabelUse, Location, ReadOptions, Row, RowReader, Source, text_cell,
};

use crate::error::CorpusError;

/// How documents are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentOptions {
    /// The column with the text; where none is named, `text`, `sentence`, `review`, `content` or `tweet`, or two
    /// columns such as `premise` and `hypothesis`, which are then two lines of a document. Plain text has no columns.
    pub text_column: Option<String>,
    /// Whether every line of a `.txt` file is a document. Otherwise a blank line ends a document.
    pub line_by_line: bool,
    /// How rows and lines are read. No document of plain text may have more than `max_line_bytes` bytes either.
    pub read: ReadOptions,
}

/// A text that stands for itself: a row of a table, or a part of a plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The text, never blank.
    pub text: String,
    /// Where it begins.
    pub at: Location,
}

/// The documents of Parquet, CSV, TSV, JSONL and plain text files, also compressed (`.gz`), in the order of the files.
///
/// A row of a table is a document. In plain text (`.txt`) a blank line ends a document, whose lines are joined by `\n`.
/// Blank documents are passed over. Ends after the first error.
pub struct Documents {
    waiting: VecDeque<PathBuf>,
    options: DocumentOptions,
    open: Option<OpenFile>,
    blank: u64,
    ended: bool,
}

struct OpenFile {
    path: PathBuf,
    rows: RowReader,
    layout: Layout,
    documents: u64,
}

/// How the rows of a file make documents.
enum Layout {
    /// Each by its cells.
    Columns(Columns),
    /// Each by its line.
    Lines,
    /// Several lines up to a blank one.
    Paragraphs,
}

impl Documents {
    /// Documents of the files; looks at the beginning of each.
    ///
    /// # Errors
    /// No files, one that is not there or whose format its name does not tell, or that has no text column.
    pub fn open(paths: &[PathBuf], options: &DocumentOptions) -> Result<Self, CorpusError> {
        if paths.is_empty() {
            return Err(CorpusError::Setting { field: "train_file", problem: "no file was given".into() });
        }
        for path in paths {
            OpenFile::open(path, options)?;
        }
        Ok(Self { waiting: paths.to_vec().into(), options: options.clone(), open: None, blank: 0, ended: false })
    }

    /// How many rows, or lines of a line-by-line text, were passed over so far since they hold nothing but spaces.
    pub fn blank(&self) -> u64 {
        self.blank
    }

    fn next_document(&mut self) -> Result<Option<Document>, CorpusError> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.waiting.pop_front() else { return Ok(None) };
                self.open = Some(OpenFile::open(&path, &self.options)?);
            }
            let Some(open) = &mut self.open else { continue };
            if let Some(document) = open.next_document(&mut self.blank, self.options.read.max_line_bytes)? {
                open.documents += 1;
                return Ok(Some(document));
            }
            if open.documents == 0 {
                let reason = "it is empty, or there are only spaces in it".to_owned();
                return Err(CorpusError::NoDocuments { path: open.path.clone(), reason });
            }
            self.open = None;
        }
    }
}

impl Iterator for Documents {
    type Item = Result<Document, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let document = self.next_document().transpose();
        self.ended = !matches!(document, Some(Ok(_)));
        document
    }
}

impl OpenFile {
    fn open(path: &Path, options: &DocumentOptions) -> Result<Self, CorpusError> {
        // By the name alone: the tweets of a TweetEval folder are plain text here, and a tab is a character.
        let format = match Format::from_name(path) {
            Some(format) => format,
            // Says why.
            None => Format::detect(path)?,
        };
        let files = vec![path.to_owned()];
        let source = Source { path: path.to_owned(), format, files, notes: Vec::new() };
        let rows = RowReader::open(&source, &options.read)?;
        let layout = match format {
            Format::PlainText if options.line_by_line => Layout::Lines,
            Format::PlainText => Layout::Paragraphs,
            _ => {
                let named = ColumnOptions { text: options.text_column.clone(), ..ColumnOptions::default() };
                Layout::Columns(Columns::find(&rows, &named, LabelUse::Ignored)?)
            }
        };
        Ok(Self { path: path.to_owned(), rows, layout, documents: 0 })
    }

    fn next_document(&mut self, blank: &mut u64, limit: usize) -> Result<Option<Document>, CorpusError> {
        let columns = match &self.layout {
            Layout::Paragraphs => return next_paragraph(&mut self.rows, limit),
            Layout::Lines => None,
            Layout::Columns(columns) => Some(columns),
        };
        for row in self.rows.by_ref() {
            let row = row?;
            let text = match columns {
                Some(columns) => row_text(&row, columns)?,
                None => line_text(&row)?,
            };
            if !is_blank(&text) {
                return Ok(Some(Document { text, at: row.location() }));
            }
            *blank += 1;
        }
        Ok(None)
    }
}

/// The lines up to the next blank one.
fn next_paragraph(rows: &mut RowReader, limit: usize) -> Result<Option<Document>, CorpusError> {
    let mut document: Option<Document> = None;
    for row in rows {
        let row = row?;
        let line = line_text(&row)?;
        match &mut document {
            None if is_blank(&line) => {}
            None => document = Some(Document { text: line, at: row.location() }),
            Some(_) if is_blank(&line) => break,
            Some(document) if document.text.len() + line.len() >= limit => {
                return Err(CorpusError::DocumentTooLong { at: document.at.clone(), limit });
            }
            Some(document) => {
                document.text.push('\n');
                document.text.push_str(&line);
            }
        }
    }
    Ok(document)
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

fn row_text(row: &Row, columns: &Columns) -> Result<String, DataError> {
    let mut text = text_cell(row, &columns.text)?;
    if let Some(pair) = &columns.pair {
        text.push('\n');
        text.push_str(&text_cell(row, pair)?);
    }
    Ok(text)
}

/// The text of a row of a plain text file, which has one column.
fn line_text(row: &Row) -> Result<String, DataError> {
    let columns = row.columns();
    text_cell(row, columns.first().copied().unwrap_or_default())
}
