//! Calibration: expected calibration error over equal-width confidence bins.

use serde::Serialize;

/// The number of bins that Guo et al. report.
const BINS: usize = 15;

/// Confidence against accuracy in 15 equal-width bins `(lower, upper]`, as Naeini et al. (2015) and Guo et al.,
/// "On Calibration of Modern Neural Networks" (2017).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reliability {
    bins: [ReliabilityBin; BINS],
}

/// One bin of the reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct ReliabilityBin {
    /// Rows whose confidence fell here.
    pub rows: u64,
    /// Those predicted rightly.
    pub correct: u64,
    /// Sum of their confidences.
    pub confidence_sum: f64,
}

impl Reliability {
    /// Counts one row by the probability of its predicted class. A NaN confidence is left out.
    pub fn push(&mut self, confidence: f64, correct: bool) {
        if confidence.is_nan() {
            return;
        }
        let index = ((confidence * BINS as f64).ceil() as usize).saturating_sub(1).min(BINS - 1);
        let bin = &mut self.bins[index];
        bin.rows += 1;
        bin.correct += u64::from(correct);
        bin.confidence_sum += confidence;
    }

    /// The bins from low to high confidence.
    pub fn bins(&self) -> &[ReliabilityBin] {
        &self.bins
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.bins.iter().map(|bin| bin.rows).sum()
    }

    /// `sum over bins of rows_b / rows * |accuracy_b - confidence_b|`, in [0, 1]; `None` without rows.
    pub fn expected_calibration_error(&self) -> Option<f64> {
        let gap = self.bins.iter().map(|bin| (bin.correct as f64 - bin.confidence_sum).abs()).sum::<f64>();
        self.mean(gap)
    }

    /// Mean confidence of the predicted class; `None` without rows.
    pub fn mean_confidence(&self) -> Option<f64> {
        self.mean(self.bins.iter().map(|bin| bin.confidence_sum).sum())
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.rows() > 0).then(|| sum / self.rows() as f64)
    }
}
