//! What a training run tells those who listen: progress bars, logs and metrics only listen.

use crate::error::TrainError;
use crate::settings::SelectionMetric;
use serin_metrics::EvaluationReport;
use std::time::Duration;

/// One optimizer step.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The step within the epoch, from 1.
    pub step_in_epoch: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// The step within the run, from 1; skipped ones count.
    pub global_step: u64,
    /// Mean loss of the step's examples.
    pub loss: f64,
    /// Mean of the steps' losses since the last entry of the log, where one is due.
    pub logged_loss: Option<f64>,
    /// Mean loss over the epoch so far.
    pub epoch_loss: f64,
    /// Share of the epoch's examples so far that were decided rightly; `None` for regression.
    pub train_accuracy: Option<f64>,
    /// Norm of the gradients before clipping; `None` when not finite.
    pub grad_norm: Option<f64>,
    /// The encoder's learning rate at this step.
    pub learning_rate: f64,
    /// The loss scale of this step.
    pub scale: f32,
    /// Whether the step was skipped for gradients that were not finite.
    pub skipped: bool,
    /// Steps skipped so far.
    pub skipped_total: u64,
    /// Examples of the step.
    pub examples: usize,
    /// Tokens of the run so far.
    pub tokens_seen: u64,
    /// Examples read so far in the epoch.
    pub examples_in_epoch: u64,
}

/// One epoch, after its evaluation.
#[derive(Clone, Debug)]
pub struct EpochSummary {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Optimizer steps so far.
    pub global_step: u64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Training accuracy, with dropout on; `None` for regression.
    pub train_accuracy: Option<f64>,
    /// The evaluation that selects.
    pub report: EvaluationReport,
    /// What selects.
    pub metric: SelectionMetric,
    /// Its value.
    pub selection: f64,
    /// Whether it is a new best.
    pub is_best: bool,
    /// Evaluations in a row without improvement.
    pub without_improvement: u32,
    /// Time that training took.
    pub train_time: Duration,
    /// Time that evaluation took.
    pub evaluation_time: Duration,
    /// Training examples a second.
    pub examples_per_second: f64,
}

/// An evaluation of pretraining on held-out text, and the training since the last one.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// Epochs so far, the current one in part.
    pub epoch: f64,
    /// Optimizer steps so far.
    pub global_step: u64,
    /// Mean cross-entropy of masked tokens, in nats.
    pub loss: f64,
    /// Share of masked tokens whose own token is the likeliest.
    pub accuracy: f64,
    /// Masked tokens of the held-out text.
    pub masked_tokens: u64,
    /// The same loss of the training steps, with dropout on.
    pub train_loss: f64,
    /// The same share of the training steps.
    pub train_accuracy: f64,
    /// Whether the loss is the smallest so far.
    pub is_best: bool,
    /// Time that training took.
    pub train_time: Duration,
    /// Time that evaluation took.
    pub evaluation_time: Duration,
    /// Training tokens a second.
    pub tokens_per_second: f64,
}

impl HeldOut {
    /// `e^loss`: among how many equally likely tokens the model hesitates.
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }

    /// The numbers by the keys of a log.
    pub fn numbers(&self) -> [(&'static str, f64); 9] {
        [
            ("eval_loss", self.loss),
            ("eval_perplexity", self.perplexity()),
            ("eval_accuracy", self.accuracy),
            ("eval_masked_tokens", self.masked_tokens as f64),
            ("eval_runtime", self.evaluation_time.as_secs_f64()),
            ("train_loss", self.train_loss),
            ("train_accuracy", self.train_accuracy),
            ("train_runtime", self.train_time.as_secs_f64()),
            ("train_tokens_per_second", self.tokens_per_second),
        ]
    }
}

/// What happened.
pub enum Event<'a> {
    /// Training begins, or goes on at this epoch and step.
    Started {
        /// Optimizer steps of the whole run.
        total_steps: u64,
        /// Steps of an epoch.
        steps_per_epoch: u64,
        /// Steps done by an earlier part of the run.
        done: u64,
    },
    /// An epoch begins, or goes on.
    EpochStarted {
        /// The epoch, from 1.
        epoch: u32,
        /// Steps of it that are done.
        done: u64,
        /// Steps of an epoch.
        steps: u64,
    },
    /// An optimizer step was made, or skipped.
    Step(&'a StepReport),
    /// Evaluation goes on.
    Evaluating {
        /// Examples done.
        done: usize,
        /// Examples in all.
        total: usize,
    },
    /// An epoch ended with its evaluation.
    Epoch(&'a EpochSummary),
    /// Pretraining was evaluated.
    HeldOut(&'a HeldOut),
    /// Something the user should know.
    Note(&'a str),
    /// The patience is used up.
    EarlyStopping,
    /// Asked to stop: the step is finished.
    Interrupted,
}

/// Somebody who listens.
pub trait Listener {
    /// Takes note of an event; an error ends the run.
    fn on(&mut self, event: &Event<'_>) -> Result<(), TrainError>;

    /// Called before the run's state is saved at `global_step`: what was noted up to here must be on the disk.
    fn flush(&mut self, _global_step: u64) -> Result<(), TrainError> {
        Ok(())
    }
}
