//! What a pretraining run is asked to do.

use crate::device::DeviceOptions;
use serin_corpus::{CorpusSettings, CorpusSources};
use serin_text::Normalization;
use serin_train::{TrainSettings, Warmup};
use std::path::PathBuf;

/// The model to start from.
#[derive(Clone, Debug)]
pub enum PretrainModel {
    /// A folder or Hub id with weights: pretraining goes on, on other text.
    Continued {
        /// The folder or id.
        name: String,
        /// Branch, tag, pull request or commit on the Hub.
        revision: Option<String>,
    },
    /// Random weights of a RoBERTa of this shape, with the tokenizer of a folder.
    Shape {
        /// The numbers that define it.
        shape: EncoderShape,
        /// The folder with the tokenizer.
        tokenizer: PathBuf,
    },
    /// Random weights by a `config.json` (or its folder), with the tokenizer of a folder.
    Config {
        /// The file or folder.
        config: PathBuf,
        /// The folder with the tokenizer.
        tokenizer: PathBuf,
    },
}

/// The shape of a RoBERTa; the defaults are RoBERTa-base's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderShape {
    /// Width of a token's vector.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Tokens that a text may have, special tokens included; the position table has two rows more.
    pub max_length: usize,
}

impl Default for EncoderShape {
    fn default() -> EncoderShape {
        EncoderShape {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            max_length: 512,
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct PretrainOptions {
    /// The model.
    pub model: PretrainModel,
    /// The text.
    pub sources: CorpusSources,
    /// How it is read and cut into sequences; its normalisation is that of the starting model.
    pub corpus: CorpusSettings,
    /// What is done to texts first, in place of what the starting model records.
    pub normalization: Option<Normalization>,
    /// The share of tokens that are to be guessed.
    pub mlm_probability: f64,
    /// Everything that decides what the loop computes.
    pub settings: TrainSettings,
    /// Threads and precision.
    pub device: DeviceOptions,
    /// Where everything is written.
    pub output_dir: PathBuf,
    /// Go on with the run in `output_dir`.
    pub resume: bool,
    /// Whether a run that is already in `output_dir` may be replaced.
    pub overwrite: bool,
    /// Evaluate every so many steps, besides every epoch.
    pub eval_steps: Option<u64>,
    /// Save the state every so many steps, besides every evaluation.
    pub save_steps: Option<u64>,
    /// Log every so many steps.
    pub logging_steps: u64,
    /// Whether to write TensorBoard event files.
    pub tensorboard: bool,
    /// Dropout in place of the config's: hidden, attention.
    pub dropout: [Option<f32>; 2],
    /// How the run was started, for the model card.
    pub command: String,
}

impl PretrainOptions {
    /// RoBERTa's optimizer (Liu et al. 2019, table 9), with a learning rate and batch for one machine.
    pub fn default_settings() -> TrainSettings {
        TrainSettings {
            num_train_epochs: 3,
            train_batch_size: 64,
            learning_rate: 5e-4,
            head_learning_rate: 5e-4,
            weight_decay: 0.01,
            no_decay_norm_bias: true,
            adam_beta1: 0.9,
            adam_beta2: 0.98,
            adam_epsilon: 1e-6,
            warmup: Warmup::Ratio(0.06),
            ..TrainSettings::default()
        }
    }

    /// A run on `train` from `model` into `output_dir` with the defaults of `serin pretrain`.
    pub fn new(model: PretrainModel, train: Vec<PathBuf>, output_dir: PathBuf) -> PretrainOptions {
        PretrainOptions {
            model,
            sources: CorpusSources { train, ..CorpusSources::default() },
            corpus: CorpusSettings { validation_fraction: 0.01, ..CorpusSettings::default() },
            normalization: None,
            mlm_probability: 0.15,
            settings: PretrainOptions::default_settings(),
            device: DeviceOptions::default(),
            output_dir,
            resume: false,
            overwrite: false,
            eval_steps: None,
            save_steps: None,
            logging_steps: 50,
            tensorboard: false,
            dropout: [None; 2],
            command: String::new(),
        }
    }
}
