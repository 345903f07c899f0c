//! Where a run stands: with the weights and the optimizer's moments, all that a resumed run needs.

use crate::early_stopping::EarlyStopping;
use crate::scaler::GradScaler;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Sums over the epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochTotals {
    /// Sum of the steps' losses times their examples, over the steps whose loss is finite.
    pub loss_sum: f64,
    /// Examples of those steps.
    pub loss_examples: u64,
    /// Examples read.
    pub examples: u64,
    /// Examples decided rightly.
    pub correct: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Seconds that training took.
    pub seconds: f64,
}

/// The steps since the last entry of the log: a resumed run logs the same mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnloggedSteps {
    /// Sum of their losses, as far as they are finite.
    pub loss_sum: f64,
    /// How many losses are in the sum.
    pub steps: u64,
}

impl UnloggedSteps {
    /// Takes note of a step; if an entry is `due`, returns its mean loss and begins anew. Losses that are not finite are
    /// left out: their steps are skipped, and counted as such. With no other, the mean is NaN.
    pub fn push(&mut self, loss: f64, due: bool) -> Option<f64> {
        if loss.is_finite() {
            self.loss_sum += loss;
            self.steps += 1;
        }
        due.then(|| {
            let UnloggedSteps { loss_sum, steps } = std::mem::take(self);
            loss_sum / steps as f64
        })
    }
}

/// The position of a run, after a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are trained and evaluated.
    pub epochs_done: u32,
    /// Optimizer steps of the current epoch, skipped ones included.
    pub step_in_epoch: u64,
    /// Optimizer steps of the run, skipped ones included: keys the dropout masks.
    pub global_step: u64,
    /// Optimizer steps that changed weights: what the schedule and Adam's bias corrections count.
    pub optimizer_steps: u64,
    /// Skipped steps in a row, up to now.
    pub skipped_in_a_row: u32,
    /// The current epoch.
    pub totals: EpochTotals,
    /// What the log has yet to say.
    pub unlogged: UnloggedSteps,
    /// The loss scale.
    pub scaler: GradScaler,
    /// The best evaluation so far.
    pub early_stopping: EarlyStopping,
    /// Tokens of the run.
    pub tokens_seen: u64,
    /// Whether the run is at its end.
    pub finished: bool,
}

impl Progress {
    /// The start of a run.
    pub fn new(scaler: GradScaler) -> Progress {
        Progress {
            epochs_done: 0,
            step_in_epoch: 0,
            global_step: 0,
            optimizer_steps: 0,
            skipped_in_a_row: 0,
            totals: EpochTotals::default(),
            unlogged: UnloggedSteps::default(),
            scaler,
            early_stopping: EarlyStopping::default(),
            tokens_seen: 0,
            finished: false,
        }
    }
}

/// What a step did.
pub(crate) struct StepCounts {
    /// Mean loss of its examples.
    pub(crate) loss: f64,
    /// Examples, or masked tokens.
    pub(crate) examples: u64,
    /// Those decided rightly.
    pub(crate) correct: u64,
    /// Tokens.
    pub(crate) tokens: u64,
    /// The time it took.
    pub(crate) time: Duration,
    /// Whether the weights stayed as they were, for gradients that were not finite.
    pub(crate) skipped: bool,
}

impl Progress {
    /// Takes note of a step that was made.
    pub(crate) fn count(&mut self, step: &StepCounts) {
        self.global_step += 1;
        self.step_in_epoch += 1;
        self.tokens_seen += step.tokens;
        self.skipped_in_a_row = if step.skipped { self.skipped_in_a_row + 1 } else { 0 };
        let totals = &mut self.totals;
        totals.add_loss(step.loss, step.examples);
        totals.examples += step.examples;
        totals.correct += step.correct;
        totals.tokens += step.tokens;
        totals.seconds += step.time.as_secs_f64();
    }

    /// Adds the step's loss to those that are to be logged; their mean if an entry is due: every `logging_steps`, and at the
    /// end of an epoch and of the run.
    pub(crate) fn log_loss(
        &mut self,
        loss: f64,
        logging_steps: u64,
        steps_per_epoch: u64,
        total_steps: u64,
    ) -> Option<f64> {
        let due = self.global_step.is_multiple_of(logging_steps.max(1))
            || self.step_in_epoch == steps_per_epoch
            || self.global_step == total_steps;
        self.unlogged.push(loss, due)
    }
}

impl EpochTotals {
    /// Adds the mean loss of a step of so many examples; one that is not finite is left out, its step being skipped.
    pub fn add_loss(&mut self, loss: f64, examples: u64) {
        if loss.is_finite() {
            self.loss_sum += loss * examples as f64;
            self.loss_examples += examples;
        }
    }

    /// Mean loss of the epoch so far, over the steps whose loss is finite; NaN where there is none.
    pub fn mean_loss(&self) -> f64 {
        self.loss_sum / self.loss_examples as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_no_number_spoils_no_mean() {
        let mut totals = EpochTotals::default();
        for (loss, examples) in [(2.0, 8), (f64::NAN, 8), (f64::INFINITY, 8), (5.0, 4)] {
            totals.add_loss(loss, examples);
        }
        assert_eq!(totals.mean_loss(), (2.0 * 8.0 + 5.0 * 4.0) / 12.0);
        let mut unlogged = UnloggedSteps::default();
        assert_eq!(unlogged.push(1.0, false), None);
        assert_eq!(unlogged.push(f64::NAN, false), None);
        assert_eq!(unlogged.push(3.0, true), Some(2.0));
        assert!(unlogged.push(f64::NAN, true).is_some_and(f64::is_nan));
        assert_eq!(unlogged.push(4.0, true), Some(4.0));
    }
}
