//! CSV, TSV and JSONL output: rows to lines, lines to a plain or gzip file.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};

use arrow_schema::Schema;
use csv::{QuoteStyle, WriterBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::prediction::{Prediction, PredictionColumns};
use crate::error::DataError;
use crate::rows::Row;
use crate::rows::row::Cells;

/// How a row becomes a line.
#[derive(Clone, Debug)]
pub(super) enum LineFormat {
    Delimited {
        delimiter: u8,
        /// The input's columns.
        columns: Vec<String>,
    },
    Json,
}

impl LineFormat {
    pub(super) fn delimited(delimiter: u8, input: &Schema) -> Self {
        let columns = input.fields().iter().map(|field| field.name().clone()).collect();
        Self::Delimited { delimiter, columns }
    }

    /// The line of column names, for the formats that have one.
    pub(super) fn header(&self, predicted: &PredictionColumns) -> io::Result<Vec<u8>> {
        match self {
            Self::Delimited { delimiter, columns } => {
                let names = columns.iter().chain(predicted.names());
                delimited_line(*delimiter, names.map(String::as_bytes))
            }
            Self::Json => Ok(Vec::new()),
        }
    }

    pub(super) fn line(
        &self,
        row: &Row,
        predicted: &PredictionColumns,
        prediction: &Prediction,
    ) -> Result<Vec<u8>, DataError> {
        let values = predicted.values(prediction)?;
        match self {
            Self::Delimited { delimiter, columns } => {
                row.refuse_columns_beyond(columns)?;
                let kept = columns.iter().map(|column| row.text(column));
                let fields: Vec<_> = kept.chain(values.iter().map(|value| value.text())).collect();
                delimited_line(*delimiter, fields.iter().map(|field| field.as_bytes())).map_err(|source| {
                    let problem = format!("cannot be written as CSV: {source}");
                    DataError::Cell { at: row.location(), problem }
                })
            }
            Self::Json => {
                let mut line = open_object(row, predicted)?;
                for (name, value) in predicted.names().iter().zip(&values) {
                    if !line.ends_with('{') {
                        line.push(',');
                    }
                    line.push_str(&serde_json::Value::from(name.as_str()).to_string());
                    line.push(':');
                    line.push_str(&value.json());
                }
                line.push_str("}\n");
                Ok(line.into_bytes())
            }
        }
    }
}

fn delimited_line<'a>(delimiter: u8, fields: impl Iterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(256);
    let mut builder = WriterBuilder::new();
    builder.delimiter(delimiter).quote_style(QuoteStyle::Necessary).buffer_capacity(256);
    let mut writer = builder.from_writer(&mut line);
    writer.write_record(fields).map_err(io::Error::from)?;
    writer.flush()?;
    drop(writer);
    Ok(line)
}

/// The row as JSON without the closing brace; the very bytes of a JSONL line are kept, so that no number changes.
fn open_object(row: &Row, predicted: &PredictionColumns) -> Result<String, DataError> {
    let Cells::Json { line, object } = &row.cells else {
        let mut text = serde_json::Value::Object(row.to_json()).to_string();
        text.pop();
        return Ok(text);
    };
    if let Some(name) = predicted.names().iter().find(|name| object.contains_key(*name)) {
        let problem =
            "the row has a column of this name already\nhint: rename it, or read from a file instead of a pipe";
        return Err(DataError::Cell { at: row.location().with_column(name), problem: problem.into() });
    }
    let text = line.trim();
    Ok(text.strip_suffix('}').unwrap_or(text).trim_end().to_owned())
}

/// Where lines go: a file, to be continued after an interruption, or a stream.
pub(super) struct LineSink {
    out: Out,
    gzip: bool,
    /// A second handle on the file: for its position, and to make it durable.
    file: Option<File>,
}

type Target = BufWriter<Box<dyn Write + Send>>;

enum Out {
    Plain(Target),
    Gzip(Box<GzEncoder<Target>>),
    /// Only while one of the others is made of the other.
    Moved,
}

impl LineSink {
    /// Appends to a file from its current position.
    pub(super) fn file(file: File, gzip: bool) -> io::Result<Self> {
        let handle = file.try_clone()?;
        Ok(Self { file: Some(handle), ..Self::stream(Box::new(file), gzip) })
    }

    pub(super) fn stream(stream: Box<dyn Write + Send>, gzip: bool) -> Self {
        Self { out: Out::Plain(BufWriter::with_capacity(1 << 16, stream)), gzip, file: None }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.gzip && !bytes.is_empty() {
            self.begin_member();
        }
        match &mut self.out {
            Out::Plain(out) => out.write_all(bytes),
            Out::Gzip(out) => out.write_all(bytes),
            Out::Moved => Err(broken_sink()),
        }
    }

    /// Makes what was written durable, and returns the offset of its end. A gzip member ends here, so that the file is
    /// whole up to this offset.
    pub(super) fn sync(&mut self) -> io::Result<u64> {
        self.end_member()?;
        if let Out::Plain(out) = &mut self.out {
            out.flush()?;
        }
        match &mut self.file {
            Some(file) => {
                file.sync_all()?;
                file.stream_position()
            }
            None => Ok(0),
        }
    }

    /// Like [`LineSink::sync`]; an empty gzip file still is one.
    pub(super) fn finish(&mut self, is_empty: bool) -> io::Result<u64> {
        if self.gzip && is_empty {
            self.begin_member();
        }
        self.sync()
    }

    fn begin_member(&mut self) {
        self.out = match std::mem::replace(&mut self.out, Out::Moved) {
            Out::Plain(out) => Out::Gzip(Box::new(GzEncoder::new(out, Compression::default()))),
            other => other,
        };
    }

    fn end_member(&mut self) -> io::Result<()> {
        self.out = match std::mem::replace(&mut self.out, Out::Moved) {
            Out::Gzip(encoder) => Out::Plain(encoder.finish()?),
            other => other,
        };
        Ok(())
    }
}

/// After a failed write nothing more can be written; the caller has had the error.
fn broken_sink() -> io::Error {
    io::Error::other("an earlier write failed")
}
