//! Parquet files, batch by batch, with the label names that `datasets` leaves in their metadata.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;
use serde_json::Value;

use super::row::{Cells, Row};
use super::{FileRows, OpenFile, refuse_repeated_names};
use crate::error::{DataError, Location};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 512;

/// The schema metadata key under which `datasets` keeps its features.
pub(crate) const FEATURES_KEY: &str = "huggingface";

struct ParquetRows {
    path: Arc<Path>,
    batches: ParquetRecordBatchReader,
    batch: Arc<RecordBatch>,
    index: usize,
}

/// Opens a Parquet file.
pub(super) fn open(path: Arc<Path>) -> Result<OpenFile, DataError> {
    let at = Location::file(Arc::clone(&path));
    let builder = open_footer(&at)?;
    let schema = Arc::clone(builder.schema());
    let batches = guarded(&at, || builder.with_batch_size(BATCH_ROWS).build())?;
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    refuse_repeated_names(&names, at, "")?;
    let label_names = class_labels(&schema);
    let batch = Arc::new(RecordBatch::new_empty(Arc::clone(&schema)));
    let rows = ParquetRows { path, batches, batch, index: 0 };
    let mut open = OpenFile::new(names.into(), Box::new(rows));
    open.label_names = label_names;
    open.schema = schema;
    Ok(open)
}

/// The number of rows that a file's footer gives.
pub(super) fn count_rows(path: &Path) -> Result<u64, DataError> {
    let at = Location::file(path);
    let rows = open_footer(&at)?.metadata().file_metadata().num_rows();
    u64::try_from(rows).map_err(|_| DataError::Parquet { at, message: format!("its footer says {rows} rows") })
}

fn open_footer(at: &Location) -> Result<ParquetRecordBatchReaderBuilder<File>, DataError> {
    let open_error = |source| DataError::open(&at.path, source);
    let file = File::open(&at.path).map_err(open_error)?;
    let size = file.metadata().map_err(open_error)?.len();
    let builder = guarded(at, || ParquetRecordBatchReaderBuilder::try_new(file))?;
    check_ranges(builder.metadata(), size).map_err(|message| DataError::Parquet { at: at.clone(), message })?;
    Ok(builder)
}

/// Runs the decoder; what makes it fail, or panic, is an error of the file.
///
/// `parquet` checks most of what it reads, but asserts some of it, and the bytes come from outside.
fn guarded<T, E: Display>(at: &Location, decode: impl FnOnce() -> Result<T, E>) -> Result<T, DataError> {
    let unreadable = |message| DataError::Parquet { at: at.clone(), message };
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => decoded.map_err(|error| unreadable(error.to_string())),
        Err(_) => Err(unreadable("its contents contradict each other".into())),
    }
}

/// Checks that the footer places every column chunk inside the file.
fn check_ranges(metadata: &ParquetMetaData, size: u64) -> Result<(), String> {
    for (group, columns) in metadata.row_groups().iter().enumerate() {
        for column in columns.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = u64::try_from(start)
                .ok()
                .zip(u64::try_from(column.compressed_size()).ok())
                .and_then(|(start, length)| start.checked_add(length));
            if column.data_page_offset() < 0 || end.is_none_or(|end| end > size) {
                let name = column.column_path().string();
                return Err(format!("row group {group} of column `{name}` lies outside of the file"));
            }
        }
    }
    Ok(())
}

impl FileRows for ParquetRows {
    fn next_row(&mut self, number: u64) -> Result<Option<Row>, DataError> {
        while self.index >= self.batch.num_rows() {
            let at = Location::file(Arc::clone(&self.path)).with_row(number);
            let Some(batch) = guarded(&at, || self.batches.next().transpose())? else { return Ok(None) };
            self.batch = Arc::new(batch);
            self.index = 0;
        }
        let cells = Cells::Arrow { batch: Arc::clone(&self.batch), index: self.index };
        self.index += 1;
        Ok(Some(Row { path: Arc::clone(&self.path), line: None, number, cells }))
    }
}

/// The names of every `ClassLabel` column, also of lists of them, from the metadata that `datasets` writes:
/// `{"info": {"features": {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}}}`.
fn class_labels(schema: &Schema) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::new();
    let metadata = schema.metadata().get(FEATURES_KEY);
    let Some(Ok(metadata)) = metadata.map(|text| serde_json::from_str::<Value>(text)) else {
        return names;
    };
    let Some(features) = metadata.pointer("/info/features").and_then(Value::as_object) else {
        return names;
    };
    for (column, feature) in features {
        // A list of labels is `{"feature": {...}, "_type": "List"}`, or `[{...}]` in old files.
        let inner = feature.get("feature").or_else(|| feature.get(0)).unwrap_or(feature);
        let is_class_label = inner.get("_type").and_then(Value::as_str) == Some("ClassLabel");
        let listed = inner.get("names").and_then(Value::as_array);
        if let (true, Some(listed)) = (is_class_label, listed) {
            let listed: Option<Vec<String>> = listed.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            names.extend(listed.map(|listed| (column.clone(), listed)));
        }
    }
    names
}
