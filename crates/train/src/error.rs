//! What can stop a training run or an evaluation.

use crate::report::ReportError;
use serin_checkpoint::CheckpointError;
use serin_metrics::MetricsError;
use serin_model::ModelError;
use serin_ops::DeviceError;
use serin_text::TextError;
use std::path::PathBuf;

/// A run that cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The data cannot be trained on.
    #[error("{0}")]
    Data(String),
    /// The model or the device failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Tokenizing failed.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Reading or writing weights failed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Writing the logs failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A metric was given what it cannot take.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Losses are NaN or overflow however small they are scaled.
    #[error("training diverged at step {step}: {reason}")]
    Diverged {
        /// The optimizer step, from 1.
        step: u64,
        /// What was seen, and what may help.
        reason: String,
    },
    /// A saved state does not belong to this run.
    #[error("cannot resume from {}: {reason}", path.display())]
    Resume {
        /// The state's folder.
        path: PathBuf,
        /// What does not match, by name.
        reason: String,
    },
}

impl From<DeviceError> for TrainError {
    fn from(error: DeviceError) -> TrainError {
        TrainError::Model(error.into())
    }
}
