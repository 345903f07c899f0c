//! Files that a run logs into: JSONL, `trainer_state.json`, TensorBoard. They only listen.

use super::console::Console;
use super::run_folder::RunFolder;
use serin_train::report::{
    EarlyStoppingArgs, EarlyStoppingAttributes, EarlyStoppingState, EventFile, JsonlLog, LogEntry, TrainerState,
};
use serin_train::{EpochSummary, Event, HeldOut, Listener, Progress, StepReport, TrainError, TrainSettings};
use std::time::{SystemTime, UNIX_EPOCH};

/// Logs to files and passes everything on to the console.
pub(crate) struct RunLogs<'a> {
    folder: &'a RunFolder,
    console: &'a mut dyn Console,
    log: JsonlLog,
    events: Option<EventFile>,
    state: TrainerState,
    settings: TrainSettings,
    steps_per_epoch: u64,
}

impl<'a> RunLogs<'a> {
    /// Opens the logs of a run that stands at `progress`; entries beyond it are forgotten.
    pub(crate) fn open(
        folder: &'a RunFolder,
        console: &'a mut dyn Console,
        settings: &TrainSettings,
        logging_steps: u64,
        tensorboard: bool,
        progress: &Progress,
    ) -> Result<RunLogs<'a>, TrainError> {
        let done = progress.global_step;
        let log = JsonlLog::resume(&folder.log(), done)?;
        let mut state = match folder.trainer_state().exists() && done > 0 {
            true => TrainerState::load(&folder.trainer_state())?,
            false => TrainerState::default(),
        };
        state.log_history.retain(|entry| entry.step().is_none_or(|step| step <= done));
        let events = match (tensorboard, done) {
            (false, _) => None,
            (true, 0) => Some(EventFile::create(&folder.tensorboard(), now())?),
            (true, done) => Some(EventFile::resume(&folder.tensorboard(), now(), done + 1)?),
        };
        state.num_input_tokens_seen = progress.tokens_seen;
        state.train_batch_size = Some(settings.effective_batch_size() as u64);
        state.num_train_epochs = u64::from(settings.num_train_epochs);
        state.logging_steps = logging_steps;
        Ok(RunLogs { folder, console, log, events, state, settings: settings.clone(), steps_per_epoch: 1 })
    }

    /// The entries so far, those of before an interruption too.
    pub(crate) fn history(&self) -> &[LogEntry] {
        &self.state.log_history
    }

    fn step(&mut self, report: &StepReport) -> Result<(), TrainError> {
        self.state.global_step = report.global_step;
        self.state.num_input_tokens_seen = report.tokens_seen;
        self.state.epoch = f64::from(report.epoch - 1) + report.step_in_epoch as f64 / report.steps_per_epoch as f64;
        let Some(loss) = report.logged_loss else { return Ok(()) };
        let norm = report.grad_norm.unwrap_or(f64::NAN);
        let entry = LogEntry::new(
            [
                ("loss", loss),
                ("grad_norm", norm),
                ("learning_rate", report.learning_rate),
                ("loss_scale", f64::from(report.scale)),
                ("skipped_steps", report.skipped_total as f64),
            ],
            self.state.epoch,
            report.global_step,
        );
        self.write(entry)
    }

    fn epoch(&mut self, summary: &EpochSummary) -> Result<(), TrainError> {
        self.state.global_step = summary.global_step;
        self.state.epoch = f64::from(summary.epoch);
        self.state.eval_steps = self.steps_per_epoch;
        let mut numbers: Vec<(&str, f64)> = summary.report.numbers().collect();
        let runtime = summary.evaluation_time.as_secs_f64();
        numbers.push(("eval_runtime", runtime));
        if let Some(samples) = summary.report.get("eval_samples") {
            numbers.push(("eval_samples_per_second", samples / runtime.max(f64::MIN_POSITIVE)));
        }
        numbers.push(("train_loss", summary.train_loss));
        numbers.push(("train_samples_per_second", summary.examples_per_second));
        if let Some(accuracy) = summary.train_accuracy {
            numbers.push(("train_accuracy", accuracy));
        }
        if summary.is_best {
            self.state.best_metric = Some(summary.selection);
            self.state.best_global_step = Some(summary.global_step);
            self.state.best_model_checkpoint = Some(self.folder.best().display().to_string());
        }
        if let Some(patience) = self.settings.early_stopping_patience {
            self.state.stateful_callbacks.early_stopping = Some(EarlyStoppingState {
                args: EarlyStoppingArgs {
                    early_stopping_patience: u64::from(patience),
                    early_stopping_threshold: self.settings.early_stopping_threshold,
                },
                attributes: EarlyStoppingAttributes {
                    early_stopping_patience_counter: u64::from(summary.without_improvement),
                },
            });
        }
        self.write(LogEntry::new(numbers, self.state.epoch, summary.global_step))
    }

    fn held_out(&mut self, held_out: &HeldOut) -> Result<(), TrainError> {
        if held_out.is_best {
            self.state.best_metric = Some(held_out.loss);
            self.state.best_global_step = Some(held_out.global_step);
            self.state.best_model_checkpoint = Some(self.folder.best().display().to_string());
        }
        self.write(LogEntry::new(held_out.numbers(), held_out.epoch, held_out.global_step))
    }

    /// The evaluation of the best epoch.
    pub(super) fn best(&self) -> Option<LogEntry> {
        let step = self.state.best_global_step?;
        let evaluates = |entry: &&LogEntry| entry.step() == Some(step) && entry.get("eval_samples").is_some();
        self.state.log_history.iter().find(evaluates).cloned()
    }

    fn write(&mut self, entry: LogEntry) -> Result<(), TrainError> {
        self.log.append(&entry)?;
        if let (Some(events), Some(step)) = (&mut self.events, entry.step()) {
            let names = entry.0.keys().filter(|name| !matches!(name.as_str(), "step" | "epoch"));
            let numbers = names.filter_map(|name| entry.get(name).map(|value| (tag(name), value as f32)));
            let numbers: Vec<(String, f32)> = numbers.collect();
            let borrowed: Vec<(&str, f32)> = numbers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            events.scalars(&borrowed, step, now())?;
        }
        self.state.log_history.push(entry);
        Ok(())
    }
}

impl Listener for RunLogs<'_> {
    fn on(&mut self, event: &Event<'_>) -> Result<(), TrainError> {
        match event {
            Event::Started { total_steps, steps_per_epoch, .. } => {
                self.state.max_steps = *total_steps;
                self.steps_per_epoch = *steps_per_epoch;
            }
            Event::Step(report) => self.step(report)?,
            Event::Epoch(summary) => self.epoch(summary)?,
            Event::HeldOut(held_out) => self.held_out(held_out)?,
            _ => {}
        }
        self.console.event(event)
    }

    fn flush(&mut self, _global_step: u64) -> Result<(), TrainError> {
        self.log.sync()?;
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        Ok(self.state.save(&self.folder.trainer_state())?)
    }
}

/// TensorBoard groups tags by what stands before the slash, as Hugging Face's callback has them.
fn tag(name: &str) -> String {
    match name.strip_prefix("eval_") {
        Some(rest) => format!("eval/{rest}"),
        None => format!("train/{}", name.trim_start_matches("train_")),
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
