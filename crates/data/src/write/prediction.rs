//! What is predicted for a row, and the columns it is written to.

use std::borrow::Cow;

use arrow_schema::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::error::DataError;
use crate::labels::{LabelSet, ProblemType};
use crate::rows::parquet_file::FEATURES_KEY;

/// What separates several predicted labels in one CSV cell.
const LABEL_SEPARATOR: &str = "|";

/// The prediction for one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The answer.
    pub value: PredictedValue,
    /// The probability of every label, by id; empty for regression. Not looked at where there is no prediction.
    pub probabilities: Vec<f32>,
    /// Whether the text was longer than the model takes.
    pub truncated: bool,
    /// Tokens of the text, before it was cut.
    pub tokens: u32,
}

/// The answer, by problem type.
#[derive(Clone, Debug, PartialEq)]
pub enum PredictedValue {
    /// Single-label: a class id.
    Class(u32),
    /// Multi-label: the ids over the threshold.
    Labels(Vec<u32>),
    /// Regression: a number.
    Score(f32),
    /// None, of any problem type: the model's output is not a number. Label and scores stay empty: nothing in CSV, null
    /// elsewhere.
    Undefined,
}

/// A prediction's value in one output column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PredictedCell<'a> {
    Text(&'a str),
    List(Vec<&'a str>),
    Number(f32),
    Flag(bool),
    Count(u32),
    Missing,
}

/// The columns that predictions add to a row, in order:
///
/// | problem | columns |
/// | --- | --- |
/// | single-label | `predicted_label`, `predicted_score`, `score_<label>` for each label, `truncated`, `tokens` |
/// | multi-label | `predicted_labels` (a list; `a\|b` in CSV), `score_<label>` for each label, `truncated`, `tokens` |
/// | regression | `predicted_score`, `truncated`, `tokens` |
///
/// Where the input has one of these names already, all of them get the ending `_2`, or `_3`, ...
#[derive(Clone, Debug)]
pub struct PredictionColumns {
    problem_type: ProblemType,
    labels: Vec<String>,
    names: Vec<String>,
}

impl PredictionColumns {
    /// Names the columns for rows with the columns of `input`. `labels` is not used for regression.
    ///
    /// # Errors
    /// A classifier without labels.
    pub fn new(problem_type: ProblemType, labels: Option<&LabelSet>, input: &Schema) -> Result<Self, DataError> {
        let labels = match (problem_type, labels) {
            (ProblemType::Regression, _) => Vec::new(),
            (_, Some(labels)) => labels.names().to_vec(),
            (_, None) => return Err(DataError::Setting("a classifier's predictions need its labels".into())),
        };
        let first: &[&str] = match problem_type {
            ProblemType::SingleLabelClassification => &["predicted_label", "predicted_score"],
            ProblemType::MultiLabelClassification => &["predicted_labels"],
            ProblemType::Regression => &["predicted_score"],
        };
        let first = first.iter().map(|&name| name.to_owned());
        let scores = labels.iter().map(|label| format!("score_{label}"));
        let last = ["truncated", "tokens"].map(str::to_owned);
        let plain: Vec<String> = first.chain(scores).chain(last).collect();
        let taken = |names: &[String]| names.iter().any(|name| input.column_with_name(name).is_some());
        let mut names = plain.clone();
        let mut number = 2u64;
        while taken(&names) {
            names = plain.iter().map(|name| format!("{name}_{number}")).collect();
            number += 1;
        }
        Ok(Self { problem_type, labels, names })
    }

    /// The columns' names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values of the columns, in order.
    pub(crate) fn values<'a>(&'a self, prediction: &'a Prediction) -> Result<Vec<PredictedCell<'a>>, DataError> {
        let misfit = || DataError::Setting("a prediction does not fit the labels it is written for".into());
        let name = |id: &u32| self.labels.get(*id as usize).map(String::as_str).ok_or_else(misfit);
        let mut values = Vec::with_capacity(self.names.len());
        if prediction.value == PredictedValue::Undefined {
            // All but the two about the text.
            values.resize(self.names.len().saturating_sub(2), PredictedCell::Missing);
        } else if prediction.probabilities.len() != self.labels.len() {
            return Err(misfit());
        } else {
            match (&prediction.value, self.problem_type) {
                (PredictedValue::Class(id), ProblemType::SingleLabelClassification) => {
                    values.push(PredictedCell::Text(name(id)?));
                    let probability = prediction.probabilities.get(*id as usize).copied();
                    values.push(PredictedCell::Number(probability.ok_or_else(misfit)?));
                }
                (PredictedValue::Labels(ids), ProblemType::MultiLabelClassification) => {
                    values.push(PredictedCell::List(ids.iter().map(name).collect::<Result<_, _>>()?));
                }
                (PredictedValue::Score(score), ProblemType::Regression) => values.push(PredictedCell::Number(*score)),
                _ => return Err(misfit()),
            }
            values.extend(prediction.probabilities.iter().map(|&probability| PredictedCell::Number(probability)));
        }
        values.push(PredictedCell::Flag(prediction.truncated));
        values.push(PredictedCell::Count(prediction.tokens));
        Ok(values)
    }

    /// The columns as Arrow fields.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let last = self.names.len().saturating_sub(2);
        let data_type = |index: usize| match (index, self.problem_type) {
            (0, ProblemType::SingleLabelClassification) => DataType::Utf8,
            (0, ProblemType::MultiLabelClassification) => DataType::new_list(DataType::Utf8, true),
            (index, _) if index == last => DataType::Boolean,
            (index, _) if index > last => DataType::UInt32,
            _ => DataType::Float32,
        };
        let fields = self.names.iter().enumerate();
        fields.map(|(index, name)| Field::new(name, data_type(index), true)).collect()
    }

    /// The schema of Parquet output: the input's columns and these; the features that `datasets` keeps in the metadata
    /// grow with them, because it refuses files where they do not match the columns. All may be null: shards that differ in
    /// that alone are one input.
    pub(crate) fn extend(&self, input: &Schema) -> Schema {
        let mut fields: Vec<Field> =
            input.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        fields.extend(self.fields());
        let mut metadata = input.metadata().clone();
        let known = metadata.get(FEATURES_KEY).and_then(|text| serde_json::from_str::<Value>(text).ok());
        if let Some(mut value) = known
            && let Some(features) = value.pointer_mut("/info/features").and_then(Value::as_object_mut)
        {
            features.extend(self.fields().iter().map(|field| (field.name().clone(), feature(field.data_type()))));
            metadata.insert(FEATURES_KEY, value.to_string());
        }
        Schema::new_with_metadata(fields, metadata)
    }
}

/// The type of a column in the words of `datasets`.
fn feature(data_type: &DataType) -> Value {
    let dtype = |name: &str| json!({"dtype": name, "_type": "Value"});
    match data_type {
        DataType::Boolean => dtype("bool"),
        DataType::UInt32 => dtype("uint32"),
        DataType::Float32 => dtype("float32"),
        DataType::List(_) => json!({"feature": dtype("string"), "_type": "Sequence"}),
        _ => dtype("string"),
    }
}

impl PredictedCell<'_> {
    /// For CSV.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::List(texts) => Cow::Owned(texts.join(LABEL_SEPARATOR)),
            // Debug is the shortest text that reads back as the same number, with an exponent where that is shorter.
            Self::Number(number) => Cow::Owned(format!("{number:?}")),
            Self::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Self::Count(count) => Cow::Owned(count.to_string()),
            Self::Missing => Cow::Borrowed(""),
        }
    }

    /// For JSONL; a number that is not finite is null.
    pub(crate) fn json(&self) -> String {
        match self {
            Self::Text(text) => Value::from(*text).to_string(),
            Self::List(texts) => Value::from(texts.as_slice()).to_string(),
            Self::Number(number) if !number.is_finite() => "null".into(),
            Self::Missing => "null".into(),
            Self::Number(_) | Self::Flag(_) | Self::Count(_) => self.text().into_owned(),
        }
    }
}
