//! Precision, recall and F1 of classes, and their macro, micro and weighted averages.

use std::ops::AddAssign;

/// How the predictions of one class or label turned out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of the class, predicted so.
    pub true_positives: u64,
    /// Rows predicted so that are not of the class.
    pub false_positives: u64,
    /// Rows of the class that were not predicted so.
    pub false_negatives: u64,
}

impl Counts {
    /// Rows whose label is this class.
    pub fn support(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Neither in the labels nor in the predictions.
    pub fn is_absent(&self) -> bool {
        *self == Self::default()
    }

    /// Precision, recall and F1 with 0 for 0/0 (`zero_division=0`). F1 is `2 TP / (2 TP + FP + FN)`.
    pub fn scores(&self) -> ClassScores {
        let (positives, false_positives) = (self.true_positives as f64, self.false_positives as f64);
        let false_negatives = self.false_negatives as f64;
        ClassScores {
            precision: ratio(positives, positives + false_positives),
            recall: ratio(positives, positives + false_negatives),
            f1: ratio(2.0 * positives, 2.0 * positives + false_positives + false_negatives),
            support: self.support(),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.true_positives += other.true_positives;
        self.false_positives += other.false_positives;
        self.false_negatives += other.false_negatives;
    }
}

/// 0 where the denominator is 0, as `zero_division=0`.
pub(crate) fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 { 0.0 } else { numerator / denominator }
}

/// Precision, recall and F1 in [0, 1], of a class or of an average, and the rows behind them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClassScores {
    /// TP / (TP + FP).
    pub precision: f64,
    /// TP / (TP + FN).
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows of the class.
    pub support: u64,
}

/// How scores of classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// Unweighted mean over the classes.
    Macro,
    /// From the summed counts.
    Micro,
    /// Mean weighted by support.
    Weighted,
}

/// Scores of every class and their averages.
///
/// For single-label rows the averages run over the classes that occur in the labels or in the predictions, as
/// scikit-learn's default `labels=None`; for multi-label rows over all of them, as scikit-learn does there.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassReport {
    counts: Vec<Counts>,
    every_class: bool,
}

impl ClassReport {
    /// Averages over the classes that occur.
    pub fn new(counts: Vec<Counts>) -> Self {
        Self { counts, every_class: false }
    }

    /// Averages over every class, whether it occurs or not.
    pub fn over_every_class(counts: Vec<Counts>) -> Self {
        Self { counts, every_class: true }
    }

    /// Counts of each class, shape `[classes]`.
    pub fn counts(&self) -> &[Counts] {
        &self.counts
    }

    /// Class ids that the averages run over, with their scores.
    pub fn classes(&self) -> impl Iterator<Item = (usize, ClassScores)> + '_ {
        let included = self.counts.iter().enumerate();
        let included = included.filter(|(_, counts)| self.every_class || !counts.is_absent());
        included.map(|(class, counts)| (class, counts.scores()))
    }

    /// Class ids that occur neither in the labels nor in the predictions.
    pub fn absent(&self) -> impl Iterator<Item = usize> + '_ {
        self.counts.iter().enumerate().filter(|(_, counts)| counts.is_absent()).map(|(class, _)| class)
    }

    /// One number each for precision, recall and F1; zeros without classes.
    pub fn average(&self, average: Average) -> ClassScores {
        let support = self.counts.iter().map(Counts::support).sum();
        if average == Average::Micro {
            let mut total = Counts::default();
            self.counts.iter().for_each(|&counts| total += counts);
            return total.scores();
        }
        let mut sum = ClassScores { support, ..ClassScores::default() };
        let mut weights = 0.0;
        for (_, scores) in self.classes() {
            let weight = if average == Average::Macro { 1.0 } else { scores.support as f64 };
            sum.precision += weight * scores.precision;
            sum.recall += weight * scores.recall;
            sum.f1 += weight * scores.f1;
            weights += weight;
        }
        sum.precision = ratio(sum.precision, weights);
        sum.recall = ratio(sum.recall, weights);
        sum.f1 = ratio(sum.f1, weights);
        sum
    }
}
