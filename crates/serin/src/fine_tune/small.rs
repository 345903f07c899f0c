//! A small RoBERTa with random weights and a tokenizer learned from the training texts: for a first try offline.

use crate::error::SerinError;
use serde_json::json;
use serin_data::Dataset;
use serin_model::ModelConfig;
use serin_text::{Tokenizer, train_byte_level_bpe};
use serin_train::{TrainSettings, Warmup};

const VOCABULARY: usize = 4000;
const MAX_LENGTH: usize = 128;

/// Settings that suit it: random weights take far larger steps than pretrained ones, and more of them.
pub fn settings() -> TrainSettings {
    TrainSettings {
        num_train_epochs: 8,
        learning_rate: 1e-3,
        head_learning_rate: 1e-3,
        warmup: Warmup::Ratio(0.1),
        early_stopping_patience: Some(3),
        ..TrainSettings::default()
    }
}

/// The configuration, and a tokenizer learned from `train`.
pub(super) fn model(train: &Dataset) -> Result<(ModelConfig, Tokenizer), SerinError> {
    let folder = tempfile::tempdir()
        .map_err(|error| SerinError::Usage(format!("cannot make a temporary folder for the tokenizer: {error}")))?;
    let texts: Vec<&str> = train.examples.iter().map(|example| example.text.as_str()).collect();
    train_byte_level_bpe(&texts, VOCABULARY, folder.path())?;
    let tokenizer = Tokenizer::from_dir(folder.path(), "roberta", MAX_LENGTH)?;
    let config = json!({
        "model_type": "roberta",
        "vocab_size": tokenizer.largest_id() + 1,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": MAX_LENGTH + 2,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "initializer_range": 0.05,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    });
    Ok((ModelConfig::from_json(&config)?, tokenizer))
}
