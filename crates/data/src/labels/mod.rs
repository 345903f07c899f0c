//! Label names, what a label can be, and how labels of a dataset become class ids.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

pub(crate) mod align;
pub(crate) mod collect;
mod infer;
pub(crate) mod reader;
mod rule;
pub(crate) mod value;

/// More labels than this are a mistake about the column, such as an id taken for a label.
const MAX_LABELS: usize = 10_000;

/// The names of a classifier's labels; the id of a label is its index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct LabelSet {
    names: Vec<String>,
}

impl LabelSet {
    /// A set of names in the order of their ids.
    ///
    /// # Errors
    /// No name, an empty name, the same name twice, or more than 10,000 names.
    pub fn new(names: Vec<String>) -> Result<Self, DataError> {
        let refuse = |problem: String| Err(DataError::LabelSet { problem });
        if names.is_empty() {
            return refuse("there is no label".into());
        }
        if names.len() > MAX_LABELS {
            let problem = "different labels are more than a classifier of texts has\nhint: is it the right label column? \
                           numbers to be predicted as such need --problem-type regression";
            return refuse(format!("{} {problem}", names.len()));
        }
        let mut seen = HashSet::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return refuse(format!("label {index} has an empty name"));
            }
            if !seen.insert(name) {
                return refuse(format!("`{name}` is there twice"));
            }
        }
        Ok(Self { names })
    }

    /// Names in the order in which labels get their ids: numbers by value (`2` before `10`), else by code point.
    ///
    /// # Errors
    /// As [`LabelSet::new`].
    pub fn sorted(mut names: Vec<String>) -> Result<Self, DataError> {
        let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
        match numbers {
            Some(numbers) if numbers.iter().all(|number| number.is_finite()) => {
                let mut pairs: Vec<(f64, String)> = numbers.into_iter().zip(names).collect();
                pairs.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
                names = pairs.into_iter().map(|(_, name)| name).collect();
            }
            _ => names.sort(),
        }
        names.dedup();
        Self::new(names)
    }

    /// The names in the order of their ids.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of labels, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a label set is never empty")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The name of a class id.
    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(String::as_str)
    }
}

impl TryFrom<Vec<String>> for LabelSet {
    type Error = DataError;

    fn try_from(names: Vec<String>) -> Result<Self, DataError> {
        Self::new(names)
    }
}

impl From<LabelSet> for Vec<String> {
    fn from(labels: LabelSet) -> Self {
        labels.names
    }
}

/// What a classifier is asked for; named as in `problem_type` of Hugging Face's `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// Exactly one label a text (softmax, cross-entropy).
    SingleLabelClassification,
    /// Any number of labels a text (sigmoid, binary cross-entropy).
    MultiLabelClassification,
    /// A number (mean squared error).
    Regression,
}

/// The label of an example.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A class id.
    Class(u32),
    /// For every label whether it applies.
    Multi(Vec<bool>),
    /// A finite number.
    Score(f32),
    /// No label.
    Unlabelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        LabelSet::sorted(names.iter().map(|&name| name.to_owned()).collect()).unwrap().names
    }

    #[test]
    fn numeric_labels_sort_by_value() {
        assert_eq!(sorted(&["10", "2", "1"]), ["1", "2", "10"]);
        assert_eq!(sorted(&["1", "0", "-1"]), ["-1", "0", "1"]);
    }

    #[test]
    fn other_labels_sort_by_code_point() {
        assert_eq!(sorted(&["true", "false"]), ["false", "true"]);
        assert_eq!(sorted(&["é", "z", "Z", "10", "2"]), ["10", "2", "Z", "z", "é"]);
        assert_eq!(sorted(&["nan", "1"]), ["1", "nan"]);
    }

    #[test]
    fn repeated_and_empty_names_are_refused() {
        assert!(LabelSet::new(vec!["a".into(), "a".into()]).is_err());
        assert!(LabelSet::new(vec!["a".into(), String::new()]).is_err());
        assert!(LabelSet::new(vec![]).is_err());
    }

    #[test]
    fn problem_types_are_spelled_as_in_config_json() {
        let spelled = |problem: ProblemType| serde_json::to_string(&problem).unwrap();
        assert_eq!(spelled(ProblemType::SingleLabelClassification), "\"single_label_classification\"");
        assert_eq!(spelled(ProblemType::MultiLabelClassification), "\"multi_label_classification\"");
        assert_eq!(spelled(ProblemType::Regression), "\"regression\"");
    }
}
