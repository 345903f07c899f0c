//! The training loop: epochs of steps, each followed by an evaluation, until the end, the patience's end, or a stop.

mod caches;
mod step;

pub use caches::CacheMemory;

use crate::collapse::Collapse;
use crate::error::TrainError;
use crate::evaluation::{EVALUATION_SEQUENCES, Evaluation, infer_all};
use crate::events::{EpochSummary, Event, Listener};
use crate::examples::Examples;
use crate::optimizer::Optimizer;
use crate::progress::Progress;
use crate::scaler::GradScaler;
use crate::schedule::Schedule;
use crate::settings::{LossScaling, TrainSettings};
use crate::trunk_cache::TrunkCache;
use serin_data::epoch_order;
use serin_metrics::TweetEvalTask;
use serin_model::{LossSettings, Model, Workspace};
use serin_ops::Backend;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What a run is made of, besides the device and the model.
pub struct TrainInputs<'a> {
    /// Everything that decides what is computed.
    pub settings: TrainSettings,
    /// How labels become a loss.
    pub loss: LossSettings,
    /// What is learned from.
    pub train: &'a Examples,
    /// What selects the best weights and decides when to stop.
    pub selection: &'a Examples,
    /// An official score to report along.
    pub task: Option<TweetEvalTask>,
    /// Save the state every so many steps, besides every epoch.
    pub save_steps: Option<u64>,
    /// Make an entry in the log every so many steps, besides every epoch.
    pub logging_steps: u64,
}

/// Keeps weights and states; the loop does not know files.
pub trait Keeper<B: Backend> {
    /// Keeps the weights as the best so far.
    fn save_best(&mut self, backend: &B, model: &mut Model<B>, summary: &EpochSummary) -> Result<(), TrainError>;
    /// Puts the best weights back into the model.
    fn load_best(&mut self, backend: &B, model: &mut Model<B>) -> Result<(), TrainError>;
    /// Keeps all that a resumed run needs.
    fn save_state(
        &mut self,
        backend: &B,
        model: &mut Model<B>,
        optimizer: &mut Optimizer<B>,
        progress: &Progress,
    ) -> Result<(), TrainError>;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs or steps are done.
    Finished,
    /// The patience was used up.
    EarlyStopped,
    /// It was asked to stop, and can go on from its state.
    Interrupted,
}

/// A training run.
pub struct Trainer<'a, B: Backend> {
    backend: &'a B,
    model: Model<B>,
    space: Workspace<B>,
    optimizer: Optimizer<B>,
    inputs: TrainInputs<'a>,
    schedule: Schedule,
    progress: Progress,
    train_cache: Option<TrunkCache<B>>,
    selection_cache: Option<TrunkCache<B>>,
    cache_memory: Option<CacheMemory>,
    stop: &'a AtomicBool,
}

impl<'a, B: Backend> Trainer<'a, B> {
    /// Plans the memory of a run. `stop`, once set, ends it after the step that is being made.
    pub fn new(
        backend: &'a B,
        mut model: Model<B>,
        inputs: TrainInputs<'a>,
        stop: &'a AtomicBool,
    ) -> Result<Trainer<'a, B>, TrainError> {
        check(&inputs)?;
        let settings = &inputs.settings;
        let longest = |examples: &Examples| (0..examples.len()).map(|index| examples.length(index)).max().unwrap_or(1);
        let longest = longest(inputs.train).max(longest(inputs.selection));
        let tokens = settings.micro_batch_tokens.max(longest);
        let sequences = settings.effective_batch_size().min(inputs.train.len()).max(EVALUATION_SEQUENCES);
        let space = model.workspace(backend, tokens, sequences)?;
        let optimizer = Optimizer::new(backend, &mut model)?;
        let schedule = Schedule::new(settings, settings.total_steps(inputs.train.len()));
        let progress = Progress::new(GradScaler::new(settings.loss_scaling == LossScaling::Dynamic));
        Ok(Trainer {
            backend,
            model,
            space,
            optimizer,
            inputs,
            schedule,
            progress,
            train_cache: None,
            selection_cache: None,
            cache_memory: None,
            stop,
        })
    }

    /// The model and the optimizer, to restore a saved state into; see [`Trainer::set_progress`].
    pub fn parts_mut(&mut self) -> (&mut Model<B>, &mut Optimizer<B>) {
        (&mut self.model, &mut self.optimizer)
    }

    /// Goes on from where `progress` says, which may be the end of a shorter run.
    pub fn set_progress(&mut self, progress: Progress) {
        self.optimizer.steps = progress.optimizer_steps;
        let finished = progress.global_step >= self.total_steps();
        self.progress = Progress { finished, ..progress };
    }

    /// Where the run stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The model, with the best weights after a run that was not interrupted.
    pub fn into_model(self) -> Model<B> {
        self.model
    }

    /// Trains to the end, then loads the best weights.
    pub fn run(&mut self, keeper: &mut dyn Keeper<B>, listener: &mut dyn Listener) -> Result<Ending, TrainError> {
        let total_steps = self.total_steps();
        let started =
            Event::Started { total_steps, steps_per_epoch: self.steps_per_epoch(), done: self.progress.global_step };
        listener.on(&started)?;
        while !self.is_finished() {
            if !self.run_epoch(keeper, listener)? {
                listener.on(&Event::Interrupted)?;
                self.save_state(keeper, listener)?;
                return Ok(Ending::Interrupted);
            }
            self.conclude_epoch(keeper, listener)?;
        }
        if self.progress.early_stopping.best.is_some() {
            keeper.load_best(self.backend, &mut self.model)?;
        }
        let patience = self.inputs.settings.early_stopping_patience;
        let stopped = self.progress.early_stopping.should_stop(patience) && self.progress.global_step < total_steps;
        Ok(if stopped { Ending::EarlyStopped } else { Ending::Finished })
    }

    fn total_steps(&self) -> u64 {
        self.inputs.settings.total_steps(self.inputs.train.len())
    }

    fn steps_per_epoch(&self) -> u64 {
        self.inputs.settings.steps_per_epoch(self.inputs.train.len())
    }

    fn is_finished(&self) -> bool {
        let patience = self.inputs.settings.early_stopping_patience;
        self.progress.finished
            || self.progress.epochs_done >= self.inputs.settings.num_train_epochs
            || self.progress.early_stopping.should_stop(patience)
    }

    /// Trains to the end of the epoch; `false` if it was asked to stop before.
    fn run_epoch(&mut self, keeper: &mut dyn Keeper<B>, listener: &mut dyn Listener) -> Result<bool, TrainError> {
        let settings = &self.inputs.settings;
        let (batch_size, total_steps) = (settings.effective_batch_size(), self.total_steps());
        let epoch = self.progress.epochs_done + 1;
        let order = epoch_order(self.inputs.train.len() as u32, settings.seed, u64::from(epoch));
        let (done, steps) = (self.progress.step_in_epoch, self.steps_per_epoch());
        listener.on(&Event::EpochStarted { epoch, done, steps })?;
        for chunk in order.chunks(batch_size).skip(done as usize) {
            if self.progress.global_step >= total_steps {
                break;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let report = self.step(epoch, chunk)?;
            listener.on(&Event::Step(&report))?;
            self.note_of_loss(&report, listener)?;
            self.notes_of_caches(listener)?;
            let due = self.inputs.save_steps.is_some_and(|every| self.progress.global_step.is_multiple_of(every));
            if due && self.progress.step_in_epoch < steps {
                self.save_state(keeper, listener)?;
            }
        }
        Ok(true)
    }

    /// Evaluates, keeps a new best, and saves the state.
    fn conclude_epoch(&mut self, keeper: &mut dyn Keeper<B>, listener: &mut dyn Listener) -> Result<(), TrainError> {
        let started = Instant::now();
        let (evaluation, collapse) = self.evaluate(listener)?;
        let evaluation_time = started.elapsed();
        let settings = &self.inputs.settings;
        let metric = settings.metric_for_best_model;
        let report = evaluation.report();
        let selection = report.get(metric.key()).unwrap_or(f64::NAN);
        let epoch = self.progress.epochs_done + 1;
        let global_step = self.progress.global_step;
        let (greater, threshold) = (metric.greater_is_better(), settings.early_stopping_threshold);
        let is_best = self.progress.early_stopping.observe(selection, greater, threshold, epoch, global_step);
        let totals = std::mem::take(&mut self.progress.totals);
        let seconds = totals.seconds.max(f64::MIN_POSITIVE);
        let summary = EpochSummary {
            epoch,
            global_step,
            train_loss: totals.mean_loss(),
            train_accuracy: (self.inputs.loss.problem_type != serin_model::ProblemType::Regression)
                .then(|| totals.correct as f64 / totals.examples.max(1) as f64),
            report,
            metric,
            selection,
            is_best,
            without_improvement: self.progress.early_stopping.counter,
            train_time: std::time::Duration::from_secs_f64(totals.seconds),
            evaluation_time,
            examples_per_second: totals.examples as f64 / seconds,
        };
        self.progress.epochs_done = epoch;
        self.progress.step_in_epoch = 0;
        self.progress.finished = global_step >= self.total_steps();
        if is_best {
            keeper.save_best(self.backend, &mut self.model, &summary)?;
        }
        listener.on(&Event::Epoch(&summary))?;
        if let Some(note) = collapse.note(&self.model.config().labels) {
            listener.on(&Event::Note(&note))?;
        }
        if self.progress.early_stopping.should_stop(self.inputs.settings.early_stopping_patience)
            && !self.progress.finished
        {
            listener.on(&Event::EarlyStopping)?;
        }
        self.save_state(keeper, listener)
    }

    fn evaluate(&mut self, listener: &mut dyn Listener) -> Result<(Evaluation, Collapse), TrainError> {
        let selection = self.inputs.selection;
        let mut heard = Ok(());
        let mut progress = |done| {
            if heard.is_ok() {
                heard = listener.on(&Event::Evaluating { done, total: selection.len() });
            }
        };
        let cache = self.selection_cache.as_mut();
        let logits = infer_all(self.backend, &self.model, &mut self.space, selection, cache, &mut progress)?;
        heard?;
        self.notes_of_caches(listener)?;
        let mut evaluation = Evaluation::new(self.model.config(), self.inputs.task)?;
        let mut collapse = Collapse::default();
        for (index, row) in logits.chunks_exact(self.inputs.loss.labels).enumerate() {
            let target = selection.target(index);
            collapse.push(target, evaluation.push(target, row)?);
        }
        Ok((evaluation, collapse))
    }

    fn save_state(&mut self, keeper: &mut dyn Keeper<B>, listener: &mut dyn Listener) -> Result<(), TrainError> {
        listener.flush(self.progress.global_step)?;
        keeper.save_state(self.backend, &mut self.model, &mut self.optimizer, &self.progress)
    }
}

/// Refuses what cannot be trained.
fn check(inputs: &TrainInputs<'_>) -> Result<(), TrainError> {
    if let Some(problem) = inputs.settings.problem() {
        return Err(TrainError::Setting(problem));
    }
    if inputs.train.is_empty() || inputs.selection.is_empty() {
        return Err(TrainError::Data("there is no example to train on, or none to evaluate with".into()));
    }
    let (metric, problem_type) = (inputs.settings.metric_for_best_model, inputs.loss.problem_type);
    if !metric.fits(problem_type) {
        return Err(TrainError::Setting(format!(
            "metric_for_best_model is {}, which a {} has not\nhint: --metric-for-best-model loss always is there",
            metric.key(),
            problem_type.hugging_face_name()
        )));
    }
    match &inputs.settings.class_weights {
        Some(weights) if weights.len() != inputs.loss.labels => Err(TrainError::Setting(format!(
            "class_weights has {} numbers, the model has {} labels",
            weights.len(),
            inputs.loss.labels
        ))),
        _ => Ok(()),
    }
}
