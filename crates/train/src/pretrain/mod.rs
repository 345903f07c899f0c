//! Pretraining by masked language modelling, as RoBERTa was: masks drawn anew each epoch, no next-sentence prediction
//! (Liu et al. 2019).

mod evaluate;
mod step;

use crate::error::TrainError;
use crate::evaluation::EVALUATION_SEQUENCES;
use crate::events::{Event, HeldOut, Listener};
use crate::optimizer::Optimizer;
use crate::progress::Progress;
use crate::scaler::GradScaler;
use crate::schedule::Schedule;
use crate::settings::{LossScaling, TrainSettings};
use crate::trainer::Ending;
use serin_corpus::{Corpus, Masking};
use serin_data::epoch_order;
use serin_model::{Model, Workspace};
use serin_ops::Backend;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a pretraining run is made of, besides the device and the model.
pub struct PretrainInputs<'a> {
    /// Optimizer, schedule, batches and seed; what concerns labels is not used.
    pub settings: TrainSettings,
    /// Chooses what is to be guessed.
    pub masking: Masking,
    /// What is learned from.
    pub train: &'a Corpus,
    /// What the loss is reported and the best weights are selected on; its masks are always the same.
    pub held_out: &'a Corpus,
    /// Evaluate every so many steps, besides every epoch.
    pub eval_steps: Option<u64>,
    /// Save the state every so many steps, besides every epoch.
    pub save_steps: Option<u64>,
    /// Make an entry in the log every so many steps, besides every evaluation.
    pub logging_steps: u64,
}

/// Keeps weights and states; the loop does not know files.
pub trait PretrainKeeper<B: Backend> {
    /// Keeps the weights as the best so far.
    fn save_best(&mut self, backend: &B, model: &mut Model<B>, held_out: &HeldOut) -> Result<(), TrainError>;
    /// Keeps all that a resumed run needs.
    fn save_state(
        &mut self,
        backend: &B,
        model: &mut Model<B>,
        optimizer: &mut Optimizer<B>,
        progress: &Progress,
    ) -> Result<(), TrainError>;
}

/// A pretraining run.
pub struct Pretrainer<'a, B: Backend> {
    backend: &'a B,
    model: Model<B>,
    space: Workspace<B>,
    optimizer: Optimizer<B>,
    inputs: PretrainInputs<'a>,
    schedule: Schedule,
    progress: Progress,
    stop: &'a AtomicBool,
}

impl<'a, B: Backend> Pretrainer<'a, B> {
    /// Plans the memory of a run. `stop`, once set, ends it after the step that is being made.
    ///
    /// # Errors
    /// A setting or a corpus that nothing can be trained with.
    pub fn new(
        backend: &'a B,
        mut model: Model<B>,
        inputs: PretrainInputs<'a>,
        stop: &'a AtomicBool,
    ) -> Result<Pretrainer<'a, B>, TrainError> {
        check(&inputs, &model)?;
        let settings = &inputs.settings;
        let longest = inputs.train.longest().max(inputs.held_out.longest());
        let tokens = settings.micro_batch_tokens.max(longest);
        let sequences = settings.effective_batch_size().min(inputs.train.len()).max(EVALUATION_SEQUENCES);
        let space = model.workspace(backend, tokens, sequences)?;
        let optimizer = Optimizer::new(backend, &mut model)?;
        let schedule = Schedule::new(settings, settings.total_steps(inputs.train.len()));
        let progress = Progress::new(GradScaler::new(settings.loss_scaling == LossScaling::Dynamic));
        Ok(Pretrainer { backend, model, space, optimizer, inputs, schedule, progress, stop })
    }

    /// The model and the optimizer, to restore a saved state into; see [`Pretrainer::set_progress`].
    pub fn parts_mut(&mut self) -> (&mut Model<B>, &mut Optimizer<B>) {
        (&mut self.model, &mut self.optimizer)
    }

    /// Goes on from where `progress` says.
    pub fn set_progress(&mut self, progress: Progress) {
        self.optimizer.steps = progress.optimizer_steps;
        self.progress = progress;
    }

    /// Where the run stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Trains to the end.
    ///
    /// # Errors
    /// A device, keeper or listener that fails, or a run that diverges.
    pub fn run(
        &mut self,
        keeper: &mut dyn PretrainKeeper<B>,
        listener: &mut dyn Listener,
    ) -> Result<Ending, TrainError> {
        let (total_steps, steps_per_epoch) = (self.total_steps(), self.steps_per_epoch());
        listener.on(&Event::Started { total_steps, steps_per_epoch, done: self.progress.global_step })?;
        let patience = self.inputs.settings.early_stopping_patience;
        while !self.progress.finished {
            if self.progress.early_stopping.should_stop(patience) {
                listener.on(&Event::EarlyStopping)?;
                return Ok(Ending::EarlyStopped);
            }
            if !self.run_epoch(keeper, listener)? {
                listener.on(&Event::Interrupted)?;
                self.save_state(keeper, listener)?;
                return Ok(Ending::Interrupted);
            }
        }
        Ok(Ending::Finished)
    }

    fn total_steps(&self) -> u64 {
        self.inputs.settings.total_steps(self.inputs.train.len())
    }

    fn steps_per_epoch(&self) -> u64 {
        self.inputs.settings.steps_per_epoch(self.inputs.train.len())
    }

    /// Trains to the end of the epoch, or to an evaluation that uses the patience up; `false` if it was asked to stop.
    fn run_epoch(
        &mut self,
        keeper: &mut dyn PretrainKeeper<B>,
        listener: &mut dyn Listener,
    ) -> Result<bool, TrainError> {
        let settings = &self.inputs.settings;
        let (batch_size, total_steps, patience) =
            (settings.effective_batch_size(), self.total_steps(), settings.early_stopping_patience);
        let epoch = self.progress.epochs_done + 1;
        let order = epoch_order(self.inputs.train.len() as u32, settings.seed, u64::from(epoch));
        let (done, steps) = (self.progress.step_in_epoch, self.steps_per_epoch());
        listener.on(&Event::EpochStarted { epoch, done, steps })?;
        for chunk in order.chunks(batch_size).skip(done as usize) {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let report = self.step(epoch, chunk)?;
            listener.on(&Event::Step(&report))?;
            let step = self.progress.global_step;
            let due = |every: Option<u64>| every.is_some_and(|every| step.is_multiple_of(every));
            self.progress.finished = step >= total_steps;
            if self.progress.step_in_epoch == steps {
                self.progress.epochs_done = epoch;
                self.progress.step_in_epoch = 0;
            }
            let at_the_end = self.progress.step_in_epoch == 0 || self.progress.finished;
            if at_the_end || due(self.inputs.eval_steps) {
                self.evaluate_and_keep(keeper, listener)?;
                self.save_state(keeper, listener)?;
                if at_the_end || self.progress.early_stopping.should_stop(patience) {
                    return Ok(true);
                }
            } else if due(self.inputs.save_steps) {
                self.save_state(keeper, listener)?;
            }
        }
        Ok(true)
    }

    /// Evaluates on the held-out text, and keeps the weights if they are the best so far.
    fn evaluate_and_keep(
        &mut self,
        keeper: &mut dyn PretrainKeeper<B>,
        listener: &mut dyn Listener,
    ) -> Result<(), TrainError> {
        let started = Instant::now();
        let (loss, accuracy, masked_tokens) = self.evaluate(listener)?;
        let evaluation_time = started.elapsed();
        let global_step = self.progress.global_step;
        let threshold = self.inputs.settings.early_stopping_threshold;
        let epoch = self.progress.epochs_done + u32::from(self.progress.step_in_epoch > 0);
        let is_best = self.progress.early_stopping.observe(loss, false, threshold, epoch, global_step);
        let totals = std::mem::take(&mut self.progress.totals);
        let in_epoch = self.progress.step_in_epoch as f64 / self.steps_per_epoch() as f64;
        let held_out = HeldOut {
            epoch: f64::from(self.progress.epochs_done) + in_epoch,
            global_step,
            loss,
            accuracy,
            masked_tokens,
            train_loss: totals.mean_loss(),
            train_accuracy: totals.correct as f64 / totals.examples.max(1) as f64,
            is_best,
            train_time: Duration::from_secs_f64(totals.seconds),
            evaluation_time,
            tokens_per_second: totals.tokens as f64 / totals.seconds.max(f64::MIN_POSITIVE),
        };
        if is_best {
            keeper.save_best(self.backend, &mut self.model, &held_out)?;
        }
        listener.on(&Event::HeldOut(&held_out))
    }

    fn save_state(
        &mut self,
        keeper: &mut dyn PretrainKeeper<B>,
        listener: &mut dyn Listener,
    ) -> Result<(), TrainError> {
        listener.flush(self.progress.global_step)?;
        keeper.save_state(self.backend, &mut self.model, &mut self.optimizer, &self.progress)
    }
}

/// Refuses what cannot be trained.
fn check<B: Backend>(inputs: &PretrainInputs<'_>, model: &Model<B>) -> Result<(), TrainError> {
    if let Some(problem) = inputs.settings.problem() {
        return Err(TrainError::Setting(problem));
    }
    for (corpus, which) in [(inputs.train, "to train on"), (inputs.held_out, "to evaluate with")] {
        if corpus.is_empty() {
            return Err(TrainError::Data(format!("there is no text {which}")));
        }
        let (vocab, most) = (model.config().vocab, model.config().max_length());
        if corpus.largest_id() as usize >= vocab || corpus.longest() > most {
            let (id, length) = (corpus.largest_id(), corpus.longest());
            let reason = format!(
                "the text has token ids up to {id} in sequences of up to {length}, the model {vocab} ids and {most} positions"
            );
            return Err(TrainError::Data(reason));
        }
    }
    Ok(())
}
