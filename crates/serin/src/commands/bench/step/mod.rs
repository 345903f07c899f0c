//! Training steps of the recipe, by the training loop itself: first with the frozen layers computed and put into their cache,
//! then with what the cache has.

mod forecast;
mod records;
mod steady;

pub use forecast::Forecast;
pub use steady::Steady;

use super::ceilings::{Ceilings, Limits};
use super::conditions::peak_memory;
use super::layers::Rehearsal;
use super::lengths;
use super::subject::Subject;
use super::texts;
use crate::args::BenchArgs;
use anyhow::Context;
use records::{Enough, Run};
use serde::Serialize;
use serin_ops::Traced;
use serin_train::{Examples, LossScaling, SchedulerType, SelectionMetric, TrainSettings};
use std::time::{Duration, Instant};

/// The share of the time that goes to the epoch with the frozen layers.
const FIRST_EPOCH: f64 = 0.6;
/// An evaluation has as many batches as an epoch of the default number of steps has, over this.
const STEPS_AN_EVALUATED_BATCH: usize = 8;

/// Steps, without and with the cache.
#[derive(Serialize)]
pub struct Steps {
    /// What is trained, on what.
    what: String,
    /// Whether times by op and by part are those of other steps, in which each op was waited for.
    pub ops_apart: bool,
    /// Where nothing is frozen there is one kind of step, and no cache.
    pub first_epoch: Steady,
    /// Frozen layers read from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later_epochs: Option<Steady>,
    /// What the recipe would take.
    pub forecast: Forecast,
    /// The most memory that the process has had by now, in bytes, file pages apart.
    pub peak_memory: Option<u64>,
}

impl Steps {
    /// What is trained, on what.
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// Trains for about `budget`; a device that enqueues once more, to see where the time goes.
pub fn measure<B: Limits>(
    device: &Traced<B>,
    subject: &Subject,
    ceilings: &Ceilings,
    args: &BenchArgs,
    budget: Duration,
) -> anyhow::Result<Steps> {
    let frozen = subject.frozen_layers(args.freeze_layers);
    let settings = settings(args);
    if B::ENQUEUES {
        warm_up(device.inner(), subject, frozen, &settings)?;
    }
    let steps = match args.steps {
        Some(steps) => steps,
        None => affordable(device, subject, frozen, &settings, budget.mul_f64(FIRST_EPOCH))?,
    };
    let examples = match &args.train_file {
        Some(file) => {
            let model = args.model.as_deref().context("--train-file needs --model")?;
            texts::examples(model, file, steps * args.batch_size)?
        }
        None => like_imdb(subject, steps * args.batch_size),
    };
    let evaluated = like_imdb(subject, args.batch_size * (B::STEPS / STEPS_AN_EVALUATED_BATCH));
    let run = |counted| {
        let enough = Enough { started: Instant::now(), budget, steps: counted, an_epoch: steps, frozen };
        Run { subject, settings: &settings, train: &examples, evaluated: &evaluated, enough }
    };
    // In the steps that are looked into, a device that enqueues is waited for after every op: its steps are timed in others.
    let (watched, timed) = if B::ENQUEUES {
        let watched = run(Some(steps)).make(device, &|| device.take())?;
        (Some(watched), run(args.steps).make(device.inner(), &Vec::new)?)
    } else {
        (None, run(args.steps).make(device, &|| device.take())?)
    };
    let steady = |later: bool| {
        let steps = timed.epochs(later)?;
        let watched = watched.as_ref().map_or(Some(steps), |watched| watched.epochs(later));
        Some(Steady::of(steps, watched.unwrap_or(&[]), subject, frozen, ceilings, args.examples))
    };
    let first_epoch = steady(false).context("no step was made")?;
    let later_epochs = if frozen > 0 { steady(true) } else { None };
    Ok(Steps {
        what: describe(&settings, frozen, subject.config.layers, &examples),
        ops_apart: B::ENQUEUES,
        forecast: Forecast::of(&first_epoch, later_epochs.as_ref(), &timed, args.examples),
        first_epoch,
        later_epochs,
        peak_memory: peak_memory(),
    })
}

fn describe(settings: &TrainSettings, frozen: usize, layers: usize, examples: &Examples) -> String {
    format!(
        "batch {} in micro-batches of {} tokens, embeddings and {frozen} of {layers} layers frozen, dropout on, {} texts of \
         {:.0} tokens on average",
        settings.train_batch_size,
        settings.micro_batch_tokens,
        examples.len(),
        examples.tokens() as f64 / examples.len() as f64
    )
}

/// The settings of the recipe `imdb-twitter-roberta`, for as long as it takes.
fn settings(args: &BenchArgs) -> TrainSettings {
    let defaults = TrainSettings::default();
    TrainSettings {
        num_train_epochs: u32::MAX,
        train_batch_size: args.batch_size,
        micro_batch_tokens: args.micro_batch_tokens.unwrap_or(defaults.micro_batch_tokens),
        learning_rate: 2e-5,
        head_learning_rate: 1e-4,
        weight_decay: 0.01,
        max_grad_norm: None,
        lr_scheduler_type: SchedulerType::Constant,
        loss_scaling: LossScaling::Dynamic,
        metric_for_best_model: SelectionMetric::Loss,
        ..defaults
    }
}

/// Made-up texts as long as IMDB's.
fn like_imdb(subject: &Subject, count: usize) -> Examples {
    lengths::examples(&subject.config, &lengths::like_imdb(count.max(1), subject.config.max_length()))
}

/// One step without and one with the cache, and their evaluations: kernels are compiled, and ways of multiplying chosen.
fn warm_up<B: Limits>(device: &B, subject: &Subject, frozen: usize, settings: &TrainSettings) -> anyhow::Result<()> {
    let examples = like_imdb(subject, settings.train_batch_size);
    let enough = Enough { started: Instant::now(), budget: Duration::ZERO, steps: Some(1), an_epoch: 1, frozen };
    let run = Run { subject, settings, train: &examples, evaluated: &examples, enough };
    run.make(device, &Vec::new).map(drop)
}

/// Steps that fit into `budget`, by the time of a micro-batch, which also warms up.
fn affordable<B: Limits>(
    device: &Traced<B>,
    subject: &Subject,
    frozen: usize,
    settings: &TrainSettings,
    budget: Duration,
) -> anyhow::Result<usize> {
    let tokens = settings.micro_batch_tokens;
    let mut rehearsal = Rehearsal::new(device, subject, frozen, tokens)?;
    rehearsal.run()?;
    let started = Instant::now();
    rehearsal.run()?;
    let most = subject.config.max_length();
    let batch: usize = lengths::like_imdb(settings.train_batch_size, most).iter().sum();
    let step = started.elapsed().as_secs_f64() * batch as f64 / tokens as f64;
    Ok(((budget.as_secs_f64() / step.max(1e-9)) as usize).clamp(1, B::STEPS))
}
