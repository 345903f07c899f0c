//! What can be wrong with a configuration or with the weights it is given.

use serin_ops::DeviceError;

/// A model that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `config.json` is not a JSON object.
    #[error("the configuration is not a JSON object")]
    NotAnObject,
    /// A key is absent, of the wrong type, or out of range.
    #[error("configuration key `{key}`: {reason}")]
    Key {
        /// The key in `config.json`.
        key: &'static str,
        /// What is wrong with its value, and how to mend it.
        reason: String,
    },
    /// `model_type` names an architecture that is not one of the five.
    #[error("architecture `{0}` is not supported; supported are roberta, xlm-roberta, camembert, bert and distilbert")]
    UnknownArchitecture(String),
    /// A tensor could not be had.
    #[error("{0}")]
    Parameter(String),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Embeddings that are a decoder at the same time are to be frozen.
    #[error("masked language modelling trains the whole model: nothing can be frozen")]
    FrozenEmbeddings,
    /// More layers are to be frozen than there are.
    #[error("cannot freeze {asked} layers: the encoder has {layers}")]
    Freezing {
        /// Layers to freeze.
        asked: usize,
        /// Layers there are.
        layers: usize,
    },
}

impl ModelError {
    pub(crate) fn key(key: &'static str, reason: impl Into<String>) -> ModelError {
        ModelError::Key { key, reason: reason.into() }
    }
}
