//! Everything that decides what a training run computes. Names are those of Hugging Face's `TrainingArguments`.

use serde::{Deserialize, Serialize};
use serin_model::ProblemType;

/// More tokens at once than any device has memory for; a typing error that sizes of buffers need not survive.
const MOST_MICRO_BATCH_TOKENS: usize = 1 << 24;

/// The settings of a run; two runs with equal settings, data and model give the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Passes over the training data.
    pub num_train_epochs: u32,
    /// Stop after so many optimizer steps, whatever the epochs say.
    pub max_steps: Option<u64>,
    /// Examples of a batch.
    pub train_batch_size: usize,
    /// Batches that make an optimizer step together; losses are averaged over all their examples.
    pub gradient_accumulation_steps: usize,
    /// Peak learning rate of the encoder.
    pub learning_rate: f32,
    /// Peak learning rate of the head.
    pub head_learning_rate: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Whether biases and norms are spared the decay, as `Trainer` does.
    pub no_decay_norm_bias: bool,
    /// β₁.
    pub adam_beta1: f64,
    /// β₂.
    pub adam_beta2: f64,
    /// ε.
    pub adam_epsilon: f32,
    /// Gradients are scaled down to this norm; `None` leaves them.
    pub max_grad_norm: Option<f32>,
    /// How the learning rate runs.
    pub lr_scheduler_type: SchedulerType,
    /// How it rises.
    pub warmup: Warmup,
    /// ε of label smoothing.
    pub label_smoothing_factor: f32,
    /// A weight a label.
    pub class_weights: Option<Vec<f32>>,
    /// Seeds data order and dropout.
    pub seed: u64,
    /// Stop after so many evaluations in a row without improvement; `None` never stops early.
    pub early_stopping_patience: Option<u32>,
    /// Least improvement that resets the counter.
    pub early_stopping_threshold: f64,
    /// What decides which weights are best.
    pub metric_for_best_model: SelectionMetric,
    /// Whether losses are scaled dynamically.
    pub loss_scaling: LossScaling,
    /// Whether frozen layers drop too, as they do in PyTorch unless they are put in evaluation mode.
    pub frozen_dropout: bool,
    /// Tokens that are computed at once; bounds memory.
    pub micro_batch_tokens: usize,
}

impl Default for TrainSettings {
    fn default() -> TrainSettings {
        TrainSettings {
            num_train_epochs: 3,
            max_steps: None,
            train_batch_size: 32,
            gradient_accumulation_steps: 1,
            learning_rate: 5e-5,
            head_learning_rate: 5e-5,
            weight_decay: 0.0,
            no_decay_norm_bias: false,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: Some(1.0),
            lr_scheduler_type: SchedulerType::Linear,
            warmup: Warmup::Ratio(0.0),
            label_smoothing_factor: 0.0,
            class_weights: None,
            seed: 42,
            early_stopping_patience: None,
            early_stopping_threshold: 0.0,
            metric_for_best_model: SelectionMetric::Accuracy,
            loss_scaling: LossScaling::None,
            frozen_dropout: false,
            micro_batch_tokens: 4096,
        }
    }
}

impl TrainSettings {
    /// Examples of an optimizer step.
    pub fn effective_batch_size(&self) -> usize {
        self.train_batch_size * self.gradient_accumulation_steps
    }

    /// Optimizer steps of an epoch over `examples`; the last may be short.
    pub fn steps_per_epoch(&self, examples: usize) -> u64 {
        examples.div_ceil(self.effective_batch_size()) as u64
    }

    /// Optimizer steps of the whole run.
    pub fn total_steps(&self, examples: usize) -> u64 {
        let steps = self.steps_per_epoch(examples) * u64::from(self.num_train_epochs);
        self.max_steps.map_or(steps, |most| most.min(steps))
    }

    /// Whether the learning rates of the steps so far would be others in a longer run.
    pub fn schedule_depends_on_length(&self) -> bool {
        match (self.lr_scheduler_type, self.warmup) {
            (SchedulerType::Constant, _) | (SchedulerType::ConstantWithWarmup, Warmup::Steps(_)) => false,
            (SchedulerType::ConstantWithWarmup, Warmup::Ratio(_)) => true,
            (SchedulerType::Linear | SchedulerType::Cosine, _) => true,
        }
    }

    /// What of `self` cannot be run, by the name of the setting.
    pub fn problem(&self) -> Option<String> {
        let positive = |name: &str, value: f64| {
            (value <= 0.0 || !value.is_finite()).then(|| format!("{name} must be above 0, found {value}"))
        };
        let not_negative = |name: &str, value: f64| {
            (value < 0.0 || !value.is_finite()).then(|| format!("{name} must not be negative, found {value}"))
        };
        let below_one = |name: &str, value: f64| {
            (!(0.0..1.0).contains(&value)).then(|| format!("{name} must lie in [0, 1), found {value}"))
        };
        positive("num_train_epochs", f64::from(self.num_train_epochs))
            .or_else(|| positive("train_batch_size", self.train_batch_size as f64))
            .or_else(|| positive("gradient_accumulation_steps", self.gradient_accumulation_steps as f64))
            .or_else(|| positive("micro_batch_tokens", self.micro_batch_tokens as f64))
            .or_else(|| {
                let (tokens, most) = (self.micro_batch_tokens, MOST_MICRO_BATCH_TOKENS);
                (tokens > most).then(|| format!("micro_batch_tokens must be at most {most}, found {tokens}"))
            })
            .or_else(|| not_negative("learning_rate", f64::from(self.learning_rate)))
            .or_else(|| not_negative("head_learning_rate", f64::from(self.head_learning_rate)))
            .or_else(|| not_negative("weight_decay", f64::from(self.weight_decay)))
            .or_else(|| below_one("adam_beta1", self.adam_beta1))
            .or_else(|| below_one("adam_beta2", self.adam_beta2))
            .or_else(|| positive("adam_epsilon", f64::from(self.adam_epsilon)))
            .or_else(|| self.max_grad_norm.and_then(|norm| positive("max_grad_norm", f64::from(norm))))
            .or_else(|| below_one("label_smoothing_factor", f64::from(self.label_smoothing_factor)))
            .or_else(|| not_negative("early_stopping_threshold", self.early_stopping_threshold))
            .or_else(|| self.max_steps.and_then(|steps| positive("max_steps", steps as f64)))
            .or_else(|| {
                self.early_stopping_patience
                    .and_then(|patience| positive("early_stopping_patience", f64::from(patience)))
            })
            .or_else(|| match self.warmup {
                Warmup::Ratio(ratio) => below_one("warmup_ratio", ratio),
                Warmup::Steps(_) => None,
            })
            .or_else(|| {
                self.class_weights.iter().flatten().find_map(|&weight| not_negative("class_weights", f64::from(weight)))
            })
    }
}

/// How the learning rate runs after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerType {
    /// Falls to zero in a straight line.
    Linear,
    /// Falls to zero along half a cosine.
    Cosine,
    /// Stays, without a warm-up.
    Constant,
    /// Stays after the warm-up.
    ConstantWithWarmup,
}

/// How long the learning rate rises from zero, in a straight line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// Optimizer steps.
    Steps(u64),
    /// A share of all optimizer steps, rounded up.
    Ratio(f64),
}

/// Whether losses are multiplied before the backward pass so that small gradients survive 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossScaling {
    /// Never.
    None,
    /// As `torch.amp.GradScaler` does.
    Dynamic,
}

/// The number that decides which weights are best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionMetric {
    /// Share of rows decided rightly; for multi-label, of rows with every label right.
    Accuracy,
    /// Mean F1 over labels.
    F1Macro,
    /// Mean recall over labels.
    RecallMacro,
    /// Matthews correlation.
    Mcc,
    /// The loss; smaller is better.
    Loss,
    /// Pearson correlation, for regression.
    Pearson,
}

impl SelectionMetric {
    /// Its key in evaluation reports.
    pub const fn key(self) -> &'static str {
        match self {
            SelectionMetric::Accuracy => "eval_accuracy",
            SelectionMetric::F1Macro => "eval_f1_macro",
            SelectionMetric::RecallMacro => "eval_recall_macro",
            SelectionMetric::Mcc => "eval_matthews_correlation",
            SelectionMetric::Loss => "eval_loss",
            SelectionMetric::Pearson => "eval_pearson",
        }
    }

    /// What selects unless told otherwise.
    pub const fn of(problem_type: ProblemType) -> SelectionMetric {
        match problem_type {
            ProblemType::Regression => SelectionMetric::Pearson,
            ProblemType::SingleLabelClassification | ProblemType::MultiLabelClassification => SelectionMetric::Accuracy,
        }
    }

    /// Whether evaluations of such problems have it.
    pub const fn fits(self, problem_type: ProblemType) -> bool {
        match (self, problem_type) {
            (SelectionMetric::Loss, _) => true,
            (SelectionMetric::Pearson, _) => matches!(problem_type, ProblemType::Regression),
            (SelectionMetric::Mcc, _) => matches!(problem_type, ProblemType::SingleLabelClassification),
            (_, _) => !matches!(problem_type, ProblemType::Regression),
        }
    }

    /// Whether more is better.
    pub const fn greater_is_better(self) -> bool {
        !matches!(self, SelectionMetric::Loss)
    }
}
