//! The metrics of a run, over all rows and over parts of them.

use serin::SerinError;
use serin::metrics::{EvaluationReport, Slices, TweetEvalTask, length_bucket, truncation};
use serin::text::Encoded;
use serin::train::Evaluation;
use serin_model::{ModelConfig, Target};

/// Accumulates rows in bounded memory.
pub struct Measured {
    evaluation: Evaluation,
    slices: Slices,
}

impl Measured {
    /// No rows yet, of a model.
    pub fn new(config: &ModelConfig, task: Option<TweetEvalTask>) -> Result<Measured, SerinError> {
        Ok(Measured { evaluation: Evaluation::new(config, task)?, slices: Slices::new(config.labels.len()) })
    }

    /// Adds a row.
    pub fn push(&mut self, target: &Target, logits: &[f32], encoded: &Encoded) -> Result<(), SerinError> {
        let decided = self.evaluation.push(target, logits)?;
        if let Target::Class(class) = target {
            self.slices.push(length_bucket(encoded.full_length), *class, decided)?;
            self.slices.push(truncation(encoded.truncated()), *class, decided)?;
        }
        Ok(())
    }

    /// The numbers.
    pub fn report(&self, truncated: u64) -> EvaluationReport {
        self.evaluation.report().with_truncated(truncated).with_slices(&self.slices)
    }
}
