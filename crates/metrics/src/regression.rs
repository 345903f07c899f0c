//! Evaluation of regression, row by row.

use crate::score_rows::{Place, Reservoir};
use crate::{DEFAULT_SCORE_BUDGET, MetricsError, spearman};

/// Accumulates pairs of target and prediction: moments, and the pairs themselves (8 bytes a row, within the budget) for
/// Spearman's correlation.
#[derive(Debug, Clone)]
pub struct Regression {
    rows: u64,
    undecided: u64,
    moments: Moments,
    squared_error: f64,
    absolute_error: f64,
    targets: Vec<f32>,
    predictions: Vec<f32>,
    reservoir: Reservoir,
}

/// Means and centred second moments, updated by Welford's method so that no digits cancel.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    target_mean: f64,
    prediction_mean: f64,
    target_spread: f64,
    prediction_spread: f64,
    shared_spread: f64,
}

/// Metrics of regression over the rows whose prediction is finite; `None` where undefined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegressionScores {
    /// Rows seen.
    pub rows: u64,
    /// Rows whose prediction is NaN or infinite. They are in no other number here, so any of them makes the rest too kind.
    pub undecided: u64,
    /// Mean squared error.
    pub mean_squared_error: Option<f64>,
    /// Its root, in the unit of the target.
    pub root_mean_squared_error: Option<f64>,
    /// Mean absolute error, in the unit of the target.
    pub mean_absolute_error: Option<f64>,
    /// Coefficient of determination; for a constant target 1 when every prediction is right, else 0, as scikit-learn.
    /// `None` for fewer than two rows.
    pub r2: Option<f64>,
    /// Pearson's correlation.
    pub pearson: Option<f64>,
    /// Spearman's rank correlation, of a uniform sample once the budget is used up.
    pub spearman: Option<f64>,
    /// Rows that Spearman's correlation was computed on.
    pub spearman_rows: u64,
}

impl Default for Regression {
    fn default() -> Self {
        Self::with_budget(DEFAULT_SCORE_BUDGET, 42)
    }
}

impl Regression {
    /// Keeps at most `budget` bytes of rows for Spearman's correlation; past it a sample seeded by `seed`.
    pub fn with_budget(budget: usize, seed: u64) -> Self {
        Self {
            rows: 0,
            undecided: 0,
            moments: Moments::default(),
            squared_error: 0.0,
            absolute_error: 0.0,
            targets: Vec::new(),
            predictions: Vec::new(),
            reservoir: Reservoir::new(budget, 8, seed),
        }
    }

    /// Adds one row.
    ///
    /// # Errors
    /// [`MetricsError::TargetNotFinite`]; the row is then not counted.
    pub fn push(&mut self, target: f32, prediction: f32) -> Result<(), MetricsError> {
        if !target.is_finite() {
            return Err(MetricsError::TargetNotFinite { row: self.rows, value: target });
        }
        self.rows += 1;
        if !prediction.is_finite() {
            self.undecided += 1;
            return Ok(());
        }
        let error = f64::from(prediction) - f64::from(target);
        self.squared_error += error * error;
        self.absolute_error += error.abs();
        self.moments.push(f64::from(target), f64::from(prediction), (self.rows - self.undecided) as f64);
        match self.reservoir.place() {
            Place::Append => {
                self.targets.push(target);
                self.predictions.push(prediction);
            }
            Place::Replace(index) => {
                self.targets[index] = target;
                self.predictions[index] = prediction;
            }
            Place::Skip => {}
        }
        Ok(())
    }

    /// The numbers so far.
    pub fn scores(&self) -> RegressionScores {
        let finite = self.rows - self.undecided;
        let mean = |sum: f64| (finite > 0).then(|| sum / finite as f64);
        let mean_squared_error = mean(self.squared_error);
        RegressionScores {
            rows: self.rows,
            undecided: self.undecided,
            mean_squared_error,
            root_mean_squared_error: mean_squared_error.map(f64::sqrt),
            mean_absolute_error: mean(self.absolute_error),
            r2: (finite >= 2).then(|| self.determination()),
            pearson: self.moments.correlation(),
            spearman: spearman(&self.targets, &self.predictions),
            spearman_rows: self.targets.len() as u64,
        }
    }

    fn determination(&self) -> f64 {
        let spread = self.moments.target_spread;
        if spread > 0.0 {
            1.0 - self.squared_error / spread
        } else if self.squared_error == 0.0 {
            1.0
        } else {
            0.0
        }
    }
}

impl Moments {
    fn push(&mut self, target: f64, prediction: f64, count: f64) {
        let from_target = target - self.target_mean;
        let from_prediction = prediction - self.prediction_mean;
        self.target_mean += from_target / count;
        self.prediction_mean += from_prediction / count;
        self.target_spread += from_target * (target - self.target_mean);
        self.prediction_spread += from_prediction * (prediction - self.prediction_mean);
        self.shared_spread += from_target * (prediction - self.prediction_mean);
    }

    fn correlation(&self) -> Option<f64> {
        let spread = self.target_spread.sqrt() * self.prediction_spread.sqrt();
        (spread > 0.0).then(|| (self.shared_spread / spread).clamp(-1.0, 1.0))
    }
}
