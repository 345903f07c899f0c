//! The report as aligned text.

use std::fmt;

use crate::table::{Table, grouped};
use crate::{Average, ClassReport, ClassScores, ConfusionMatrix, EvaluationReport, ProblemType, Reliability};

use super::Number;

/// Labels up to which the whole confusion matrix fits a terminal.
const MATRIX_LABELS: usize = 8;

/// Mistakes that are listed where it does not.
const LISTED_PAIRS: usize = 12;

impl fmt::Display for EvaluationReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.number_table())?;
        if let Some(classes) = &self.classes {
            write!(formatter, "\n{}", self.class_table(classes))?;
        }
        if let Some(confusion) = &self.confusion {
            self.write_confusion(confusion, formatter)?;
        }
        if let Some(line) = self.reliability.as_ref().and_then(reliability_line) {
            write!(formatter, "\n{line}\n")?;
        }
        if !self.slices.is_empty() {
            write!(formatter, "\n{}", self.slice_table())?;
        }
        if !self.notes.is_empty() {
            writeln!(formatter)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(formatter, "note: {note}"))
    }
}

impl EvaluationReport {
    /// Every number but those of the class table, with its interval.
    fn number_table(&self) -> Table {
        let mut table = Table::new(&["metric", "value", "95 % interval", ""]);
        for (key, number) in &self.numbers {
            let interval = self.intervals.iter().find(|interval| interval.metric == *key);
            let in_class_table =
                ["eval_precision", "eval_recall", "eval_f1"].iter().any(|prefix| key.starts_with(prefix));
            let row_metric = self.classes.is_none() || !in_class_table || interval.is_some();
            if !row_metric || (key == "eval_nan_predictions" && *number == Number::Count(0)) {
                continue;
            }
            let bounds = interval.map(|interval| format!("[{:.4}, {:.4}]", interval.bounds.low, interval.bounds.high));
            let method = interval.map_or("", |interval| interval.method);
            table.row(&[self.title(key), shown(*number), bounds.unwrap_or_default(), method.to_owned()]);
        }
        table
    }

    fn title(&self, key: &str) -> String {
        match (key, self.tweeteval) {
            ("eval_tweeteval", Some(task)) => format!("TweetEval ({})", task.metric()),
            _ => key.strip_prefix("eval_").unwrap_or(key).to_owned(),
        }
    }

    fn class_table(&self, classes: &ClassReport) -> Table {
        let mut heading = vec!["label", "precision", "recall", "f1-score", "support"];
        heading.extend((!self.order.is_empty()).then_some("ROC-AUC"));
        let mut table = Table::new(&heading);
        let mut row = |name: &str, scores: ClassScores, class: Option<usize>| {
            let ClassScores { precision, recall, f1, support } = scores;
            let numbers = [precision, recall, f1].map(|number| format!("{number:.4}"));
            let order = class.and_then(|class| self.order.get(class));
            let order: Vec<String> = order.map(|order| shown(Number::Score(order.roc_auc))).into_iter().collect();
            table.row(&[&[name.to_owned()], numbers.as_slice(), &[grouped(support)], &order].concat());
        };
        for (class, scores) in classes.classes() {
            row(self.labels.get(class).map_or("", String::as_str), scores, Some(class));
        }
        if self.problem_type == ProblemType::MultiLabel || classes.counts().len() > 2 {
            row("micro avg", classes.average(Average::Micro), None);
        }
        row("macro avg", classes.average(Average::Macro), None);
        row("weighted avg", classes.average(Average::Weighted), None);
        if let Some(samples) = self.samples {
            row("samples avg", samples, None);
        }
        table
    }

    fn write_confusion(&self, confusion: &ConfusionMatrix, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.len() <= MATRIX_LABELS {
            let undecided = confusion.undecided() > 0;
            let mut heading = vec!["true \\ predicted".to_owned()];
            heading.extend(self.labels.iter().cloned());
            heading.extend(undecided.then(|| "(NaN)".to_owned()));
            let mut table = Table::new(&heading);
            for (label, (name, counts)) in self.labels.iter().zip(confusion.dense()).enumerate() {
                let mut row = vec![name.clone()];
                row.extend(counts.into_iter().map(grouped));
                row.extend(undecided.then(|| grouped(confusion.count(label as u32, None))));
                table.row(&row);
            }
            return write!(formatter, "\n{table}");
        }
        let mut table = Table::new(&["most confused: true", "predicted", "rows"]);
        for (label, prediction, count) in self.most_confused(LISTED_PAIRS) {
            table.row(&[label.to_owned(), prediction.to_owned(), grouped(count)]);
        }
        write!(formatter, "\n{table}")
    }

    fn slice_table(&self) -> Table {
        let mut table = Table::new(&["slice", "rows", "accuracy", "95 % interval", "macro F1"]);
        let mut group = None;
        for slice in &self.slices {
            if group.replace(&slice.group).is_some_and(|previous| *previous != slice.group) {
                table.gap();
            }
            let bounds = slice.accuracy_interval.map(|bounds| format!("[{:.4}, {:.4}]", bounds.low, bounds.high));
            table.row(&[
                slice.name.clone(),
                grouped(slice.rows),
                shown(Number::Score(slice.accuracy)),
                bounds.unwrap_or_default(),
                shown(Number::Score(Some(slice.f1_macro))),
            ]);
        }
        table
    }
}

fn shown(number: Number) -> String {
    match number {
        Number::Count(count) => grouped(count),
        Number::Score(Some(score)) => format!("{score:.4}"),
        Number::Score(None) => "undefined".to_owned(),
    }
}

fn reliability_line(reliability: &Reliability) -> Option<String> {
    let error = reliability.expected_calibration_error()?;
    let confidence = reliability.mean_confidence()?;
    let correct: u64 = reliability.bins().iter().map(|bin| bin.correct).sum();
    let accuracy = correct as f64 / reliability.rows() as f64;
    let kind = if confidence > accuracy { "over-confident" } else { "under-confident" };
    Some(format!(
        "reliability: ECE {error:.4} over {} bins; mean confidence {confidence:.4} against accuracy {accuracy:.4} ({kind})",
        reliability.bins().len()
    ))
}
