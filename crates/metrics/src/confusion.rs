//! The confusion matrix: integer counts of (label, prediction), the sufficient statistic of most metrics here.

use std::collections::BTreeMap;

use crate::MetricsError;
use crate::averages::{ClassReport, Counts};

/// Counts of true label against prediction, where "no prediction" (NaN scores) is a column of its own.
///
/// Only non-empty cells are kept, in a fixed order, so memory is bounded by rows and by classes squared alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    rows: u64,
    cells: BTreeMap<Cell, u64>,
}

/// A place in the matrix. Without a `prediction` the scores held NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// True class id.
    pub label: u32,
    /// Predicted class id.
    pub prediction: Option<u32>,
}

/// A kind of mistake and how often it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfusionPair {
    /// True class id.
    pub label: u32,
    /// Predicted class id.
    pub prediction: u32,
    /// Rows.
    pub count: u64,
}

impl ConfusionMatrix {
    /// An empty matrix of `classes` by `classes`.
    pub fn new(classes: usize) -> Self {
        Self { classes, rows: 0, cells: BTreeMap::new() }
    }

    /// Counts one row.
    ///
    /// # Errors
    /// [`MetricsError::LabelOutOfRange`] when either id is not below the number of classes.
    pub fn push(&mut self, label: u32, prediction: Option<u32>) -> Result<(), MetricsError> {
        for id in std::iter::once(label).chain(prediction) {
            if id as usize >= self.classes {
                return Err(MetricsError::LabelOutOfRange { row: self.rows, label: id, classes: self.classes });
            }
        }
        *self.cells.entry(Cell { label, prediction }).or_insert(0) += 1;
        self.rows += 1;
        Ok(())
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The non-empty cells by label, then prediction (none first).
    pub fn cells(&self) -> impl Iterator<Item = (Cell, u64)> + '_ {
        self.cells.iter().map(|(&cell, &count)| (cell, count))
    }

    /// Rows of `label` predicted as `prediction`.
    pub fn count(&self, label: u32, prediction: Option<u32>) -> u64 {
        self.cells.get(&Cell { label, prediction }).copied().unwrap_or(0)
    }

    /// Rows predicted rightly: the integer to compare when choosing a best checkpoint.
    pub fn correct(&self) -> u64 {
        self.cells().filter(|(cell, _)| cell.prediction == Some(cell.label)).map(|(_, count)| count).sum()
    }

    /// Rows without a prediction because a score was NaN.
    pub fn undecided(&self) -> u64 {
        self.cells().filter(|(cell, _)| cell.prediction.is_none()).map(|(_, count)| count).sum()
    }

    /// `correct / rows`; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.correct() as f64 / self.rows as f64)
    }

    /// True positives, false positives and false negatives of each class, shape `[classes]`.
    pub fn counts(&self) -> Vec<Counts> {
        counts_of(self.classes, self.cells())
    }

    /// Per-class precision, recall, F1, support and their averages.
    pub fn report(&self) -> ClassReport {
        ClassReport::new(self.counts())
    }

    /// Counts as a dense row-major table, `[classes][classes]`, rows true and columns predicted; the rows
    /// without a prediction are left out.
    pub fn dense(&self) -> Vec<Vec<u64>> {
        let mut table = vec![vec![0; self.classes]; self.classes];
        for (cell, count) in self.cells() {
            if let Some(prediction) = cell.prediction {
                table[cell.label as usize][prediction as usize] = count;
            }
        }
        table
    }

    /// The `limit` most frequent mistakes, most frequent first, equals by label then prediction.
    pub fn most_confused(&self, limit: usize) -> Vec<ConfusionPair> {
        let mut pairs: Vec<_> = self
            .cells()
            .filter_map(|(cell, count)| {
                let prediction = cell.prediction.filter(|&prediction| prediction != cell.label)?;
                Some(ConfusionPair { label: cell.label, prediction, count })
            })
            .collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.count));
        pairs.truncate(limit);
        pairs
    }
}

/// Counts a class from any weighting of the cells (the rows seen, or a bootstrap draw of them).
pub(crate) fn counts_of(classes: usize, cells: impl Iterator<Item = (Cell, u64)>) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); classes];
    for (cell, count) in cells {
        let (label, prediction) = (cell.label as usize, cell.prediction.map(|id| id as usize));
        if prediction == Some(label) {
            counts[label].true_positives += count;
            continue;
        }
        counts[label].false_negatives += count;
        if let Some(prediction) = prediction {
            counts[prediction].false_positives += count;
        }
    }
    counts
}
