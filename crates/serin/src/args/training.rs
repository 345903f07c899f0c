//! Flags of the optimizer's loop, which fine-tuning and pretraining share, and what they mean.

use clap::{Args, ValueEnum};
use serin::SerinError;
use serin::device::Precision;
use serin::train::{LossScaling, SchedulerType, TrainSettings, Warmup};

/// Length of a run, batches, AdamW, schedule, dropout, seed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Passes over the training data [default: 3; from serin-tiny 4].
    #[arg(long, value_name = "N", alias = "epochs")]
    pub num_train_epochs: Option<u32>,
    /// Stop after so many optimizer steps.
    #[arg(long, value_name = "N")]
    pub max_steps: Option<i64>,
    /// Examples, or sequences, of a batch [default: 32; in pretraining 64].
    #[arg(long, value_name = "N", visible_alias = "batch-size", alias = "train-batch-size")]
    pub per_device_train_batch_size: Option<usize>,
    /// Batches that make a step together; losses are averaged over all of them [default: 1].
    #[arg(long, value_name = "N")]
    pub gradient_accumulation_steps: Option<usize>,
    /// Peak learning rate, of the encoder where the head has its own [default: 5e-5; from serin-tiny 2e-4; in pretraining
    /// 5e-4].
    #[arg(long, value_name = "LR", alias = "lr")]
    pub learning_rate: Option<f32>,
    /// Decoupled weight decay [default: 0; from serin-tiny and in pretraining 0.01].
    #[arg(long, value_name = "DECAY")]
    pub weight_decay: Option<f32>,
    /// Adam's β₁ [default: 0.9].
    #[arg(long, value_name = "BETA")]
    pub adam_beta1: Option<f64>,
    /// Adam's β₂ [default: 0.999; in pretraining 0.98].
    #[arg(long, value_name = "BETA")]
    pub adam_beta2: Option<f64>,
    /// Adam's ε [default: 1e-8; in pretraining 1e-6].
    #[arg(long, value_name = "EPSILON")]
    pub adam_epsilon: Option<f32>,
    /// Scale gradients down to this norm; 0 leaves them [default: 1].
    #[arg(long, value_name = "NORM")]
    pub max_grad_norm: Option<f32>,
    /// linear, cosine, constant or constant-with-warmup [default: linear].
    #[arg(long, value_name = "TYPE")]
    pub lr_scheduler_type: Option<SchedulerArg>,
    /// Steps that the learning rate rises for; below 1, a share of all steps [default: 0; from serin-tiny 0.1; in
    /// pretraining 0.06].
    #[arg(long, value_name = "N", overrides_with = "warmup_ratio")]
    pub warmup_steps: Option<f64>,
    /// The same as a share of all steps, below 1.
    #[arg(long, value_name = "SHARE", overrides_with = "warmup_steps")]
    pub warmup_ratio: Option<f64>,
    /// Dropout of the encoder instead of the config's.
    #[arg(long, value_name = "P")]
    pub hidden_dropout_prob: Option<f32>,
    /// Dropout on attention probabilities instead of the config's.
    #[arg(long, value_name = "P")]
    pub attention_probs_dropout_prob: Option<f32>,
    /// Seed of data order, masks, dropout, what is held out, and fresh weights [default: 42].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Scale losses so that small gradients survive 16 bits: auto (with fp16), none or dynamic.
    #[arg(long, value_name = "KIND")]
    pub loss_scaling: Option<LossScalingArg>,
    /// Tokens computed at once; less takes less memory, and other sums round otherwise [default: 4096].
    #[arg(long, value_name = "N")]
    pub micro_batch_tokens: Option<usize>,
}

/// Schedules by their flag's values.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchedulerArg {
    /// Straight to zero.
    Linear,
    /// Half a cosine to zero.
    Cosine,
    /// No change, no warm-up.
    Constant,
    /// No change after the warm-up.
    #[value(alias = "constant_with_warmup")]
    ConstantWithWarmup,
}

impl SchedulerArg {
    /// The schedule.
    pub fn kind(self) -> SchedulerType {
        match self {
            SchedulerArg::Linear => SchedulerType::Linear,
            SchedulerArg::Cosine => SchedulerType::Cosine,
            SchedulerArg::Constant => SchedulerType::Constant,
            SchedulerArg::ConstantWithWarmup => SchedulerType::ConstantWithWarmup,
        }
    }
}

/// Loss scaling by its flag's values.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LossScalingArg {
    /// Dynamic with fp16, else none.
    Auto,
    /// None.
    None,
    /// As torch.amp.GradScaler.
    Dynamic,
}

impl TrainingArgs {
    /// The encoder's dropout, on its vectors and on attention probabilities, where it is given.
    pub fn dropout(&self) -> [Option<f32>; 2] {
        [self.hidden_dropout_prob, self.attention_probs_dropout_prob]
    }

    /// Numbers that would have to be bent to mean something.
    pub fn refuse_odd_numbers(&self) -> Result<(), SerinError> {
        match self.max_steps.filter(|&steps| steps < 1 && steps != -1) {
            Some(steps) => {
                Err(SerinError::Usage(format!("--max-steps {steps}: give a number from 1 up, or -1 for no limit")))
            }
            None => Ok(()),
        }
    }

    /// These flags over `defaults`; what has no flag here stays as it is.
    pub fn settings(&self, defaults: TrainSettings, precision: Precision) -> Result<TrainSettings, SerinError> {
        Ok(TrainSettings {
            num_train_epochs: self.num_train_epochs.unwrap_or(defaults.num_train_epochs),
            // transformers' default of -1 means no limit.
            max_steps: self.max_steps.and_then(|steps| u64::try_from(steps).ok()),
            train_batch_size: self.per_device_train_batch_size.unwrap_or(defaults.train_batch_size),
            gradient_accumulation_steps: self.gradient_accumulation_steps.unwrap_or(1),
            learning_rate: self.learning_rate.unwrap_or(defaults.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(defaults.weight_decay),
            adam_beta1: self.adam_beta1.unwrap_or(defaults.adam_beta1),
            adam_beta2: self.adam_beta2.unwrap_or(defaults.adam_beta2),
            adam_epsilon: self.adam_epsilon.unwrap_or(defaults.adam_epsilon),
            max_grad_norm: self.max_grad_norm.or(defaults.max_grad_norm).filter(|&norm| norm != 0.0),
            lr_scheduler_type: self.lr_scheduler_type.map_or(defaults.lr_scheduler_type, SchedulerArg::kind),
            warmup: self.warmup()?.unwrap_or(defaults.warmup),
            seed: self.seed.unwrap_or(defaults.seed),
            loss_scaling: match self.loss_scaling {
                Some(LossScalingArg::Dynamic) => LossScaling::Dynamic,
                Some(LossScalingArg::Auto) | None if precision == Precision::Fp16 => LossScaling::Dynamic,
                _ => LossScaling::None,
            },
            micro_batch_tokens: self.micro_batch_tokens.unwrap_or(defaults.micro_batch_tokens),
            ..defaults
        })
    }

    /// The warm-up, if one was asked for.
    fn warmup(&self) -> Result<Option<Warmup>, SerinError> {
        // That steps fit is what makes the conversion exact.
        const MOST: f64 = (1u64 << 53) as f64;
        match (self.warmup_steps, self.warmup_ratio) {
            (Some(steps), _) if steps >= 1.0 && steps.fract() == 0.0 && steps <= MOST => {
                Ok(Some(Warmup::Steps(steps as u64)))
            }
            (Some(steps), _) if steps >= 1.0 => Err(SerinError::Usage(format!(
                "--warmup-steps {steps}: give a whole number of steps, or a share of all steps below 1"
            ))),
            (Some(share), _) | (None, Some(share)) => Ok(Some(Warmup::Ratio(share))),
            (None, None) => Ok(None),
        }
    }
}
