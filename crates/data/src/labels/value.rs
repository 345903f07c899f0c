//! The label cells of one row, as values that do not depend on the file format.

use crate::columns::LabelColumns;
use crate::error::{DataError, Location};
use crate::rows::{Cell, Row};

/// The label cells of one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LabelCell {
    /// Null, or empty text.
    Missing,
    /// One value, as text: whole numbers without fraction, `true` and `false`.
    One(String),
    /// A list of values: labels, or 0 and 1 for every label, which only all rows together can tell.
    Many(Vec<String>),
    /// One truth value per label.
    Flags(Vec<bool>),
}

/// Reads the label cells of a row.
pub(crate) fn label_cell(row: &Row, columns: &LabelColumns, delimiter: Option<&str>) -> Result<LabelCell, DataError> {
    match columns {
        LabelColumns::None => Ok(LabelCell::Missing),
        LabelColumns::One(column) => {
            let cell = row.get(column).unwrap_or(Cell::Null);
            one_column(cell, delimiter, || row.location().with_column(column))
        }
        LabelColumns::Flags(columns) => columns
            .iter()
            .map(|column| {
                let cell = row.get(column).unwrap_or(Cell::Null);
                flag(cell, || row.location().with_column(column))
            })
            .collect::<Result<_, _>>()
            .map(LabelCell::Flags),
    }
}

fn one_column(cell: Cell<'_>, delimiter: Option<&str>, at: impl Fn() -> Location) -> Result<LabelCell, DataError> {
    match (cell, delimiter) {
        // Between delimiters, no text is the only way to say no label.
        (Cell::Text(text), Some(delimiter)) => {
            let parts = text.split(delimiter).map(|part| part.trim().to_owned());
            Ok(LabelCell::Many(parts.filter(|part| !part.is_empty()).collect()))
        }
        (Cell::List(items), _) => {
            let values = items.into_iter().map(|item| scalar(item, &at));
            let values: Option<Vec<String>> = values.collect::<Result<_, _>>()?;
            values.map(LabelCell::Many).ok_or_else(|| DataError::EmptyLabel { at: at() })
        }
        (cell, _) => Ok(scalar(cell, &at)?.map_or(LabelCell::Missing, LabelCell::One)),
    }
}

/// A single value as text; `None` for null and empty text.
fn scalar(cell: Cell<'_>, at: &impl Fn() -> Location) -> Result<Option<String>, DataError> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Text(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Cell::Bool(value) => Ok(Some(value.to_string())),
        Cell::Integer(value) => Ok(Some(value.to_string())),
        Cell::Float(value) => Ok(Some(value.to_string())),
        Cell::List(_) | Cell::Other(_) => {
            let problem = format!("a label cannot be {}", cell.kind());
            Err(DataError::Cell { at: at(), problem })
        }
    }
}

fn flag(cell: Cell<'_>, at: impl Fn() -> Location) -> Result<bool, DataError> {
    let Some(value) = scalar(cell, &at)? else {
        return Err(DataError::EmptyLabel { at: at() });
    };
    match value.to_ascii_lowercase().as_str() {
        "0" | "0.0" | "false" => Ok(false),
        "1" | "1.0" | "true" => Ok(true),
        _ => {
            let problem = format!("`{value}` where a column of --label-columns must hold 0 or 1");
            Err(DataError::Cell { at: at(), problem })
        }
    }
}
