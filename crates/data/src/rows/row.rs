//! One row of a dataset: its columns in order, as the file has them, so that it can be written back unchanged.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::{Map, Value};

use super::arrow_cell::arrow_cell;
use crate::error::{DataError, Location};

/// One data row.
#[derive(Clone, Debug)]
pub struct Row {
    pub(crate) path: Arc<Path>,
    pub(crate) line: Option<u64>,
    pub(crate) number: u64,
    pub(crate) cells: Cells,
}

/// The columns of a row, in the form of the file they came from.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// CSV, TSV and every kind of text file: strings under the names of the header.
    Text { names: Arc<[String]>, values: Vec<String> },
    /// JSONL: the line as it stands, and what it says.
    Json { line: String, object: Map<String, Value> },
    /// Parquet: one row of a shared batch.
    Arrow { batch: Arc<RecordBatch>, index: usize },
}

/// What a cell holds, whatever file it came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// JSON's or Parquet's null.
    Null,
    /// Text; every cell of a CSV file is text.
    Text(Cow<'a, str>),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction, or too large for [`Cell::Integer`].
    Float(f64),
    /// A list.
    List(Vec<Cell<'a>>),
    /// A value of any other type (a struct, a date), as text.
    Other(String),
}

impl Cell<'_> {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "text",
            Self::Bool(_) => "a truth value",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::List(_) => "a list",
            Self::Other(_) => "a structure",
        }
    }
}

impl Row {
    /// The row's number, counted from 1 over all files of the source.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// File, line and row number.
    pub fn location(&self) -> Location {
        Location { path: Arc::clone(&self.path), line: self.line, row: Some(self.number), column: None }
    }

    /// The names of the row's columns, in order.
    pub fn columns(&self) -> Vec<&str> {
        match &self.cells {
            Cells::Text { names, .. } => names.iter().map(String::as_str).collect(),
            Cells::Json { object, .. } => object.keys().map(String::as_str).collect(),
            Cells::Arrow { batch, .. } => {
                batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect()
            }
        }
    }

    /// Refuses a JSONL row with a column that is not among those of the output, which are long settled.
    pub(crate) fn refuse_columns_beyond(&self, columns: &[String]) -> Result<(), DataError> {
        let Cells::Json { object, .. } = &self.cells else { return Ok(()) };
        match object.keys().find(|name| !columns.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let problem = "the first row has no such column, so the output has none\n\
                               hint: write JSONL, or read from a file instead of a pipe";
                Err(DataError::Cell { at: self.location().with_column(name), problem: problem.into() })
            }
        }
    }

    /// The cell of a column; `None` when the row has no such column.
    pub fn get(&self, column: &str) -> Option<Cell<'_>> {
        match &self.cells {
            Cells::Text { names, values } => {
                let index = names.iter().position(|name| name == column)?;
                values.get(index).map(|value| Cell::Text(Cow::Borrowed(value)))
            }
            Cells::Json { object, .. } => object.get(column).map(json_cell),
            Cells::Arrow { batch, index } => batch.column_by_name(column).map(|array| arrow_cell(array, *index)),
        }
    }
}

/// A JSON value as a cell.
fn json_cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Cell::Integer(integer),
            (None, Some(float)) => Cell::Float(float),
            (None, None) => Cell::Other(number.to_string()),
        },
        Value::String(text) => Cell::Text(Cow::Borrowed(text)),
        Value::Array(items) => Cell::List(items.iter().map(json_cell).collect()),
        Value::Object(_) => Cell::Other(value.to_string()),
    }
}
