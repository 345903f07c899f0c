//! The loss on held-out text.

use super::Pretrainer;
use super::step::MaskedBatch;
use crate::error::TrainError;
use crate::events::{Event, Listener};
use serin_model::MaskedOutput;
use serin_ops::Backend;

/// Training epochs count from 1, so that no epoch of training has the masks of the evaluation.
const EVALUATION_EPOCH: u64 = 0;

impl<B: Backend> Pretrainer<'_, B> {
    /// Mean cross-entropy in nats of the held-out text's masked tokens, the share guessed rightly, and their number.
    pub(super) fn evaluate(&mut self, listener: &mut dyn Listener) -> Result<(f64, f64, u64), TrainError> {
        let (corpus, total) = (self.inputs.held_out, self.inputs.held_out.len());
        let (mut output, mut masked_tokens) = (MaskedOutput::default(), 0);
        let mut done = 0;
        while done < total {
            let count = self.space.run_length((done..total).map(|index| corpus.length(index)));
            let indices: Vec<u32> = (done..done + count).map(|index| index as u32).collect();
            let masking = &self.inputs.masking;
            let packed = MaskedBatch::pack(self.model.config(), corpus, masking, EVALUATION_EPOCH, &indices);
            let masked = packed.of_run(0..count);
            let part = self.model.masked_losses(self.backend, &mut self.space, &packed.batch, &masked)?;
            output.loss_sum += part.loss_sum;
            output.correct += part.correct;
            masked_tokens += packed.masked_tokens() as u64;
            done += count;
            listener.on(&Event::Evaluating { done, total })?;
        }
        let masked = masked_tokens.max(1) as f64;
        Ok((output.loss_sum / masked, output.correct as f64 / masked, masked_tokens))
    }
}
