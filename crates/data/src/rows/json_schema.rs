//! The columns of JSONL rows and the narrowest type for each.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use super::RowReader;
use super::row::Cells;
use crate::error::DataError;

/// What the values of a column have in common so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Integer,
    Float,
    /// Strings; and any mixture, as JSON text.
    Text,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Integer,
            // 2^63 and up: a float would change the number.
            Value::Number(number) if number.is_u64() => Self::Text,
            Value::Number(_) => Self::Float,
            Value::String(_) | Value::Array(_) | Value::Object(_) => Self::Text,
        }
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            (one, other) if one == other => one,
            _ => Self::Text,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Null | Self::Text => DataType::Utf8,
        }
    }
}

/// Reads all rows for the columns they have.
pub(super) fn scan(reader: RowReader) -> Result<SchemaRef, DataError> {
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut columns: Vec<(String, Kind)> = Vec::new();
    for row in reader {
        let Cells::Json { object, .. } = row?.cells else { continue };
        for (name, value) in &object {
            let kind = Kind::of(value);
            match positions.get(name).and_then(|&position| columns.get_mut(position)) {
                Some((_, known)) => *known = known.join(kind),
                None => {
                    positions.insert(name.clone(), columns.len());
                    columns.push((name.clone(), kind));
                }
            }
        }
    }
    let fields: Vec<Field> = columns.into_iter().map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect();
    Ok(Arc::new(Schema::new(fields)))
}
