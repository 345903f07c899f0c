//! Labels of rows that stream by, matched with known labels by the rule that datasets are loaded by.

use serin::data::{Cell, DataError, LabelColumns, LabelSet, Location, ProblemType, Row};
use serin_model::Target;

/// Reads the labels of rows as ids of known labels.
pub struct RowLabels {
    /// Where they are.
    pub columns: LabelColumns,
    /// What separates several in a cell.
    pub delimiter: Option<String>,
    /// The classes that the data file itself names; its labels are ids of them.
    pub class_names: Option<Vec<String>>,
    /// `--label-map`.
    pub renamed: Vec<(String, String)>,
    /// The model's labels.
    pub known: LabelSet,
    /// What the labels are.
    pub problem_type: ProblemType,
    /// Whether `[0, 1]` under two labels is a flag for each; with other numbers of labels the length tells.
    pub pairs_are_flags: bool,
}

impl RowLabels {
    /// The label of a row.
    ///
    /// # Errors
    /// An empty cell, a label that is not known, a list where there is one label, or no number in a regression.
    pub fn target(&self, row: &Row) -> Result<Target, DataError> {
        match &self.columns {
            LabelColumns::None => Err(DataError::EmptyLabel { at: row.location() }),
            LabelColumns::Flags(names) => self.flag_columns(row, names),
            LabelColumns::One(column) => {
                let cell = LabelCell { row, column, cell: row.get(column).unwrap_or(Cell::Null) };
                match self.problem_type {
                    ProblemType::Regression => cell.score().map(Target::Score),
                    ProblemType::SingleLabelClassification => self.id(&cell.value()?, &cell).map(Target::Class),
                    ProblemType::MultiLabelClassification => self.multi(&cell),
                }
            }
        }
    }

    fn multi(&self, cell: &LabelCell<'_>) -> Result<Target, DataError> {
        let values = cell.values(self.delimiter.as_deref())?;
        if let Some(flags) = self.as_flags(&values) {
            return Ok(Target::Multi(flags));
        }
        let mut flags = vec![false; self.known.len()];
        for value in &values {
            let id = self.id(value, cell)?;
            flags[id as usize] = true;
        }
        Ok(Target::Multi(flags))
    }

    /// A list of as many 0 and 1 as there are labels.
    pub fn as_flags(&self, values: &[String]) -> Option<Vec<bool>> {
        let labels = self.known.len();
        let by_length = labels > 2 || (labels == 2 && self.pairs_are_flags);
        let flags = values.iter().map(|value| flag(value)).collect::<Option<Vec<bool>>>();
        flags.filter(|flags| by_length && flags.len() == labels)
    }

    fn flag_columns(&self, row: &Row, names: &[String]) -> Result<Target, DataError> {
        if self.problem_type != ProblemType::MultiLabelClassification {
            let reason = "the labels are flags, one column a label, but the model gives one label a text";
            return Err(DataError::Setting(reason.into()));
        }
        let mut flags = vec![false; self.known.len()];
        for column in names {
            let name = self.renamed(column);
            let id = self.known.position(name).map_err(|problem| DataError::LabelSet {
                problem: format!("column `{column}` {problem}: {}", self.known.names().join(", ")),
            })?;
            let cell = LabelCell { row, column, cell: row.get(column).unwrap_or(Cell::Null) };
            let value = cell.value()?;
            flags[id as usize] = flag(&value).ok_or_else(|| DataError::Cell {
                at: cell.location(),
                problem: format!("`{value}` where a column of --label-columns must hold 0 or 1"),
            })?;
        }
        Ok(Target::Multi(flags))
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        let exact = self.renamed.iter().find(|(from, _)| from == name);
        let found = exact.or_else(|| self.renamed.iter().find(|(from, _)| from.to_lowercase() == name.to_lowercase()));
        found.map_or(name, |(_, to)| to)
    }

    fn id(&self, value: &str, cell: &LabelCell<'_>) -> Result<u32, DataError> {
        let known = match &self.class_names {
            None => self.value_id(value),
            Some(names) => self.class_id(value, names),
        };
        known.map_err(|problem| DataError::Label {
            at: cell.location(),
            value: value.into(),
            problem: problem.into(),
            known: self.known.names().join(", ").into(),
        })
    }

    /// The id of a class of the file: by its name, or by its id where the model's labels have no names.
    fn class_id(&self, value: &str, names: &[String]) -> Result<u32, String> {
        let by_id = whole(value).and_then(|id| usize::try_from(id).ok()).filter(|&id| id < names.len());
        let Some(id) = by_id.or_else(|| names.iter().position(|name| name == value)) else {
            let unlabelled = if value == UNLABELLED { ", it marks unlabelled text" } else { "" };
            return Err(format!("is not one of the file's classes ({}){unlabelled}", names.join(", ")));
        };
        let name = self.renamed(&names[id]);
        let nameless = self.known.names().iter().all(|known| placeholder(known).is_some());
        match self.known.position(name) {
            Ok(id) => Ok(id),
            Err(_) if nameless && names.len() == self.known.len() => Ok(id as u32),
            Err(problem) => match placeholder(name) {
                Some(number) => self.in_range(number),
                None => Err(format!("is named `{name}` in the file, which {problem}")),
            },
        }
    }

    /// The id of a word or number: by name; numbers are ids where the known labels are no numbers.
    fn value_id(&self, value: &str) -> Result<u32, String> {
        let name = self.renamed(value);
        let problem = match self.known.position(name) {
            Ok(id) => return Ok(id),
            Err(problem) => problem,
        };
        let number = whole(name);
        if let Some(id) = number.and_then(|number| self.known.position(&number.to_string()).ok()) {
            return Ok(id);
        }
        let numeric = self.known.names().iter().all(|known| known.parse::<f64>().is_ok());
        match number.filter(|_| !numeric).or_else(|| placeholder(name)) {
            Some(-1) => Err("marks unlabelled text, which cannot be measured with".into()),
            Some(number) => self.in_range(number),
            None => Err(problem.to_owned()),
        }
    }

    fn in_range(&self, number: i64) -> Result<u32, String> {
        u32::try_from(number)
            .ok()
            .filter(|&id| (id as usize) < self.known.len())
            .ok_or_else(|| format!("is out of the range of ids, 0 to {}", self.known.len() - 1))
    }
}

/// What `datasets` writes for the label of an unlabelled row.
const UNLABELLED: &str = "-1";

/// The cell of a label.
struct LabelCell<'a> {
    row: &'a Row,
    column: &'a str,
    cell: Cell<'a>,
}

impl LabelCell<'_> {
    fn location(&self) -> Location {
        self.row.location().with_column(self.column)
    }

    fn value(&self) -> Result<String, DataError> {
        scalar(&self.cell, || self.location())?.ok_or_else(|| DataError::EmptyLabel { at: self.location() })
    }

    fn values(&self, delimiter: Option<&str>) -> Result<Vec<String>, DataError> {
        match (&self.cell, delimiter) {
            // Between delimiters, no text is the only way to say no label.
            (Cell::Text(text), Some(delimiter)) => {
                let parts = text.split(delimiter).map(|part| part.trim().to_owned());
                Ok(parts.filter(|part| !part.is_empty()).collect())
            }
            (Cell::List(items), _) => items
                .iter()
                .map(|item| {
                    scalar(item, || self.location())?.ok_or_else(|| DataError::EmptyLabel { at: self.location() })
                })
                .collect(),
            _ => Ok(vec![self.value()?]),
        }
    }

    fn score(&self) -> Result<f32, DataError> {
        let value = self.value()?;
        match value.parse::<f32>() {
            Ok(score) if score.is_finite() => Ok(score),
            _ => {
                let problem = format!("the label `{value}` is no finite number, as the model's regression needs");
                Err(DataError::Cell { at: self.location(), problem })
            }
        }
    }
}

/// A single value as text; `None` for null and empty text.
fn scalar(cell: &Cell<'_>, at: impl Fn() -> Location) -> Result<Option<String>, DataError> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Text(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Cell::Bool(value) => Ok(Some(value.to_string())),
        Cell::Integer(value) => Ok(Some(value.to_string())),
        Cell::Float(value) => Ok(Some(value.to_string())),
        Cell::List(_) | Cell::Other(_) => {
            let problem = format!("one label is expected here, not {}", cell.kind());
            Err(DataError::Cell { at: at(), problem })
        }
    }
}

fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "0" | "0.0" | "false" => Some(false),
        "1" | "1.0" | "true" => Some(true),
        _ => None,
    }
}

/// A whole number, also as pandas writes ids next to a missing one: `1.0`.
fn whole(value: &str) -> Option<i64> {
    let number: f64 = value.parse().ok()?;
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

/// The number in `LABEL_3`, the name that `transformers` gives when it knows none.
fn placeholder(name: &str) -> Option<i64> {
    let prefix = name.get(..6).filter(|prefix| prefix.eq_ignore_ascii_case("LABEL_"))?;
    name[prefix.len()..].parse::<u32>().ok().map(i64::from)
}
