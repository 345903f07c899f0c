//! Evaluation of multi-label classification, row by row.

use crate::averages::ratio;
use crate::score::{DEFAULT_THRESHOLD, probabilities};
use crate::{Bootstrap, ClassReport, ClassScores, Counts, DEFAULT_SCORE_BUDGET, MetricsError, ProblemType, ScoreRows};
use crate::{label_ranking_average_precision, score};

/// Thresholds and memory.
#[derive(Debug, Clone)]
pub struct MultiLabelOptions {
    /// One a label, or empty for 0.5 everywhere. A label is predicted when its probability is strictly above.
    pub thresholds: Vec<f32>,
    /// Bytes for the scores that ROC-AUC and average precision need.
    pub score_budget: usize,
    /// Seed for sampling scores past the budget.
    pub bootstrap: Bootstrap,
}

impl Default for MultiLabelOptions {
    fn default() -> Self {
        Self { thresholds: Vec::new(), score_budget: DEFAULT_SCORE_BUDGET, bootstrap: Bootstrap::default() }
    }
}

/// Accumulates rows of any number of labels each.
#[derive(Debug, Clone)]
pub struct MultiLabel {
    pub(crate) labels: Vec<String>,
    pub(crate) scores: ScoreRows,
    thresholds: Vec<f32>,
    counts: Vec<Counts>,
    sums: Sums,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    rows: u64,
    undecided: u64,
    exact: u64,
    wrong_labels: u64,
    samples: ClassScores,
    ranking: f64,
    loss: f64,
}

/// Metrics of whole rows; those of labels are in [`MultiLabel::report`]. `None` without rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiLabelScores {
    /// Rows seen.
    pub rows: u64,
    /// Rows with a NaN score: no label predicted, not exact, every label wrong, ranking 0.
    pub undecided: u64,
    /// Rows with every label right: the integer to select checkpoints by.
    pub exact: u64,
    /// Share of rows with every label right.
    pub subset_accuracy: Option<f64>,
    /// Share of (row, label) decisions that are wrong.
    pub hamming_loss: Option<f64>,
    /// Mean label ranking average precision.
    pub ranking_average_precision: Option<f64>,
    /// Mean over the rows of each row's precision, recall and F1 (0 for 0/0). Support is the true labels.
    pub samples: Option<ClassScores>,
    /// Mean binary cross entropy of a decision in nats, over the rows without NaN.
    pub binary_cross_entropy: Option<f64>,
}

impl MultiLabel {
    /// `labels` are the names in the order of their ids.
    ///
    /// # Errors
    /// [`MetricsError::TooFewLabels`] without any; [`MetricsError::WrongLength`] or [`MetricsError::BadThreshold`] for
    /// thresholds that do not fit.
    pub fn new(labels: &[String], options: MultiLabelOptions) -> Result<Self, MetricsError> {
        if labels.is_empty() {
            return Err(MetricsError::TooFewLabels { count: 0, least: 1 });
        }
        let mut thresholds = options.thresholds;
        if thresholds.is_empty() {
            thresholds = vec![DEFAULT_THRESHOLD; labels.len()];
        }
        expect_length(0, "thresholds", thresholds.len(), labels.len())?;
        if let Some(label) = thresholds.iter().position(|value| !(0.0..=1.0).contains(value)) {
            return Err(MetricsError::BadThreshold { label, value: thresholds[label] });
        }
        Ok(Self {
            labels: labels.to_vec(),
            scores: ScoreRows::for_labels(labels.len(), options.score_budget, options.bootstrap.seed),
            thresholds,
            counts: vec![Counts::default(); labels.len()],
            sums: Sums::default(),
        })
    }

    /// Adds a row: `truth` and `logits` of shape `[labels]`.
    ///
    /// # Errors
    /// [`MetricsError::WrongLength`]; the row is then not counted.
    pub fn push_logits(&mut self, truth: &[bool], logits: &[f32]) -> Result<(), MetricsError> {
        self.check(truth, logits)?;
        let losses = truth.iter().zip(logits).map(|(&label, &logit)| score::logistic_loss(label, logit));
        let loss = losses.sum::<f64>() / logits.len() as f64;
        self.record(truth, &probabilities(ProblemType::MultiLabel, logits), loss);
        Ok(())
    }

    /// Adds a row: `truth` and `probabilities` of shape `[labels]`.
    ///
    /// # Errors
    /// [`MetricsError::WrongLength`]; the row is then not counted.
    pub fn push_probabilities(&mut self, truth: &[bool], probabilities: &[f32]) -> Result<(), MetricsError> {
        self.check(truth, probabilities)?;
        let losses = truth.iter().zip(probabilities).map(|(&label, &score)| {
            let likelihood = if label { score } else { 1.0 - score };
            -f64::from(likelihood.max(f32::EPSILON)).ln()
        });
        let loss = losses.sum::<f64>() / probabilities.len() as f64;
        self.record(truth, probabilities, loss);
        Ok(())
    }

    fn check(&self, truth: &[bool], scores: &[f32]) -> Result<(), MetricsError> {
        expect_length(self.sums.rows, "labels", truth.len(), self.labels.len())?;
        expect_length(self.sums.rows, "scores", scores.len(), self.labels.len())
    }

    fn record(&mut self, truth: &[bool], probabilities: &[f32], loss: f64) {
        self.sums.rows += 1;
        if probabilities.iter().any(|score| score.is_nan()) {
            self.sums.undecided += 1;
            self.sums.wrong_labels += truth.len() as u64;
            for (counts, &label) in self.counts.iter_mut().zip(truth) {
                counts.false_negatives += u64::from(label);
            }
            return;
        }
        let mut row = Counts::default();
        let decisions = probabilities.iter().zip(&self.thresholds).map(|(score, threshold)| score > threshold);
        for ((counts, &label), chosen) in self.counts.iter_mut().zip(truth).zip(decisions) {
            let decision = Counts {
                true_positives: u64::from(label && chosen),
                false_positives: u64::from(!label && chosen),
                false_negatives: u64::from(label && !chosen),
            };
            *counts += decision;
            row += decision;
        }
        let wrong = row.false_positives + row.false_negatives;
        let scores = row.scores();
        self.sums.exact += u64::from(wrong == 0);
        self.sums.wrong_labels += wrong;
        self.sums.samples.precision += scores.precision;
        self.sums.samples.recall += scores.recall;
        self.sums.samples.f1 += scores.f1;
        self.sums.ranking += label_ranking_average_precision(truth, probabilities);
        self.sums.loss += loss;
        self.scores.push_labels(truth, probabilities);
    }

    /// Precision, recall and F1 of each label and their averages over all labels.
    pub fn report(&self) -> ClassReport {
        ClassReport::over_every_class(self.counts.clone())
    }

    /// The scores kept for ROC-AUC and average precision of each label.
    pub fn scores(&self) -> &ScoreRows {
        &self.scores
    }

    /// Metrics of whole rows.
    pub fn row_scores(&self) -> MultiLabelScores {
        let Sums { rows, undecided, exact, wrong_labels, samples, ranking, loss } = self.sums;
        let over_rows = |sum: f64| (rows > 0).then(|| sum / rows as f64);
        let support = self.counts.iter().map(Counts::support).sum();
        let divide = |sum: f64| ratio(sum, rows as f64);
        let samples = ClassScores {
            precision: divide(samples.precision),
            recall: divide(samples.recall),
            f1: divide(samples.f1),
            support,
        };
        MultiLabelScores {
            rows,
            undecided,
            exact,
            subset_accuracy: over_rows(exact as f64),
            hamming_loss: over_rows(wrong_labels as f64 / self.labels.len() as f64),
            ranking_average_precision: over_rows(ranking),
            samples: (rows > 0).then_some(samples),
            binary_cross_entropy: (rows > undecided).then(|| loss / (rows - undecided) as f64),
        }
    }
}

fn expect_length(row: u64, what: &'static str, found: usize, expected: usize) -> Result<(), MetricsError> {
    if found == expected { Ok(()) } else { Err(MetricsError::WrongLength { row, what, found, expected }) }
}
