//! The rule by which one label of a dataset becomes a class id or a number, for whole datasets and for single rows.

use super::align::DatasetLabel;
use super::{LabelSet, ProblemType, Target};
use crate::error::{DataError, Location};

/// What `datasets` writes for the label of an unlabelled row.
pub(super) const UNLABELLED: &str = "-1";

/// What the files and the user say about the names of labels.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelRule {
    /// The class names that the files themselves give; their labels are ids of them.
    pub(super) class_names: Option<Vec<String>>,
    /// `--label-map`: from a dataset's label to another name.
    pub(super) renamed: Vec<(String, String)>,
}

impl LabelRule {
    /// The name that `--label-map` gives to a label: the exact one, else one that differs in case alone.
    pub(super) fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        let exact = self.renamed.iter().find(|(from, _)| from == name);
        let found = exact.or_else(|| self.renamed.iter().find(|(from, _)| from.to_lowercase() == name.to_lowercase()));
        found.map_or(name, |(_, to)| to.as_str())
    }

    /// Whether -1 means that there is no label: the classes have other names. `alone` is said where the names are not
    /// known.
    pub(super) fn has_unlabelled_mark(&self, known: Option<&LabelSet>, alone: bool) -> bool {
        let is_no_class = known.map_or(alone, |known| known.position(UNLABELLED).is_err());
        !self.names_mark() && (self.class_names.is_some() || is_no_class)
    }

    /// Whether `--label-map` says what -1 is.
    pub(super) fn names_mark(&self) -> bool {
        self.renamed.iter().any(|(from, _)| from == UNLABELLED)
    }

    /// The class id of a label, which stands at `at`.
    pub(super) fn class_id(&self, label: &str, at: &Location, labels: &LabelSet) -> Result<u32, DataError> {
        let refuse = |problem: String, known: &str| DataError::Label {
            at: at.clone(),
            value: label.into(),
            problem: problem.into(),
            known: known.into(),
        };
        let whole = whole_number(label).map(|number| number.to_string());
        let Some(names) = &self.class_names else {
            let align = |value: &str| labels.align(DatasetLabel::Value(self.renamed(value)));
            let by_name = align(label);
            // As it stands first: `1.0` may be a name.
            let id = by_name.or_else(|problem| whole.and_then(|number| align(&number).ok()).ok_or(problem));
            return id.map_err(|problem| refuse(problem, &labels.describe()));
        };
        let by_id = whole.and_then(|number| number.parse().ok()).filter(|&id: &u32| (id as usize) < names.len());
        let by_name = || names.iter().position(|name| name == label).map(|at| at as u32);
        let Some(id) = by_id.or_else(by_name) else {
            let problem = format!("is not one of the file's {} classes", names.len());
            return Err(refuse(problem, &names.join(", ")));
        };
        let name = self.renamed(&names[id as usize]);
        let named = DatasetLabel::Named { name, id, count: names.len() };
        labels
            .align(named)
            .map_err(|problem| refuse(format!("is named `{name}` in the file, which {problem}"), &labels.describe()))
    }

    /// The class id of every column of 0 and 1.
    pub(super) fn flag_ids(&self, columns: &[String], labels: &LabelSet) -> Result<Vec<u32>, DataError> {
        let id = |name: &String| {
            let name = self.renamed(name);
            labels.position(name).map_err(|problem| DataError::LabelSet {
                problem: format!("column `{name}` {problem}: {}", labels.describe()),
            })
        };
        columns.iter().map(id).collect()
    }
}

/// The number that a label of a regression is, which stands at `at`.
pub(super) fn score(label: &str, at: &Location) -> Result<f32, DataError> {
    let problem = match label.parse::<f32>() {
        Ok(score) if score.is_finite() => return Ok(score),
        Ok(_) => "is no finite 32-bit number",
        Err(_) => "is no number",
    };
    let problem = format!("the label `{label}` {problem}, as regression needs");
    Err(DataError::Cell { at: at.clone(), problem })
}

/// The target of several labels.
pub(super) fn multi(on: impl IntoIterator<Item = u32>, labels: &LabelSet) -> Target {
    let mut flags = vec![false; labels.len()];
    on.into_iter().for_each(|id| flags[id as usize] = true);
    Target::Multi(flags)
}

/// What is said of several labels where the problem type has one.
pub(super) fn list_refused(problem_type: ProblemType) -> &'static str {
    match problem_type {
        ProblemType::Regression => "a row has a list of labels, but the problem type is regression",
        _ => {
            "a row has a list of labels, but the problem type is single_label_classification\n\
             hint: pass --problem-type multi_label_classification"
        }
    }
}

/// A label of 0 or 1 in a list that has one for every label.
pub(super) fn flag_value(label: &str) -> Option<bool> {
    match label {
        "0" | "false" => Some(false),
        "1" | "true" => Some(true),
        _ => None,
    }
}

/// A whole number, also as pandas writes ids next to a missing one: `1.0`.
pub(super) fn whole_number(label: &str) -> Option<i64> {
    let number: f64 = label.parse().ok()?;
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}
