//! Which dropout applies where, at a step of training.

use crate::config::ModelConfig;
use serin_ops::{Dropout, DropoutSite};

/// The place of a forward pass in a training run: with it every mask bit is determined.
#[derive(Clone, Copy, Debug)]
pub struct DropoutContext {
    /// The run's seed.
    pub seed: u64,
    /// The step's number.
    pub step: u64,
    /// Sequences of the batch before this micro-batch.
    pub first_sequence: u64,
    /// Tokens of the batch before this micro-batch.
    pub first_token: u64,
}

/// The masks of one encoder layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerDropout {
    pub(crate) attention_probabilities: Option<Dropout>,
    pub(crate) attention_output: Option<Dropout>,
    pub(crate) feed_forward_output: Option<Dropout>,
}

/// Layer numbers of sites outside the layers; only distinctness from the others' keys matters.
const OUTSIDE: u32 = u32::MAX >> 8;

impl DropoutContext {
    /// `by_sequence`: the layer's rows after attention are one a sequence and not one a token.
    pub(crate) fn layer(&self, config: &ModelConfig, layer: usize, by_sequence: bool) -> LayerDropout {
        let first_row = if by_sequence { self.first_sequence } else { self.first_token };
        let at = |probability, site, row| {
            Dropout::new(probability, self.seed, self.step, layer as u32, site).map(|mask| mask.starting_at(row))
        };
        let attention_row = (self.first_sequence * config.heads as u64) << 32;
        LayerDropout {
            attention_probabilities: at(config.attention_dropout, DropoutSite::AttentionProbabilities, attention_row),
            attention_output: at(config.hidden_dropout, DropoutSite::AttentionOutput, first_row),
            feed_forward_output: at(config.hidden_dropout, DropoutSite::FeedForwardOutput, first_row),
        }
    }

    pub(crate) fn embedding(&self, config: &ModelConfig) -> Option<Dropout> {
        let mask = Dropout::new(config.hidden_dropout, self.seed, self.step, OUTSIDE, DropoutSite::Embedding);
        mask.map(|mask| mask.starting_at(self.first_token))
    }

    pub(crate) fn head(&self, config: &ModelConfig, site: DropoutSite) -> Option<Dropout> {
        let mask = Dropout::new(config.classifier_dropout, self.seed, self.step, OUTSIDE, site);
        mask.map(|mask| mask.starting_at(self.first_sequence))
    }
}
