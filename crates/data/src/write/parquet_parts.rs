//! Parquet output: rows to record batches, batches to one file, or to part files that are joined at the end.
//!
//! A Parquet file is complete only with its footer, so an interrupted one cannot be continued. Each stretch between two
//! checkpoints is therefore a small file of its own.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float32Builder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use super::prediction::{PredictedCell, Prediction, PredictionColumns};
use crate::error::DataError;
use crate::rows::Row;
use crate::rows::row::Cells;

/// Rows gathered before they become a record batch.
const BATCH_ROWS: usize = 512;
/// A row group ends after so many rows, or bytes: what the writer holds in memory.
const GROUP_ROWS: usize = 65_536;
const GROUP_BYTES: usize = 64 << 20;

/// A Parquet writer that keeps little in memory.
pub(super) struct ParquetOutput {
    writer: ArrowWriter<Box<dyn Write + Send>>,
    schema: SchemaRef,
    input_columns: Vec<String>,
    rows: Vec<Row>,
    predictions: Vec<Prediction>,
}

impl ParquetOutput {
    pub(super) fn new(
        out: Box<dyn Write + Send>,
        input: &Schema,
        predicted: &PredictionColumns,
    ) -> Result<Self, ParquetError> {
        let schema = Arc::new(predicted.extend(input));
        let writer = writer(out, &schema)?;
        let input_columns = input.fields().iter().map(|field| field.name().clone()).collect();
        Ok(Self { writer, schema, input_columns, rows: Vec::new(), predictions: Vec::new() })
    }

    pub(super) fn write(
        &mut self,
        row: &Row,
        predicted: &PredictionColumns,
        prediction: &Prediction,
    ) -> Result<(), PartError> {
        row.refuse_columns_beyond(&self.input_columns)?;
        self.rows.push(row.clone());
        self.predictions.push(prediction.clone());
        if self.rows.len() >= BATCH_ROWS { self.write_batch(predicted) } else { Ok(()) }
    }

    /// Writes the last rows and the footer; the file is complete then.
    pub(super) fn close(mut self, predicted: &PredictionColumns) -> Result<(), PartError> {
        self.write_batch(predicted)?;
        let mut out = self.writer.into_inner()?;
        out.flush().map_err(|source| PartError::Parquet(source.into()))
    }

    fn write_batch(&mut self, predicted: &PredictionColumns) -> Result<(), PartError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields().iter().take(self.input_columns.len()) {
            columns.push(input_column(&self.rows, field)?);
        }
        let values = self.predictions.iter().map(|prediction| predicted.values(prediction));
        let values: Vec<Vec<PredictedCell<'_>>> = values.collect::<Result<_, _>>()?;
        for (index, field) in self.schema.fields().iter().skip(self.input_columns.len()).enumerate() {
            columns.push(predicted_column(&values, index, field));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.rows.clear();
        drop(values);
        self.predictions.clear();
        write_bounded(&mut self.writer, &batch)?;
        Ok(())
    }
}

/// What can fail: the data, or the file.
#[derive(Debug)]
pub(super) enum PartError {
    Data(DataError),
    Parquet(ParquetError),
}

impl From<DataError> for PartError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<ParquetError> for PartError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error)
    }
}

impl From<ArrowError> for PartError {
    fn from(error: ArrowError) -> Self {
        Self::Parquet(error.into())
    }
}

fn writer(out: Box<dyn Write + Send>, schema: &SchemaRef) -> Result<ArrowWriter<Box<dyn Write + Send>>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    ArrowWriter::try_new(out, Arc::clone(schema), Some(properties))
}

fn write_bounded(writer: &mut ArrowWriter<Box<dyn Write + Send>>, batch: &RecordBatch) -> Result<(), ParquetError> {
    writer.write(batch)?;
    if writer.in_progress_size() > GROUP_BYTES { writer.flush() } else { Ok(()) }
}

/// Joins part files into one, batch by batch.
pub(super) fn join_parts(
    parts: &[impl AsRef<Path>],
    out: File,
    input: &Schema,
    predicted: &PredictionColumns,
) -> Result<(), ParquetError> {
    let schema = Arc::new(predicted.extend(input));
    let mut writer = writer(Box::new(out), &schema)?;
    for part in parts {
        let part = ParquetRecordBatchReaderBuilder::try_new(File::open(part)?)?;
        for batch in part.with_batch_size(BATCH_ROWS).build()? {
            // The same columns, under the metadata of the output.
            let batch = RecordBatch::try_new(Arc::clone(&schema), batch?.columns().to_vec())?;
            write_bounded(&mut writer, &batch)?;
        }
    }
    writer.into_inner()?.flush()?;
    Ok(())
}

/// One column of the input, of all rows.
fn input_column(rows: &[Row], field: &Field) -> Result<ArrayRef, PartError> {
    if let Some(column) = arrow_column(rows, field.name())? {
        return Ok(column);
    }
    let json = |row: &Row| match &row.cells {
        Cells::Json { object, .. } => object.get(field.name()).cloned().unwrap_or(Value::Null),
        Cells::Text { .. } | Cells::Arrow { .. } => Value::from(row.text(field.name()).into_owned()),
    };
    let values = rows.iter().map(json);
    let column: ArrayRef = match field.data_type() {
        DataType::Boolean => Arc::new(values.map(|value| value.as_bool()).collect::<BooleanArray>()),
        DataType::Int64 => Arc::new(values.map(|value| value.as_i64()).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(values.map(|value| value.as_f64()).collect::<Float64Array>()),
        _ => Arc::new(values.map(json_text).collect::<StringArray>()),
    };
    let nulls = rows.iter().filter(|row| matches!(row.get(field.name()), None | Some(crate::rows::Cell::Null)));
    if column.null_count() != nulls.count() {
        let problem = format!(
            "a row near this one has a value that is not {}\nhint: the input changed while it was read",
            field.data_type()
        );
        let at = rows[0].location().with_column(field.name());
        return Err(DataError::Cell { at, problem }.into());
    }
    Ok(column)
}

/// A string as it is, null as none, anything else as JSON.
fn json_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// The column of rows that come from Parquet, picked from their batches; `None` for other rows.
fn arrow_column(rows: &[Row], name: &str) -> Result<Option<ArrayRef>, ArrowError> {
    let mut batches: Vec<&Arc<RecordBatch>> = Vec::new();
    let mut picks = Vec::with_capacity(rows.len());
    for row in rows {
        let Cells::Arrow { batch, index } = &row.cells else { return Ok(None) };
        // Rows come in order: a batch that is not the latest is new.
        if batches.last().is_none_or(|latest| !Arc::ptr_eq(latest, batch)) {
            batches.push(batch);
        }
        picks.push((batches.len() - 1, *index));
    }
    let arrays: Option<Vec<&dyn Array>> =
        batches.iter().map(|batch| batch.column_by_name(name).map(|array| array.as_ref())).collect();
    arrays.map(|arrays| interleave(&arrays, &picks)).transpose()
}

/// One column of predictions, of all rows.
fn predicted_column(rows: &[Vec<PredictedCell<'_>>], index: usize, field: &Field) -> ArrayRef {
    let values = rows.iter().map(|row| row.get(index));
    match field.data_type() {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(rows.len());
            values.for_each(|value| {
                builder.append_option(if let Some(PredictedCell::Flag(flag)) = value { Some(*flag) } else { None });
            });
            Arc::new(builder.finish())
        }
        DataType::UInt32 => {
            let mut builder = UInt32Builder::with_capacity(rows.len());
            values.for_each(|value| {
                builder.append_option(if let Some(PredictedCell::Count(count)) = value { Some(*count) } else { None });
            });
            Arc::new(builder.finish())
        }
        DataType::Float32 => {
            let mut builder = Float32Builder::with_capacity(rows.len());
            values.for_each(|value| {
                builder.append_option(if let Some(PredictedCell::Number(number)) = value {
                    Some(*number)
                } else {
                    None
                });
            });
            Arc::new(builder.finish())
        }
        DataType::List(_) => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            values.for_each(|value| {
                let list = if let Some(PredictedCell::List(texts)) = value { Some(texts) } else { None };
                list.into_iter().flatten().for_each(|text| builder.values().append_value(text));
                builder.append(list.is_some());
            });
            Arc::new(builder.finish())
        }
        _ => {
            let text = |value: &PredictedCell<'_>| match value {
                PredictedCell::Text(text) => Some((*text).to_owned()),
                _ => None,
            };
            Arc::new(values.map(|value| value.and_then(text)).collect::<StringArray>())
        }
    }
}
