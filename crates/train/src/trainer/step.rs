//! One optimizer step: micro-batches, clipping, the loss scale, and what is noted of it.

use super::Trainer;
use crate::error::TrainError;
use crate::evaluation::is_correct;
use crate::events::{Event, Listener, StepReport};
use crate::progress::StepCounts;
use crate::update::{apply_gradients, check_divergence};
use serin_model::{Batch, DropoutContext, Targets};
use serin_ops::Backend;
use std::ops::Range;
use std::time::Instant;

impl<B: Backend> Trainer<'_, B> {
    /// One optimizer step on the examples at `indices`.
    pub(super) fn step(&mut self, epoch: u32, indices: &[u32]) -> Result<StepReport, TrainError> {
        let started = Instant::now();
        let config = self.model.config();
        let batch = self.inputs.train.pack(config, indices);
        let targets = indices.iter().map(|&index| self.inputs.train.target(index as usize));
        let targets = self.inputs.loss.targets(targets);
        let scale = self.progress.scaler.scale;
        self.model.zero_gradients(self.backend);
        let (mut loss_sum, mut correct) = (0.0, 0);
        for run in batch.micro_batches(self.space.tokens()) {
            let (loss, right) = self.micro_batch(&batch, run, indices, &targets, scale)?;
            loss_sum += loss;
            correct += right;
        }
        // All weights of the batch's classes may be 0: then there is no loss, and no gradient.
        let loss = if targets.normalizer > 0.0 { loss_sum / targets.normalizer } else { 0.0 };
        let factor = self.schedule.factor(self.progress.optimizer_steps);
        let settings = &self.inputs.settings;
        let (model, optimizer) = (&mut self.model, &mut self.optimizer);
        let grad_norm = apply_gradients(self.backend, model, optimizer, settings, &mut self.progress, factor)?;
        let skipped = grad_norm.is_none();
        let (examples, tokens) = (batch.sequences() as u64, batch.tokens() as u64);
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
            train_accuracy: self.train_accuracy(),
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

    /// Forward and backward of a run of the batch's sequences: the sum of losses and the number decided rightly.
    fn micro_batch(
        &mut self,
        batch: &Batch,
        run: Range<usize>,
        indices: &[u32],
        targets: &Targets,
        scale: f32,
    ) -> Result<(f64, u64), TrainError> {
        let (first_sequence, first_token) = (run.start as u64, u64::from(batch.offsets[run.start]));
        let (seed, step) = (self.inputs.settings.seed, self.progress.global_step);
        let dropout = DropoutContext { seed, step, first_sequence, first_token };
        let part = batch.slice(run.clone());
        let indices = &indices[run.clone()];
        let trunk_drops = !self.model.has_frozen_trunk() || self.inputs.settings.frozen_dropout;
        let trunk_dropout = trunk_drops.then_some(&dropout);
        let (backend, space, train) = (self.backend, &mut self.space, self.inputs.train);
        match &mut self.train_cache {
            Some(cache) => cache.trunk(backend, &self.model, space, train, indices, &part, trunk_dropout)?,
            None => self.model.forward_trunk(backend, space, &part, trunk_dropout),
        }
        let labels = self.inputs.loss.labels;
        let values = targets.values[run.start * labels..run.end * labels].to_vec();
        let part_targets = Targets { kind: targets.kind, values, normalizer: targets.normalizer };
        let per_row = if targets.normalizer > 0.0 { 1.0 / targets.normalizer } else { 0.0 };
        let gradient_scale = (f64::from(scale) * per_row) as f32;
        let output =
            self.model.train_micro_batch(backend, space, &part, &part_targets, gradient_scale, Some(&dropout))?;
        let rows = output.logits.chunks_exact(labels).zip(indices);
        let right = rows.filter(|(logits, index)| is_correct(train.target(**index as usize), logits)).count();
        Ok((output.loss_sum, right as u64))
    }

    /// Says the first of several losses that are no numbers.
    pub(super) fn note_of_loss(&self, report: &StepReport, listener: &mut dyn Listener) -> Result<(), TrainError> {
        if report.loss.is_finite() || self.progress.skipped_in_a_row != 1 {
            return Ok(());
        }
        let note = format!("the loss of step {} is {}; the step is skipped", report.global_step, report.loss);
        listener.on(&Event::Note(&note))
    }

    fn train_accuracy(&self) -> Option<f64> {
        let totals = &self.progress.totals;
        let classifies = self.inputs.loss.problem_type != serin_model::ProblemType::Regression;
        (classifies && totals.examples > 0).then(|| totals.correct as f64 / totals.examples as f64)
    }
}
