//! The evaluation report: every number under its Hugging Face or scikit-learn name, for machines and for eyes.

mod assemble;
mod json;
mod render;

use serde::Serialize;

use crate::{
    ClassReport, ConfusionMatrix, ConfusionPair, Interval, OrderScores, ProblemType, Reliability, SliceScores, Slices,
};
use crate::{TweetEvalTask, table::grouped};

/// A finished evaluation. [`Display`](std::fmt::Display) gives a table, `serde` a JSON object: `eval_*` numbers first, then
/// `classification_report` (scikit-learn's `output_dict` layout), `confusion_matrix`, `most_confused`,
/// `per_label` (ROC-AUC, average precision), `confidence_intervals`, `reliability`, `slices` and `notes`, each where it exists. Undefined numbers are `null`.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationReport {
    problem_type: ProblemType,
    labels: Vec<String>,
    numbers: Vec<(String, Number)>,
    intervals: Vec<NamedInterval>,
    classes: Option<ClassReport>,
    samples: Option<crate::ClassScores>,
    /// One a label, or empty where the two classes share one.
    order: Vec<OrderScores>,
    confusion: Option<ConfusionMatrix>,
    reliability: Option<Reliability>,
    tweeteval: Option<TweetEvalTask>,
    slices: Vec<SliceScores>,
    notes: Vec<String>,
}

/// A 95 % interval of a number in the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedInterval {
    /// Key of the number, e.g. `eval_accuracy`.
    pub metric: String,
    /// `bootstrap` or `wilson`.
    pub method: &'static str,
    /// The bounds.
    #[serde(flatten)]
    pub bounds: Interval,
}

/// Counts stay integers in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
enum Number {
    Count(u64),
    Score(Option<f64>),
}

impl EvaluationReport {
    /// A number by its key, e.g. `eval_f1_macro`; `None` when it is unknown or undefined.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.numbers().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The defined numbers, in order, for a log line or an event file.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, f64)> + '_ {
        self.numbers.iter().filter_map(|(name, number)| match *number {
            Number::Count(count) => Some((name.as_str(), count as f64)),
            Number::Score(score) => score.map(|score| (name.as_str(), score)),
        })
    }

    /// The 95 % intervals.
    pub fn intervals(&self) -> &[NamedInterval] {
        &self.intervals
    }

    /// What a reader must know to judge the numbers (NaN predictions, sampled rows, absent classes).
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Adds the loss that was trained on, as `eval_loss`, before the other numbers.
    #[must_use]
    pub fn with_loss(mut self, loss: f64) -> Self {
        self.numbers.insert(0, ("eval_loss".to_owned(), Number::Score(Some(loss))));
        self
    }

    /// Adds metrics of parts of the data.
    #[must_use]
    pub fn with_slices(mut self, slices: &Slices) -> Self {
        self.slices.extend(slices.scores());
        self
    }

    /// Adds how many texts were longer than the model reads, as `eval_truncated`.
    #[must_use]
    pub fn with_truncated(mut self, rows: u64) -> Self {
        self.numbers.push(("eval_truncated".to_owned(), Number::Count(rows)));
        if rows > 0 {
            self.notes.push(format!("Texts cut to fit the model, which saw only a part of them: {}.", grouped(rows)));
        }
        self
    }

    /// The most frequent mistakes with their label names.
    fn most_confused(&self, limit: usize) -> impl Iterator<Item = (&str, &str, u64)> + '_ {
        let pairs = self.confusion.iter().flat_map(move |confusion| confusion.most_confused(limit));
        let name = |id: u32| self.labels.get(id as usize).map_or("", String::as_str);
        pairs.map(move |ConfusionPair { label, prediction, count }| (name(label), name(prediction), count))
    }
}
