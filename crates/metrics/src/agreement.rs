//! Agreement beyond chance from a confusion matrix: Matthews, Cohen, balanced accuracy.

use crate::ConfusionMatrix;

/// Row, column and diagonal sums. "No prediction" counts as one more column that is never right, just as if it
/// were a class of its own in scikit-learn.
struct Margins {
    labels: Vec<f64>,
    predictions: Vec<f64>,
    correct: f64,
    rows: f64,
}

impl ConfusionMatrix {
    fn margins(&self) -> Margins {
        let mut labels = vec![0.0; self.classes() + 1];
        let mut predictions = vec![0.0; self.classes() + 1];
        for (cell, count) in self.cells() {
            labels[cell.label as usize] += count as f64;
            predictions[cell.prediction.map_or(self.classes(), |id| id as usize)] += count as f64;
        }
        Margins { labels, predictions, correct: self.correct() as f64, rows: self.rows() as f64 }
    }

    /// Matthews correlation of any number of classes, in [-1, 1]: `R_K` of Gorodkin, "Comparing two K-category
    /// assignments by a K-category correlation coefficient" (2004). 0 where it is undefined (labels or
    /// predictions of one class only), as scikit-learn.
    pub fn matthews_correlation(&self) -> f64 {
        let Margins { labels, predictions, correct, rows } = self.margins();
        let covariance = correct * rows - dot(&labels, &predictions);
        let predicted = rows * rows - dot(&predictions, &predictions);
        let actual = rows * rows - dot(&labels, &labels);
        if predicted == 0.0 || actual == 0.0 { 0.0 } else { covariance / (predicted.sqrt() * actual.sqrt()) }
    }

    /// Cohen's kappa, `(observed - chance) / (1 - chance)`. `None` where chance agreement is already 1 (labels
    /// and predictions are all the same class; scikit-learn gives NaN) and without rows.
    pub fn cohen_kappa(&self) -> Option<f64> {
        let Margins { labels, predictions, correct, rows } = self.margins();
        let expected = dot(&labels, &predictions);
        let room = rows * rows - expected;
        (room > 0.0).then(|| (correct * rows - expected) / room)
    }

    /// Mean recall over the classes that occur in the labels; `None` without rows. (Macro recall also averages in
    /// a 0 for a class that was only predicted.)
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let counts = self.counts();
        let recalls: Vec<f64> =
            counts.iter().filter(|counts| counts.support() > 0).map(|counts| counts.scores().recall).collect();
        (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}
