//! Inference over many examples, and the report on what came out.

use crate::error::TrainError;
use crate::examples::Examples;
use crate::trunk_cache::TrunkCache;
use serin_metrics::{
    EvaluationReport, MultiLabel, MultiLabelOptions, Regression, SingleLabel, SingleLabelOptions, TweetEvalTask,
};
use serin_model::{Model, ModelConfig, ProblemType, Target, Workspace};
use serin_ops::Backend;

/// Sequences of an evaluation's micro-batch at most; short texts would otherwise need room for thousands.
pub(crate) const EVALUATION_SEQUENCES: usize = 256;

/// Accumulates rows of logits and targets in bounded memory.
#[derive(Clone, Debug)]
pub struct Evaluation {
    kind: Kind,
    loss_sum: f64,
    rows: u64,
}

#[derive(Clone, Debug)]
enum Kind {
    Single(Box<SingleLabel>),
    Multi(Box<MultiLabel>),
    Regression(Box<Regression>),
}

impl Evaluation {
    /// An evaluation of a model with these labels. `task` adds an official TweetEval score.
    pub fn new(config: &ModelConfig, task: Option<TweetEvalTask>) -> Result<Evaluation, TrainError> {
        let kind = match config.problem_type() {
            ProblemType::SingleLabelClassification => {
                let options = SingleLabelOptions { tweeteval: task, ..SingleLabelOptions::default() };
                Kind::Single(Box::new(SingleLabel::new(&config.labels, options)?))
            }
            ProblemType::MultiLabelClassification => {
                Kind::Multi(Box::new(MultiLabel::new(&config.labels, MultiLabelOptions::default())?))
            }
            ProblemType::Regression => Kind::Regression(Box::default()),
        };
        Ok(Evaluation { kind, loss_sum: 0.0, rows: 0 })
    }

    /// Adds one row; returns the class decided, where there is one.
    pub fn push(&mut self, target: &Target, logits: &[f32]) -> Result<Option<u32>, TrainError> {
        let decided = match (&mut self.kind, target) {
            (Kind::Single(evaluation), Target::Class(class)) => evaluation.push_logits(*class, logits)?,
            (Kind::Multi(evaluation), Target::Multi(flags)) => {
                evaluation.push_logits(flags, logits)?;
                None
            }
            (Kind::Regression(evaluation), Target::Score(score)) => {
                evaluation.push(*score, logits.first().copied().unwrap_or(f32::NAN))?;
                None
            }
            _ => {
                let reason = "the labels are of another kind than the model's problem_type\nhint: set --problem-type";
                return Err(TrainError::Data(reason.into()));
            }
        };
        self.loss_sum += row_loss(target, logits);
        self.rows += 1;
        Ok(decided)
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The report, with the mean loss as `eval_loss`: unweighted, unsmoothed.
    pub fn report(&self) -> EvaluationReport {
        let report = match &self.kind {
            Kind::Single(evaluation) => EvaluationReport::from(evaluation.as_ref()),
            Kind::Multi(evaluation) => EvaluationReport::from(evaluation.as_ref()),
            Kind::Regression(evaluation) => EvaluationReport::from(evaluation.as_ref()),
        };
        report.with_loss(self.loss_sum / self.rows.max(1) as f64)
    }
}

/// The loss of a row in f64: cross-entropy, mean binary cross-entropy, or squared error.
fn row_loss(target: &Target, logits: &[f32]) -> f64 {
    let z = |index: usize| f64::from(logits[index]);
    match target {
        Target::Class(class) => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - f64::from(largest)).exp()).sum();
            f64::from(largest) + sum.ln() - z(*class as usize)
        }
        Target::Multi(flags) => {
            let term = |(index, &flag): (usize, &bool)| {
                z(index).max(0.0) - if flag { z(index) } else { 0.0 } + (-z(index).abs()).exp().ln_1p()
            };
            flags.iter().enumerate().map(term).sum::<f64>() / flags.len() as f64
        }
        Target::Score(score) => (z(0) - f64::from(*score)).powi(2),
    }
}

/// Whether a row is decided rightly: the count behind the training accuracy.
pub(crate) fn is_correct(target: &Target, logits: &[f32]) -> bool {
    match target {
        Target::Class(class) => {
            let class = *class as usize;
            let beaten =
                |(other, &logit): (usize, &f32)| logit > logits[class] || (logit == logits[class] && other < class);
            !logits[class].is_nan() && !logits.iter().enumerate().any(beaten)
        }
        Target::Multi(flags) => flags.iter().zip(logits).all(|(&flag, &logit)| flag == (logit > 0.0)),
        Target::Score(_) => false,
    }
}

/// Logits `[examples, labels]` of all examples, computed longest first in micro-batches that fit `space`.
///
/// With a `cache` the trunk's output is taken from it where it is there, and put into it where it is not. `progress` is
/// told how many examples are done.
pub fn infer_all<B: Backend>(
    backend: &B,
    model: &Model<B>,
    space: &mut Workspace<B>,
    examples: &Examples,
    mut cache: Option<&mut TrunkCache<B>>,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<f32>, TrainError> {
    let labels = model.config().labels.len();
    let mut logits = vec![0.0; examples.len() * labels];
    let mut order: Vec<u32> = (0..examples.len() as u32).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(examples.length(index as usize)));
    let mut done = 0;
    while done < order.len() {
        let rest = &order[done..];
        let chunk = &rest[..space.run_length(rest.iter().map(|&index| examples.length(index as usize)))];
        let batch = examples.pack(model.config(), chunk);
        let values = match cache.as_deref_mut() {
            Some(cache) => {
                cache.trunk(backend, model, space, examples, chunk, &batch, None)?;
                model.infer_from_trunk(backend, space, &batch)?
            }
            None => model.infer(backend, space, &batch)?,
        };
        for (row, &index) in values.chunks_exact(labels).zip(chunk) {
            logits[index as usize * labels..][..labels].copy_from_slice(row);
        }
        done += chunk.len();
        progress(done);
    }
    Ok(logits)
}
