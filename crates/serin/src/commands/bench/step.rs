//! Training steps of the recipe, by the training loop itself: first with the frozen layers computed and put into their cache,
//! then with what the cache has.

use super::ceilings::Ceilings;
use super::conditions::peak_memory;
use super::layers::Rehearsal;
use super::lengths;
use super::measured::Measured;
use super::profile::{bundles, kind, parts};
use super::subject::Subject;
use crate::args::BenchArgs;
use anyhow::{Context, bail};
use serde::Serialize;
use serin::data::{ColumnOptions, DataSpec, LabelUse, load_dataset};
use serin::{Pretrained, PretrainedOptions};
use serin_cpu::Cpu;
use serin_model::{Freezing, LossSettings, Model, ProblemType, Target};
use serin_ops::{Call, Traced, Work};
use serin_train::{
    EpochSummary, Event, Examples, Keeper, Listener, LossScaling, Optimizer, Progress, SchedulerType, SelectionMetric,
    TrainError, TrainInputs, TrainSettings, Trainer, TrunkCache,
};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Steps of an epoch at most, unless told otherwise.
const MOST_STEPS: usize = 8;
/// The share of the time that goes to the epoch with the frozen layers.
const FIRST_EPOCH: f64 = 0.6;

/// Steps, without and with the cache.
#[derive(Serialize)]
pub struct Steps {
    /// What is trained, on what.
    what: String,
    /// Where nothing is frozen there is one kind of step, and no cache.
    pub first_epoch: Steady,
    /// Frozen layers read from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later_epochs: Option<Steady>,
    /// The most memory that the process has had by now, in bytes, file pages apart.
    pub peak_memory: Option<u64>,
}

/// Steps of one kind.
#[derive(Serialize)]
pub struct Steady {
    /// All ops of a step together, and the time outside of them.
    pub step: Measured,
    /// Examples a step.
    pub examples: f64,
    /// Tokens a step.
    pub tokens: f64,
    /// Examples a second over all steps.
    pub examples_per_second: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Seconds of an epoch of `forecast_examples` examples: training alone, without evaluation.
    pub epoch_seconds: f64,
    /// Examples of the epoch that is forecast.
    pub forecast_examples: usize,
    /// By op, the slowest first, and last what is outside of ops: times are those of a mean step.
    pub ops: Vec<Measured>,
    /// By part of the model.
    pub parts: Vec<Measured>,
}

/// Trains for about `budget`.
pub fn measure(
    device: &Traced<Cpu>,
    subject: &Subject,
    ceilings: &Ceilings,
    args: &BenchArgs,
    budget: Duration,
) -> anyhow::Result<Steps> {
    if !(1..=1 << 16).contains(&args.batch_size) || args.steps.is_some_and(|steps| !(1..=1 << 16).contains(&steps)) {
        bail!("--batch-size and --steps must lie in 1 to {}", 1 << 16);
    }
    let frozen = subject.frozen_layers(args.freeze_layers);
    let steps = match args.steps {
        Some(steps) => steps,
        None => affordable(device, subject, frozen, args.batch_size, budget.mul_f64(FIRST_EPOCH))?,
    };
    let examples = match &args.train_file {
        Some(file) => {
            read(args.model.as_deref().context("--train-file needs --model")?, file, steps * args.batch_size)?
        }
        None => {
            let most = subject.config.max_length();
            lengths::examples(&subject.config, &lengths::like_imdb(steps * args.batch_size, most))
        }
    };
    let records = train(device, subject, frozen, args, &examples, budget)?;
    let (first, later): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.epoch == 1);
    let steady = |records: &[Record]| Steady::of(records, subject, frozen, ceilings, args.examples);
    Ok(Steps {
        what: format!(
            "batch {}, embeddings and {frozen} of {} layers frozen, dropout on, {} texts of {:.0} tokens on average",
            args.batch_size,
            subject.config.layers,
            examples.len(),
            examples.tokens() as f64 / examples.len() as f64
        ),
        first_epoch: steady(&first),
        later_epochs: (frozen > 0 && !later.is_empty()).then(|| steady(&later)),
        peak_memory: peak_memory(),
    })
}

/// Steps that fit into `budget`, by the time of a micro-batch, which also warms up.
fn affordable(
    device: &Traced<Cpu>,
    subject: &Subject,
    frozen: usize,
    batch_size: usize,
    budget: Duration,
) -> anyhow::Result<usize> {
    let tokens = TrainSettings::default().micro_batch_tokens;
    let mut rehearsal = Rehearsal::new(device, subject, frozen, tokens)?;
    rehearsal.run()?;
    let started = Instant::now();
    rehearsal.run()?;
    let most = subject.config.max_length();
    let batch: usize = lengths::like_imdb(batch_size, most).iter().sum();
    let step = started.elapsed().as_secs_f64() * batch as f64 / tokens as f64;
    Ok(((budget.as_secs_f64() / step.max(1e-9)) as usize).clamp(1, MOST_STEPS))
}

/// The first `count` texts of a sample of a file, tokenized as the model's are.
fn read(model: &str, file: &Path, count: usize) -> anyhow::Result<Examples> {
    let opened = Pretrained::open(model, &PretrainedOptions::default())?;
    let spec = DataSpec {
        paths: vec![file.to_owned()],
        columns: ColumnOptions::default(),
        label_use: LabelUse::Ignored,
        limit: Some(count),
        ..DataSpec::default()
    };
    let dataset = load_dataset(&spec)?;
    if dataset.examples.len() < count {
        bail!("{}: has {} texts, {count} are needed", file.display(), dataset.examples.len());
    }
    let texts: Vec<_> = dataset.examples.iter().map(|row| (row.text.as_str(), row.pair.as_deref())).collect();
    let labels = opened.folder.config().labels.len();
    let mut examples = Examples::default();
    for (index, encoded) in opened.tokenizer.encode_batch(&texts, &opened.text)?.into_iter().enumerate() {
        // What the label is changes nothing of the work.
        let target = Target::Class((index % labels) as u32);
        examples.push(&encoded.ids, &encoded.type_ids, encoded.full_length, target);
    }
    Ok(examples)
}

fn train(
    device: &Traced<Cpu>,
    subject: &Subject,
    frozen: usize,
    args: &BenchArgs,
    examples: &Examples,
    budget: Duration,
) -> anyhow::Result<Vec<Record>> {
    let selection = lengths::examples(&subject.config, &[8.min(subject.config.max_length())]);
    let labels = subject.config.labels.len();
    let inputs = TrainInputs {
        settings: recipe(args.batch_size),
        loss: LossSettings {
            problem_type: ProblemType::SingleLabelClassification,
            labels,
            label_smoothing: 0.0,
            class_weights: None,
        },
        train: examples,
        selection: &selection,
        task: None,
        save_steps: None,
        logging_steps: u64::MAX,
    };
    let model = subject.build(device, Freezing::Layers(frozen))?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder for the cache")?;
    let open = |name: &str, model: &Model<_>, examples: &Examples| {
        let failed = || format!("{}: cannot make a cache there", folder.path().display());
        TrunkCache::open(folder.path(), name, model, examples).with_context(failed)
    };
    let caches = match frozen {
        0 => None,
        _ => Some((open("train", &model, examples)?, open("selection", &model, &selection)?)),
    };
    let stop = AtomicBool::new(false);
    let mut trainer = Trainer::new(device, model, inputs, &stop)?;
    if let Some((train, selection)) = caches {
        trainer = trainer.with_trunk_caches(train, selection);
    }
    let started = Instant::now();
    let enough = Enough { started, budget, steps: args.steps, frozen };
    let mut clock = Clock { device, mark: started, records: Vec::new(), stop: &stop, enough };
    trainer.run(&mut NoKeeper, &mut clock)?;
    Ok(clock.records)
}

/// The settings of the recipe `imdb-twitter-roberta`, for as long as it takes.
fn recipe(batch_size: usize) -> TrainSettings {
    TrainSettings {
        num_train_epochs: u32::MAX,
        train_batch_size: batch_size,
        learning_rate: 2e-5,
        head_learning_rate: 1e-4,
        weight_decay: 0.01,
        max_grad_norm: None,
        lr_scheduler_type: SchedulerType::Constant,
        loss_scaling: LossScaling::Dynamic,
        metric_for_best_model: SelectionMetric::Loss,
        ..TrainSettings::default()
    }
}

/// A step that was made.
struct Record {
    epoch: u32,
    seconds: f64,
    examples: usize,
    tokens: u64,
    calls: Vec<Call>,
}

/// When to stop.
struct Enough {
    started: Instant,
    budget: Duration,
    steps: Option<usize>,
    frozen: usize,
}

impl Enough {
    /// After a number of steps of later epochs that was asked for, else after the time.
    fn is_reached(&self, records: &[Record]) -> bool {
        let counted = records.iter().filter(|record| self.frozen == 0 || record.epoch > 1).count();
        match self.steps {
            Some(steps) => counted >= steps,
            None => counted >= 2 && self.started.elapsed() >= self.budget,
        }
    }
}

/// Takes the time from step to step.
struct Clock<'a> {
    device: &'a Traced<Cpu>,
    mark: Instant,
    records: Vec<Record>,
    stop: &'a AtomicBool,
    enough: Enough,
}

impl Listener for Clock<'_> {
    fn on(&mut self, event: &Event<'_>) -> Result<(), TrainError> {
        if let Event::Step(report) = event {
            let seconds = self.mark.elapsed().as_secs_f64();
            let before: u64 = self.records.iter().map(|record| record.tokens).sum();
            let (examples, tokens) = (report.examples, report.tokens_seen - before);
            let calls = self.device.take();
            self.records.push(Record { epoch: report.epoch, seconds, examples, tokens, calls });
            self.stop.store(self.enough.is_reached(&self.records), Ordering::Relaxed);
        }
        if matches!(event, Event::Step(_) | Event::EpochStarted { .. }) {
            self.device.take();
            self.mark = Instant::now();
        }
        Ok(())
    }
}

/// Nothing is kept of a run that only takes time.
struct NoKeeper;

impl Keeper<Traced<Cpu>> for NoKeeper {
    fn save_best(&mut self, _: &Traced<Cpu>, _: &mut Model<Traced<Cpu>>, _: &EpochSummary) -> Result<(), TrainError> {
        Ok(())
    }

    fn load_best(&mut self, _: &Traced<Cpu>, _: &mut Model<Traced<Cpu>>) -> Result<(), TrainError> {
        Ok(())
    }

    fn save_state(
        &mut self,
        _: &Traced<Cpu>,
        _: &mut Model<Traced<Cpu>>,
        _: &mut Optimizer<Traced<Cpu>>,
        _: &Progress,
    ) -> Result<(), TrainError> {
        Ok(())
    }
}

impl Steps {
    /// What is trained, on what.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl Steady {
    fn of(records: &[Record], subject: &Subject, frozen: usize, ceilings: &Ceilings, forecast: usize) -> Steady {
        let steps = records.len().max(1) as f64;
        let seconds: Vec<f64> = records.iter().map(|record| record.seconds).collect();
        let total = seconds.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let examples = records.iter().map(|record| record.examples).sum::<usize>() as f64;
        let tokens = records.iter().map(|record| record.tokens).sum::<u64>() as f64;
        let calls = || records.iter().flat_map(|record| record.calls.iter());
        let inside: f64 = calls().map(|call| call.time.as_secs_f64()).sum();
        // Steps differ in length: the work is that of a mean one.
        let mean = |works: &[Work]| -> Vec<Work> {
            works.iter().map(|work| Work { flops: work.flops / steps, bytes: work.bytes / steps }).collect()
        };
        let all: Vec<Work> = calls().map(|call| call.work).collect();
        let of = |name: String, detail: String, seconds: f64, works: &[Work]| {
            let mut measured = Measured::new(name, detail, &[seconds / steps], works, ceilings);
            scale(&mut measured, steps);
            measured
        };
        let by_op = bundles(calls().map(|call| (kind(call), *call)));
        let mut ops: Vec<Measured> = by_op
            .into_iter()
            .map(|((op, shape), bundle)| of(op.to_owned(), shape, bundle.seconds, &bundle.works))
            .collect();
        ops.sort_by(|a, b| b.milliseconds.median.total_cmp(&a.milliseconds.median));
        ops.push(of("outside of ops".into(), "packing, cache files".into(), total - inside, &[]));
        let placed = records.iter().flat_map(|record| parts(&record.calls, subject.config.layers, frozen));
        let parts = bundles(placed)
            .into_iter()
            .map(|(part, bundle)| of(part.to_string(), String::new(), bundle.seconds, &bundle.works))
            .collect();
        let mut step = Measured::new("step", "", &seconds, &mean(&all), ceilings);
        step.calls = (all.len() as f64 / steps).round() as usize;
        let examples_per_second = examples / total;
        Steady {
            step,
            examples: examples / steps,
            tokens: tokens / steps,
            examples_per_second,
            tokens_per_second: tokens / total,
            epoch_seconds: forecast as f64 / examples_per_second.max(f64::MIN_POSITIVE),
            forecast_examples: forecast,
            ops,
            parts,
        }
    }
}

/// From the work of all steps in the time of one to the work of one.
fn scale(measured: &mut Measured, steps: f64) {
    measured.calls = (measured.calls as f64 / steps).round() as usize;
    measured.flops /= steps;
    measured.bytes /= steps;
    measured.tflops /= steps;
    measured.gigabytes_per_second /= steps;
    measured.percent_of_ceiling /= steps;
    measured.percent_of_peak = measured.percent_of_peak.map(|percent| percent / steps);
}
