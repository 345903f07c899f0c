//! What can be wrong with the rows handed to a metric.

use thiserror::Error;

/// Why a row or a setting was refused. `row` counts from 0 in the order of the `push` calls.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// A label id that is not below the number of classes.
    #[error(
        "row {row}: label {label} is outside the {classes} classes; \
         check that the data set's labels are those of the model (`id2label` in config.json)"
    )]
    LabelOutOfRange {
        /// Row number from 0.
        row: u64,
        /// The label found.
        label: u32,
        /// The number of classes expected.
        classes: usize,
    },
    /// A row whose scores or labels are not one for each class.
    #[error("row {row}: {found} {what} where {expected} were expected, one for each label")]
    WrongLength {
        /// Row number from 0.
        row: u64,
        /// `scores`, `labels` or `thresholds`.
        what: &'static str,
        /// How many came.
        found: usize,
        /// How many were expected.
        expected: usize,
    },
    /// A regression target that is NaN or infinite.
    #[error("row {row}: the target {value} is not a finite number; mend or drop the row in the data")]
    TargetNotFinite {
        /// Row number from 0.
        row: u64,
        /// The target found.
        value: f32,
    },
    /// A label set that cannot be evaluated.
    #[error("{count} label names: a classifier needs at least {least}")]
    TooFewLabels {
        /// How many names came.
        count: usize,
        /// How many are needed.
        least: usize,
    },
    /// A decision threshold outside [0, 1].
    #[error("threshold {value} of label {label} is outside [0, 1]")]
    BadThreshold {
        /// Index of the label.
        label: usize,
        /// The threshold found.
        value: f32,
    },
}
