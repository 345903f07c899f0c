//! JSONL: one JSON object a line; blank lines are passed over.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::lines::Lines;
use super::row::{Cells, Row};
use super::text_source::TextSource;
use super::{FileRows, OpenFile, ReadOptions};
use crate::error::DataError;

struct JsonRows {
    path: Arc<Path>,
    lines: Lines,
    /// The first row, read to know the columns.
    waiting: Option<Row>,
}

/// Opens a JSONL file; its columns are the keys of the first object.
pub(super) fn open(path: Arc<Path>, source: TextSource, options: &ReadOptions) -> Result<OpenFile, DataError> {
    let lines = Lines::new(Arc::clone(&path), source, options);
    let mut rows = JsonRows { path, lines, waiting: None };
    rows.waiting = rows.read_row(1)?;
    let columns = rows.waiting.as_ref().map(Row::columns).unwrap_or_default();
    let names: Vec<String> = columns.into_iter().map(str::to_owned).collect();
    Ok(OpenFile::new(names.into(), Box::new(rows)))
}

impl JsonRows {
    fn read_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        while let Some(line) = self.lines.next_line_trimmed()? {
            if line.trim().is_empty() {
                continue;
            }
            let at = self.lines.location();
            let object: Map<String, Value> = match serde_json::from_str(&line) {
                Ok(object) => object,
                Err(error) => return Err(DataError::Json { at, message: explain(&line, &error) }),
            };
            let cells = Cells::Json { line, object };
            return Ok(Some(Row { path: Arc::clone(&self.path), line: at.line, number, cells }));
        }
        Ok(None)
    }
}

fn explain(line: &str, error: &serde_json::Error) -> String {
    if line.trim_start().starts_with('[') {
        return "a JSON array where a JSON object is expected\nhint: put one object on each line (jq -c '.[]')".into();
    }
    if error.is_eof() && line.trim() == "{" {
        return "a JSON object over several lines\nhint: put each object on one line (jq -c .)".into();
    }
    // The parser counts its own lines, always 1 here: only its column says something.
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or(&message);
    format!("not a JSON object: {reason} at byte {}", error.column())
}

impl FileRows for JsonRows {
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        match self.waiting.take() {
            Some(row) => Ok(Some(Row { number, ..row })),
            None => self.read_row(number),
        }
    }
}
