//! Cells as they are written to another format: as CSV text and as JSON.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde_json::{Map, Value};

use super::arrow_cell::{arrow_cell, display};
use super::row::{Cell, Cells, Row};

impl Row {
    /// A cell as text, for CSV: null and absent cells are empty, lists and structures are JSON.
    pub(crate) fn text(&self, column: &str) -> Cow<'_, str> {
        match &self.cells {
            Cells::Text { .. } => match self.get(column) {
                Some(Cell::Text(text)) => text,
                _ => Cow::Borrowed(""),
            },
            Cells::Json { object, .. } => match object.get(column) {
                None | Some(Value::Null) => Cow::Borrowed(""),
                Some(Value::String(text)) => Cow::Borrowed(text),
                Some(value) => Cow::Owned(value.to_string()),
            },
            Cells::Arrow { batch, index } => match batch.column_by_name(column) {
                Some(array) => arrow_text(array, *index),
                None => Cow::Borrowed(""),
            },
        }
    }

    /// The row as a JSON object, for JSONL.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        match &self.cells {
            Cells::Text { names, values } => {
                let pairs = names.iter().zip(values);
                pairs.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
            }
            Cells::Json { object, .. } => object.clone(),
            Cells::Arrow { batch, index } => {
                let fields = batch.schema_ref().fields().iter().zip(batch.columns());
                fields.map(|(field, array)| (field.name().clone(), arrow_json(array, *index))).collect()
            }
        }
    }
}

fn arrow_text(array: &ArrayRef, index: usize) -> Cow<'_, str> {
    match arrow_cell(array, index) {
        Cell::Null => Cow::Borrowed(""),
        Cell::Text(text) => text,
        Cell::List(_) => Cow::Owned(arrow_json(array, index).to_string()),
        // Not through f64: an f32 of 0.1 is `0.1`.
        _ if matches!(array.data_type(), DataType::Struct(_)) => Cow::Owned(arrow_json(array, index).to_string()),
        _ => Cow::Owned(display(array, index)),
    }
}

fn arrow_json(array: &ArrayRef, index: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    let list = |items: ArrayRef| (0..items.len()).map(|at| arrow_json(&items, at)).collect();
    match array.data_type() {
        DataType::List(_) => Value::Array(list(array.as_list::<i32>().value(index))),
        DataType::LargeList(_) => Value::Array(list(array.as_list::<i64>().value(index))),
        DataType::FixedSizeList(_, _) => Value::Array(list(array.as_fixed_size_list().value(index))),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let pairs = columns.map(|(field, column)| (field.name().clone(), arrow_json(column, index)));
            Value::Object(pairs.collect())
        }
        // The shortest decimal of the array's own width: an f32 of 0.1 is `0.1`. JSON has no NaN: null.
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            display(array, index).parse::<f64>().map_or(Value::Null, Value::from)
        }
        DataType::UInt64 => display(array, index).parse::<u64>().map_or(Value::Null, Value::from),
        _ => match arrow_cell(array, index) {
            Cell::Null | Cell::List(_) | Cell::Float(_) => Value::Null,
            Cell::Text(text) => Value::from(text.into_owned()),
            Cell::Bool(value) => Value::from(value),
            Cell::Integer(value) => Value::from(value),
            Cell::Other(text) => Value::from(text),
        },
    }
}
