//! CSV and TSV: the `csv` crate behind a guard for broken quotes.

use std::path::Path;
use std::sync::Arc;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::lines::decode_text;
use super::quote_guard::QuoteGuard;
use super::row::{Cells, Row};
use super::text_source::TextSource;
use super::{FileRows, OpenFile, ReadOptions, refuse_repeated_names};
use crate::error::{DataError, Location};

/// The rows of one CSV or TSV file.
struct DelimitedRows {
    path: Arc<Path>,
    names: Arc<[String]>,
    reader: csv::Reader<QuoteGuard>,
    record: ByteRecord,
    /// The line on which `record` begins.
    line: u64,
    /// Whether `record` already holds the first row, read to count its fields.
    waiting: bool,
    lossy: bool,
}

/// Opens a CSV (`delimiter` `,`) or TSV (tab) file: the header names the columns, or the options do.
pub(super) fn open(
    path: Arc<Path>,
    source: TextSource,
    delimiter: u8,
    options: &ReadOptions,
) -> Result<OpenFile, DataError> {
    let guard = QuoteGuard::new(Arc::clone(&path), source, delimiter, options.quoting, options.max_line_bytes);
    let reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(options.quoting)
        .has_headers(false)
        .buffer_capacity(1 << 16)
        .from_reader(guard);
    let names = Arc::from([]);
    let record = ByteRecord::new();
    let mut rows = DelimitedRows { path, names, reader, record, line: 1, waiting: false, lossy: options.lossy };
    let has_first = rows.read_record()?;
    let names = rows.column_names(has_first, options)?;
    rows.names = names.into();
    Ok(OpenFile::new(Arc::clone(&rows.names), Box::new(rows)))
}

impl DelimitedRows {
    fn read_record(&mut self) -> Result<bool, DataError> {
        let read = self.reader.read_byte_record(&mut self.record);
        self.line = self.reader.get_mut().next_record_line().unwrap_or(self.line);
        read.map_err(|error| self.mend_error(error))
    }

    /// The columns' names: given, or the first record's fields, or `column_1`, `column_2`, ...
    fn column_names(&mut self, has_first: bool, options: &ReadOptions) -> Result<Vec<String>, DataError> {
        if !has_first {
            return Ok(Vec::new());
        }
        let fields = self.record.len();
        if let Some(names) = &options.column_names {
            self.waiting = true;
            if names.len() != fields {
                let (expected, found) = (names.len() as u64, fields as u64);
                return Err(DataError::Ragged { at: self.record_location(), expected, found });
            }
            return Ok(names.clone());
        }
        if !options.header {
            self.waiting = true;
            return Ok((1..=fields).map(|number| format!("column_{number}")).collect());
        }
        let names = self.fields()?;
        refuse_repeated_names(&names, self.record_location(), "; if the first row is data, pass --no-header")?;
        Ok(names)
    }

    fn record_location(&self) -> Location {
        Location::line(Arc::clone(&self.path), self.line)
    }

    /// The record's fields as text; an encoding error names the line within a record of several lines.
    fn fields(&self) -> Result<Vec<String>, DataError> {
        let mut fields = Vec::with_capacity(self.record.len());
        for (index, field) in self.record.iter().enumerate() {
            fields.push(decode_text(field.to_vec(), self.lossy, || {
                let bad = first_bad_byte(field);
                let before = self.record.iter().take(index).flatten();
                let newlines = before.chain(&field[..bad]).filter(|&&byte| byte == b'\n').count();
                Location::line(Arc::clone(&self.path), self.line + newlines as u64)
            })?);
        }
        Ok(fields)
    }

    fn mend_error(&self, error: csv::Error) -> DataError {
        match error.into_kind() {
            ErrorKind::Io(source) => {
                let at = self.record_location();
                source.downcast::<DataError>().unwrap_or_else(|source| DataError::Read { at, source })
            }
            ErrorKind::UnequalLengths { expected_len, len, .. } => {
                DataError::Ragged { at: self.record_location(), expected: expected_len, found: len }
            }
            other => {
                let problem = format!("not readable as CSV: {other:?}");
                DataError::Cell { at: Location::file(Arc::clone(&self.path)), problem }
            }
        }
    }
}

/// The offset of the first byte that is NUL or not UTF-8.
fn first_bad_byte(field: &[u8]) -> usize {
    let valid = std::str::from_utf8(field).map_or_else(|error| error.valid_up_to(), str::len);
    memchr::memchr(0, &field[..valid]).unwrap_or(valid)
}

impl FileRows for DelimitedRows {
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        if !std::mem::take(&mut self.waiting) && !self.read_record()? {
            return Ok(None);
        }
        let values = self.fields()?;
        let cells = Cells::Text { names: Arc::clone(&self.names), values };
        Ok(Some(Row { path: Arc::clone(&self.path), line: Some(self.line), number, cells }))
    }
}
