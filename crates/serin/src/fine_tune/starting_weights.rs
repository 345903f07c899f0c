//! Where the values of a run's first weights come from: a checkpoint, or random numbers.

use crate::error::SerinError;
use serin_checkpoint::model::LoadedFolder;
use serin_model::{Initializer, ModelConfig, ParameterSource};
use serin_text::Tokenizer;

/// The weights that a run starts from.
pub(crate) enum StartingWeights {
    /// A checkpoint, with a fresh head where it has none that fits.
    Checkpoint(Box<LoadedFolder>),
    /// Random numbers.
    Fresh(Box<ModelConfig>),
}

impl StartingWeights {
    /// Random weights for a tokenizer's vocabulary.
    ///
    /// # Errors
    /// A vocabulary that is too small for the tokenizer.
    pub(crate) fn fresh(config: ModelConfig, tokenizer: &Tokenizer) -> Result<StartingWeights, SerinError> {
        if tokenizer.largest_id() as usize >= config.vocab {
            return Err(SerinError::Refused(format!(
                "the tokenizer has ids up to {}, config.json's vocab_size is {}",
                tokenizer.largest_id(),
                config.vocab
            )));
        }
        Ok(StartingWeights::Fresh(Box::new(config)))
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        match self {
            StartingWeights::Checkpoint(folder) => folder.config(),
            StartingWeights::Fresh(config) => config,
        }
    }

    /// The same, to change dropout.
    pub(crate) fn config_mut(&mut self) -> &mut ModelConfig {
        match self {
            StartingWeights::Checkpoint(folder) => folder.config_mut(),
            StartingWeights::Fresh(config) => config,
        }
    }

    /// What was loaded, for people.
    pub(crate) fn report(&self) -> String {
        match self {
            StartingWeights::Checkpoint(folder) => folder.report().to_string(),
            StartingWeights::Fresh(config) => format!(
                "All {} parameters are new: random numbers with standard deviation {}.",
                config.parameters().iter().map(|spec| spec.len()).sum::<usize>(),
                config.initializer_range
            ),
        }
    }

    /// The values of every parameter; what is new is drawn with `seed`.
    pub(crate) fn source(&self, seed: u64) -> Box<dyn ParameterSource + '_> {
        match self {
            StartingWeights::Checkpoint(folder) => Box::new(folder.source(seed)),
            StartingWeights::Fresh(config) => Box::new(Initializer { seed, range: config.initializer_range }),
        }
    }
}
