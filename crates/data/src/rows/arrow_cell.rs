//! Cells of Arrow columns, as Parquet files hold them.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;

use super::row::Cell;

/// The cell at `index` of a column; `index` must be less than the column's length.
pub(crate) fn arrow_cell(array: &ArrayRef, index: usize) -> Cell<'_> {
    if array.is_null(index) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Null => Cell::Null,
        DataType::Boolean => Cell::Bool(array.as_boolean().value(index)),
        DataType::Int8 => Cell::Integer(array.as_primitive::<Int8Type>().value(index).into()),
        DataType::Int16 => Cell::Integer(array.as_primitive::<Int16Type>().value(index).into()),
        DataType::Int32 => Cell::Integer(array.as_primitive::<Int32Type>().value(index).into()),
        DataType::Int64 => Cell::Integer(array.as_primitive::<Int64Type>().value(index)),
        DataType::UInt8 => Cell::Integer(array.as_primitive::<UInt8Type>().value(index).into()),
        DataType::UInt16 => Cell::Integer(array.as_primitive::<UInt16Type>().value(index).into()),
        DataType::UInt32 => Cell::Integer(array.as_primitive::<UInt32Type>().value(index).into()),
        DataType::UInt64 => {
            let value = array.as_primitive::<UInt64Type>().value(index);
            i64::try_from(value).map_or(Cell::Float(value as f64), Cell::Integer)
        }
        DataType::Float16 => Cell::Float(array.as_primitive::<Float16Type>().value(index).into()),
        DataType::Float32 => Cell::Float(array.as_primitive::<Float32Type>().value(index).into()),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(index)),
        DataType::Utf8 => text(array.as_string::<i32>().value(index)),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(index)),
        DataType::Utf8View => text(array.as_string_view().value(index)),
        DataType::List(_) => list(&array.as_list::<i32>().value(index)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(index)),
        DataType::FixedSizeList(_, _) => list(&array.as_fixed_size_list().value(index)),
        DataType::Dictionary(_, values) => decoded(array, index, values),
        _ => Cell::Other(display(array, index)),
    }
}

fn text(value: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(value))
}

fn list(items: &ArrayRef) -> Cell<'static> {
    Cell::List((0..items.len()).map(|index| owned(arrow_cell(items, index))).collect())
}

/// A dictionary column (a pandas categorical) by its value.
fn decoded(array: &ArrayRef, index: usize, values: &DataType) -> Cell<'static> {
    match arrow_cast::cast(&array.slice(index, 1), values) {
        Ok(value) => owned(arrow_cell(&value, 0)),
        Err(_) => Cell::Other(display(array, index)),
    }
}

fn owned(cell: Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Null => Cell::Null,
        Cell::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
        Cell::Bool(value) => Cell::Bool(value),
        Cell::Integer(value) => Cell::Integer(value),
        Cell::Float(value) => Cell::Float(value),
        Cell::List(items) => Cell::List(items.into_iter().map(owned).collect()),
        Cell::Other(text) => Cell::Other(text),
    }
}

pub(crate) fn display(array: &ArrayRef, index: usize) -> String {
    ArrayFormatter::try_new(array, &FormatOptions::default())
        .and_then(|formatter| formatter.value(index).try_to_string())
        .unwrap_or_else(|error| format!("<{error}>"))
}
