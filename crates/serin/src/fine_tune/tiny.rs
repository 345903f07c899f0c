//! Settings that suit serin-tiny, the encoder that ships inside: small networks take larger steps than large ones.

use serin_train::{TrainSettings, Warmup};

/// Settings of a run from serin-tiny.
pub fn settings() -> TrainSettings {
    TrainSettings {
        num_train_epochs: 4,
        learning_rate: 2e-4,
        head_learning_rate: 5e-4,
        weight_decay: 0.01,
        warmup: Warmup::Ratio(0.1),
        ..TrainSettings::default()
    }
}

/// Settings of the run that `serin train` makes when it is told nothing: the recipe in small, on the shipped sentences.
pub fn demonstration() -> TrainSettings {
    TrainSettings { num_train_epochs: 20, early_stopping_patience: Some(4), ..settings() }
}

/// Of serin-tiny's 4 layers, the number that the demonstration keeps as they are, with the embeddings.
pub const DEMONSTRATION_FROZEN_LAYERS: usize = 1;
