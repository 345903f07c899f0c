//! One optimizer step of pretraining.

use super::{PretrainInputs, Pretrainer};
use crate::error::TrainError;
use crate::events::StepReport;
use crate::progress::StepCounts;
use crate::update::{apply_gradients, check_divergence};
use serin_corpus::{Corpus, Masking};
use serin_model::{Batch, DropoutContext, MaskedOutput, MaskedTokens, ModelConfig, Sequence};
use serin_ops::Backend;
use std::ops::Range;
use std::time::Instant;

/// Sequences with masks in them, and what stood there.
pub(super) struct MaskedBatch {
    pub(super) batch: Batch,
    /// Rows count from the batch's first token.
    masked: MaskedTokens,
}

impl MaskedBatch {
    /// Packs the sequences at `indices` with the masks of an epoch.
    pub(super) fn pack(
        config: &ModelConfig,
        corpus: &Corpus,
        masking: &Masking,
        epoch: u64,
        indices: &[u32],
    ) -> MaskedBatch {
        let mut masked = MaskedTokens::default();
        let mut first_row = 0;
        let sequences: Vec<Vec<u32>> = indices
            .iter()
            .map(|&index| {
                let mut ids = corpus.sequence(index as usize);
                let known = masked.rows.len();
                masking.apply(epoch, u64::from(index), &mut ids, &mut masked.rows, &mut masked.targets);
                masked.rows[known..].iter_mut().for_each(|row| *row += first_row);
                first_row += ids.len() as u32;
                ids
            })
            .collect();
        let batch = Batch::pack(config, sequences.iter().map(|ids| Sequence { ids, types: &[] }));
        MaskedBatch { batch, masked }
    }

    /// The masked tokens of a run of sequences, as rows of that run.
    pub(super) fn of_run(&self, run: Range<usize>) -> MaskedTokens {
        let (first, end) = (self.batch.offsets[run.start], self.batch.offsets[run.end]);
        let position = |row: u32| self.masked.rows.partition_point(|&other| other < row);
        let part = position(first)..position(end);
        MaskedTokens {
            rows: self.masked.rows[part.clone()].iter().map(|row| row - first).collect(),
            targets: self.masked.targets[part].to_vec(),
        }
    }

    pub(super) fn masked_tokens(&self) -> usize {
        self.masked.rows.len()
    }
}

impl<B: Backend> Pretrainer<'_, B> {
    /// One optimizer step on the sequences at `indices`.
    pub(super) fn step(&mut self, epoch: u32, indices: &[u32]) -> Result<StepReport, TrainError> {
        let started = Instant::now();
        let PretrainInputs { train, masking, .. } = &self.inputs;
        let packed = MaskedBatch::pack(self.model.config(), train, masking, u64::from(epoch), indices);
        let scale = self.progress.scaler.scale;
        self.model.zero_gradients(self.backend);
        let count = packed.masked_tokens();
        // A short sequence may have no mask at all: then there is no loss, and no gradient.
        let gradient_scale = if count > 0 { (f64::from(scale) / count as f64) as f32 } else { 0.0 };
        let mut output = MaskedOutput::default();
        for run in packed.batch.micro_batches(self.space.tokens()) {
            let part = self.micro_batch(&packed, run, gradient_scale)?;
            output.loss_sum += part.loss_sum;
            output.correct += part.correct;
        }
        let loss = if count > 0 { output.loss_sum / count as f64 } else { 0.0 };
        let factor = self.schedule.factor(self.progress.optimizer_steps);
        let settings = &self.inputs.settings;
        let (model, optimizer) = (&mut self.model, &mut self.optimizer);
        let grad_norm = apply_gradients(self.backend, model, optimizer, settings, &mut self.progress, factor)?;
        let skipped = grad_norm.is_none();
        let (examples, tokens, correct) = (count as u64, packed.batch.tokens() as u64, output.correct);
        self.progress.count(&StepCounts { loss, examples, correct, tokens, time: started.elapsed(), skipped });
        let (steps_per_epoch, total_steps) = (self.steps_per_epoch(), self.total_steps());
        check_divergence(&self.progress, loss, steps_per_epoch)?;
        let logged_loss = self.progress.log_loss(loss, self.inputs.logging_steps, steps_per_epoch, total_steps);
        let (progress, totals) = (&self.progress, &self.progress.totals);
        Ok(StepReport {
            epoch,
            step_in_epoch: progress.step_in_epoch,
            steps_per_epoch,
            global_step: progress.global_step,
            loss,
            logged_loss,
            epoch_loss: totals.mean_loss(),
            train_accuracy: (totals.examples > 0).then(|| totals.correct as f64 / totals.examples as f64),
            grad_norm,
            learning_rate: f64::from(self.inputs.settings.learning_rate) * factor,
            scale,
            skipped,
            skipped_total: progress.scaler.skipped,
            examples: indices.len(),
            tokens_seen: progress.tokens_seen,
            examples_in_epoch: totals.examples,
        })
    }

    fn micro_batch(
        &mut self,
        packed: &MaskedBatch,
        run: Range<usize>,
        gradient_scale: f32,
    ) -> Result<MaskedOutput, TrainError> {
        let (first_sequence, first_token) = (run.start as u64, u64::from(packed.batch.offsets[run.start]));
        let (seed, step) = (self.inputs.settings.seed, self.progress.global_step);
        let dropout = DropoutContext { seed, step, first_sequence, first_token };
        let (part, masked) = (packed.batch.slice(run.clone()), packed.of_run(run));
        let (backend, space) = (self.backend, &mut self.space);
        Ok(self.model.train_masked(backend, space, &part, &masked, gradient_scale, Some(&dropout))?)
    }
}
