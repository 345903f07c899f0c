//! The report as a JSON object.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{Average, ClassReport, ClassScores, EvaluationReport, ProblemType};

/// Labels up to which the whole confusion matrix is written; beyond, its most confused pairs alone.
const DENSE_LABELS: usize = 256;

/// Mistakes that are listed.
const LISTED_PAIRS: usize = 50;

impl Serialize for EvaluationReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, number) in &self.numbers {
            map.serialize_entry(key, number)?;
        }
        map.serialize_entry("problem_type", &self.problem_type)?;
        if let Some(task) = self.tweeteval {
            map.serialize_entry("tweeteval_task", &task)?;
        }
        if let Some(classes) = &self.classes {
            map.serialize_entry("classification_report", &Layout { report: self, classes })?;
        }
        if !self.order.is_empty() {
            map.serialize_entry("per_label", &PerLabel(self))?;
        }
        if let Some(confusion) = &self.confusion {
            if self.labels.len() <= DENSE_LABELS {
                map.serialize_entry("confusion_matrix", &Matrix { labels: &self.labels, rows: confusion.dense() })?;
            }
            let pairs =
                self.most_confused(LISTED_PAIRS).map(|(label, prediction, count)| Pair { label, prediction, count });
            map.serialize_entry("most_confused", &pairs.collect::<Vec<_>>())?;
        }
        map.serialize_entry("confidence_intervals", &self.intervals)?;
        if let Some(reliability) = &self.reliability {
            map.serialize_entry("reliability", reliability.bins())?;
        }
        if !self.slices.is_empty() {
            map.serialize_entry("slices", &self.slices)?;
        }
        map.serialize_entry("notes", &self.notes)?;
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Matrix<'a> {
    labels: &'a [String],
    rows: Vec<Vec<u64>>,
}

#[derive(serde::Serialize)]
struct Pair<'a> {
    label: &'a str,
    prediction: &'a str,
    count: u64,
}

/// `classification_report(..., output_dict=True)`.
struct Layout<'a> {
    report: &'a EvaluationReport,
    classes: &'a ClassReport,
}

#[derive(serde::Serialize)]
struct Scores {
    precision: f64,
    recall: f64,
    #[serde(rename = "f1-score")]
    f1: f64,
    support: u64,
}

impl From<ClassScores> for Scores {
    fn from(ClassScores { precision, recall, f1, support }: ClassScores) -> Self {
        Self { precision, recall, f1, support }
    }
}

impl Serialize for Layout<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (class, scores) in self.classes.classes() {
            map.serialize_entry(&self.report.label_key(class), &Scores::from(scores))?;
        }
        let average = |average| Scores::from(self.classes.average(average));
        if self.report.problem_type == ProblemType::SingleLabel {
            map.serialize_entry("accuracy", &self.report.get("eval_accuracy"))?;
        } else {
            map.serialize_entry("micro avg", &average(Average::Micro))?;
        }
        map.serialize_entry("macro avg", &average(Average::Macro))?;
        map.serialize_entry("weighted avg", &average(Average::Weighted))?;
        if let Some(samples) = self.report.samples {
            map.serialize_entry("samples avg", &Scores::from(samples))?;
        }
        map.end()
    }
}

/// ROC-AUC and average precision by label.
struct PerLabel<'a>(&'a EvaluationReport);

impl Serialize for PerLabel<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.order.iter().enumerate().map(|(class, scores)| (self.0.label_key(class), scores)))
    }
}

impl EvaluationReport {
    /// The label's name, or `name (label 3)` where that would repeat another key of the object.
    fn label_key(&self, class: usize) -> String {
        const RESERVED: [&str; 5] = ["accuracy", "micro avg", "macro avg", "weighted avg", "samples avg"];
        let labels = &self.labels;
        let name = labels.get(class).map_or("", String::as_str);
        let repeated = labels.iter().filter(|label| *label == name).count() > 1;
        if repeated || RESERVED.contains(&name) { format!("{name} (label {class})") } else { name.to_owned() }
    }
}
