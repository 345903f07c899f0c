//! Compact rows of truth and scores for the metrics that need an order over all rows.

use rand_distr::{Distribution, Uniform};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use serde::Serialize;

use crate::averages::ratio;
use crate::ranking::{average_precision, roc_auc};

/// Memory for kept scores, in bytes: 33 million rows of two classes, or 2.3 million of 28.
pub const DEFAULT_SCORE_BUDGET: usize = 256 << 20;

/// Where the next row goes, so that at any time the kept rows are a uniform sample of those seen
/// (Vitter's algorithm R, 1985).
#[derive(Debug, Clone)]
pub(crate) struct Reservoir {
    capacity: usize,
    seen: u64,
    random: Pcg64,
}

/// What to do with a row.
pub(crate) enum Place {
    Append,
    Replace(usize),
    Skip,
}

impl Reservoir {
    pub(crate) fn new(budget: usize, bytes_a_row: usize, seed: u64) -> Self {
        let capacity = (budget / bytes_a_row.max(1)).max(1);
        Self { capacity, seen: 0, random: Pcg64::seed_from_u64(seed) }
    }

    pub(crate) fn place(&mut self) -> Place {
        self.seen += 1;
        if self.seen <= self.capacity as u64 {
            return Place::Append;
        }
        match Uniform::new(0, self.seen).map(|range| range.sample(&mut self.random)) {
            Ok(index) if index < self.capacity as u64 => Place::Replace(index as usize),
            _ => Place::Skip,
        }
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }
}

/// Truth and scores of rows: binary 8 bytes a row (u32 label, f32 score of class 1), `C` classes `4 + 4C`, `C`
/// labels of a multi-label task `C + 4C`. Past the budget a seeded uniform sample of the rows stays.
#[derive(Debug, Clone)]
pub struct ScoreRows {
    truth: Truth,
    columns: usize,
    scores: Vec<f32>,
    reservoir: Reservoir,
}

#[derive(Debug, Clone)]
enum Truth {
    Classes(Vec<u32>),
    Labels(Vec<bool>),
}

/// Order metrics of one class against the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OrderScores {
    /// Area under the ROC curve; `None` when no row or every row is of the class.
    pub roc_auc: Option<f64>,
    /// Area under the precision-recall curve; `None` when no row is of the class.
    pub average_precision: Option<f64>,
    /// Kept rows of the class.
    pub support: u64,
}

impl ScoreRows {
    /// Room for single-label rows of `classes` classes within `budget` bytes. Two classes keep one score.
    pub fn for_classes(classes: usize, budget: usize, seed: u64) -> Self {
        let columns = if classes == 2 { 1 } else { classes };
        let reservoir = Reservoir::new(budget, 4 + 4 * columns, seed);
        Self { truth: Truth::Classes(Vec::new()), columns, scores: Vec::new(), reservoir }
    }

    /// Room for multi-label rows of `labels` labels within `budget` bytes.
    pub fn for_labels(labels: usize, budget: usize, seed: u64) -> Self {
        let reservoir = Reservoir::new(budget, 5 * labels, seed);
        Self { truth: Truth::Labels(Vec::new()), columns: labels, scores: Vec::new(), reservoir }
    }

    /// Rows that came in.
    pub fn seen(&self) -> u64 {
        self.reservoir.seen()
    }

    /// Rows kept; fewer than [`Self::seen`] once the budget is used up.
    pub fn kept(&self) -> u64 {
        (self.scores.len() / self.columns.max(1)) as u64
    }

    /// `probabilities` has shape `[classes]` and no NaN; `label` is below `classes`.
    pub(crate) fn push_class(&mut self, label: u32, probabilities: &[f32]) {
        let place = self.reservoir.place();
        if let Truth::Classes(labels) = &mut self.truth {
            put(labels, &place, &[label]);
        }
        let skipped = probabilities.len() - self.columns;
        put(&mut self.scores, &place, &probabilities[skipped..]);
    }

    /// Both of shape `[labels]`, no NaN.
    pub(crate) fn push_labels(&mut self, labels: &[bool], probabilities: &[f32]) {
        let place = self.reservoir.place();
        if let Truth::Labels(flags) = &mut self.truth {
            put(flags, &place, labels);
        }
        put(&mut self.scores, &place, probabilities);
    }

    /// ROC-AUC and average precision of each column against the rest; for two classes one entry, class 1.
    pub fn order_scores(&self) -> Vec<OrderScores> {
        (0..self.columns)
            .map(|column| {
                let mut rows = self.column(column);
                OrderScores {
                    roc_auc: roc_auc(&mut rows),
                    average_precision: average_precision(&mut rows),
                    support: rows.iter().filter(|row| row.0).count() as u64,
                }
            })
            .collect()
    }

    fn column(&self, column: usize) -> Vec<(bool, f32)> {
        let class = if self.columns == 1 && matches!(self.truth, Truth::Classes(_)) { 1 } else { column as u32 };
        let scores = self.scores.iter().skip(column).step_by(self.columns.max(1)).copied();
        match &self.truth {
            Truth::Classes(labels) => labels.iter().map(|&label| label == class).zip(scores).collect(),
            Truth::Labels(flags) => flags.iter().skip(column).step_by(self.columns).copied().zip(scores).collect(),
        }
    }
}

/// Writes one row of `row.len()` values where the reservoir said.
fn put<T: Copy>(values: &mut Vec<T>, place: &Place, row: &[T]) {
    match *place {
        Place::Append => values.extend_from_slice(row),
        Place::Replace(index) => values[index * row.len()..][..row.len()].copy_from_slice(row),
        Place::Skip => {}
    }
}

/// Mean of the defined values, each with its weight; `None` when none is defined.
pub(crate) fn mean_of_defined(values: impl Iterator<Item = (Option<f64>, f64)>) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (value, weight) in values {
        if let Some(value) = value {
            sum += weight * value;
            weights += weight;
        }
    }
    (weights > 0.0).then(|| ratio(sum, weights))
}
