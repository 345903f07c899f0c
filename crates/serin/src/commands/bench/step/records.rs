//! A run of the training loop with a clock at its steps and evaluations.

use super::super::subject::Subject;
use anyhow::Context;
use serin_model::{Freezing, LossSettings, Model, ProblemType};
use serin_ops::{Backend, Call};
use serin_train::{
    EpochSummary, Event, Examples, Keeper, Listener, Optimizer, Progress, TrainError, TrainInputs, TrainSettings,
    Trainer, TrunkCache,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is trained, and for how long.
pub(super) struct Run<'a> {
    pub(super) subject: &'a Subject,
    pub(super) settings: &'a TrainSettings,
    pub(super) train: &'a Examples,
    /// What each epoch ends with an evaluation on.
    pub(super) evaluated: &'a Examples,
    pub(super) enough: Enough,
}

/// When to stop.
pub(super) struct Enough {
    pub(super) started: Instant,
    pub(super) budget: Duration,
    /// Steps of later epochs that were asked for.
    pub(super) steps: Option<usize>,
    /// Steps of an epoch.
    pub(super) an_epoch: usize,
    pub(super) frozen: usize,
}

impl Enough {
    /// At the end of an epoch, so that its evaluation is measured: after the steps that were asked for, else after the time.
    fn is_reached(&self, records: &[Record]) -> bool {
        let counted = records.iter().filter(|record| self.frozen == 0 || record.epoch > 1).count();
        let enough = match self.steps {
            Some(steps) => counted >= steps,
            None => counted >= 2 && self.started.elapsed() >= self.budget,
        };
        enough && records.len().is_multiple_of(self.an_epoch)
    }
}

/// A step that was made.
pub(super) struct Record {
    pub(super) epoch: u32,
    pub(super) seconds: f64,
    pub(super) examples: usize,
    pub(super) tokens: u64,
    pub(super) calls: Vec<Call>,
}

/// All that was made.
#[derive(Default)]
pub(super) struct Records {
    /// In order.
    pub(super) steps: Vec<Record>,
    /// The seconds an example of each epoch's evaluation.
    pub(super) evaluations: Vec<f64>,
}

impl Records {
    /// The steps of the first epoch, or of the later ones; `None` where there is none.
    pub(super) fn epochs(&self, later: bool) -> Option<&[Record]> {
        let (first, rest) = self.steps.split_at(self.steps.partition_point(|record| record.epoch == 1));
        Some(if later { rest } else { first }).filter(|steps| !steps.is_empty())
    }
}

impl Run<'_> {
    /// Trains a new model; `calls` gives those of a step, where the device takes note of them.
    pub(super) fn make<B: Backend>(self, device: &B, calls: &dyn Fn() -> Vec<Call>) -> anyhow::Result<Records> {
        let Run { subject, settings, train, evaluated, enough } = self;
        let loss = LossSettings {
            problem_type: ProblemType::SingleLabelClassification,
            labels: subject.config.labels.len(),
            label_smoothing: 0.0,
            class_weights: None,
        };
        let inputs = TrainInputs {
            settings: settings.clone(),
            loss,
            train,
            selection: evaluated,
            task: None,
            save_steps: None,
            logging_steps: u64::MAX,
        };
        let model = subject.build(device, Freezing::Layers(enough.frozen))?;
        let folder = tempfile::tempdir().context("cannot make a temporary folder for the cache")?;
        let open = |name: &str, model: &Model<B>, examples: &Examples| {
            let failed = || format!("{}: cannot make a cache there", folder.path().display());
            TrunkCache::open(folder.path(), name, model, examples).with_context(failed)
        };
        let caches = match enough.frozen {
            0 => None,
            _ => Some((open("train", &model, train)?, open("selection", &model, evaluated)?)),
        };
        let stop = AtomicBool::new(false);
        let mut trainer = Trainer::new(device, model, inputs, &stop)?;
        if let Some((train, selection)) = caches {
            trainer = trainer.with_trunk_caches(train, selection);
        }
        let (mark, records, evaluated) = (Instant::now(), Records::default(), evaluated.len() as f64);
        let mut clock = Clock { device, calls, mark, records, evaluated, stop: &stop, enough };
        trainer.run(&mut NoKeeper, &mut clock)?;
        Ok(clock.records)
    }
}

/// Takes the time from step to step. A device that enqueues is waited for before an epoch's first step and after its last; what
/// a step leaves in the queue between them is waited for in the next one.
struct Clock<'a, B: Backend> {
    device: &'a B,
    calls: &'a dyn Fn() -> Vec<Call>,
    mark: Instant,
    records: Records,
    /// Examples of an evaluation.
    evaluated: f64,
    stop: &'a AtomicBool,
    enough: Enough,
}

impl<B: Backend> Listener for Clock<'_, B> {
    fn on(&mut self, event: &Event<'_>) -> Result<(), TrainError> {
        match event {
            Event::EpochStarted { .. } => self.device.synchronize()?,
            Event::Step(report) => {
                if report.step_in_epoch == report.steps_per_epoch {
                    self.device.synchronize()?;
                }
                let seconds = self.mark.elapsed().as_secs_f64();
                let steps = &mut self.records.steps;
                let before: u64 = steps.iter().map(|record| record.tokens).sum();
                let (examples, tokens) = (report.examples, report.tokens_seen - before);
                steps.push(Record { epoch: report.epoch, seconds, examples, tokens, calls: (self.calls)() });
                self.stop.store(self.enough.is_reached(steps), Ordering::Relaxed);
            }
            Event::Epoch(summary) => {
                self.records.evaluations.push(summary.evaluation_time.as_secs_f64() / self.evaluated);
            }
            _ => {}
        }
        if matches!(event, Event::Step(_) | Event::EpochStarted { .. }) {
            (self.calls)();
            self.mark = Instant::now();
        }
        Ok(())
    }
}

/// Nothing is kept of a run that only takes time.
struct NoKeeper;

impl<B: Backend> Keeper<B> for NoKeeper {
    fn save_best(&mut self, _: &B, _: &mut Model<B>, _: &EpochSummary) -> Result<(), TrainError> {
        Ok(())
    }

    fn load_best(&mut self, _: &B, _: &mut Model<B>) -> Result<(), TrainError> {
        Ok(())
    }

    fn save_state(&mut self, _: &B, _: &mut Model<B>, _: &mut Optimizer<B>, _: &Progress) -> Result<(), TrainError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(epochs: &[u32]) -> Vec<Record> {
        let record = |&epoch: &u32| Record { epoch, seconds: 1.0, examples: 1, tokens: 1, calls: Vec::new() };
        epochs.iter().map(record).collect()
    }

    fn enough(steps: Option<usize>, frozen: usize) -> Enough {
        Enough { started: Instant::now(), budget: Duration::ZERO, steps, an_epoch: 2, frozen }
    }

    #[test]
    fn a_run_ends_with_an_epoch_of_what_was_asked_for() {
        for (steps, frozen, ends) in [(Some(1), 1, 4), (Some(3), 1, 6), (Some(3), 0, 4), (None, 1, 4), (None, 0, 2)] {
            let all = records(&[1, 1, 2, 2, 3, 3, 4, 4]);
            let first = (1..8).find(|&made| enough(steps, frozen).is_reached(&all[..made]));
            assert_eq!(first, Some(ends), "{steps:?} {frozen}");
        }
    }

    #[test]
    fn epochs_are_the_first_and_all_others() {
        let count = |epochs: &[u32], later| {
            Records { steps: records(epochs), evaluations: Vec::new() }.epochs(later).map(<[Record]>::len)
        };
        assert_eq!((count(&[1, 1, 2, 3, 3], false), count(&[1, 1, 2, 3, 3], true)), (Some(2), Some(3)));
        assert_eq!((count(&[1], true), count(&[], false)), (None, None));
    }
}
