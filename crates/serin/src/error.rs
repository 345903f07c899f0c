//! Whatever can go wrong, in one type for library users.

use serin_checkpoint::CheckpointError;
use serin_corpus::CorpusError;
use serin_data::DataError;
use serin_metrics::MetricsError;
use serin_model::ModelError;
use serin_ops::DeviceError;
use serin_text::TextError;
use serin_train::TrainError;
use serin_train::report::ReportError;

/// An error of Serin. Its text names the file, line and field, and hints at the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerinError {
    /// Model folders, weights, the Hub.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Datasets.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Text to pretrain on.
    #[error(transparent)]
    Corpus(#[from] Box<CorpusError>),
    /// Tokenizers.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Configurations and devices.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Logs.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Settings that make no sense, whatever they are applied to.
    #[error("{0}")]
    Usage(String),
    /// What was asked for cannot be done with the files, the model or the device at hand.
    #[error("{0}")]
    Refused(String),
}

impl SerinError {
    /// Whether settings are at fault and not what they are applied to: the command's exit code is then 2.
    pub fn is_usage(&self) -> bool {
        match self {
            SerinError::Usage(_) => true,
            SerinError::Corpus(error) => matches!(**error, CorpusError::Setting { .. }),
            _ => false,
        }
    }
}

impl From<CorpusError> for SerinError {
    fn from(error: CorpusError) -> SerinError {
        SerinError::Corpus(Box::new(error))
    }
}

impl From<DeviceError> for SerinError {
    fn from(error: DeviceError) -> SerinError {
        SerinError::Model(error.into())
    }
}
