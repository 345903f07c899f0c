//! What a fine-tuning run is asked to do.

use crate::device::DeviceOptions;
use crate::pretrained::PretrainedOptions;
use serin_data::DataSpec;
use serin_metrics::TweetEvalTask;
use serin_train::{SelectionMetric, TrainSettings};
use std::path::PathBuf;

/// The model to start from.
#[derive(Clone, Debug)]
pub enum StartingModel {
    /// A folder or Hub id with weights, or [`SERIN_TINY`](crate::embedded::SERIN_TINY), which ships inside.
    Pretrained(String),
    /// Random weights by the `config.json` of one folder, with the tokenizer of another.
    Fresh {
        /// The folder, or the file itself.
        config: PathBuf,
        /// The folder with the tokenizer.
        tokenizer: PathBuf,
    },
}

/// What decides which epoch's weights are best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectOn {
    /// Validation data: given, or split off the training data.
    #[default]
    Validation,
    /// The test data; the score on it is then no honest estimate for new texts.
    Test,
}

/// The data of a run.
#[derive(Clone, Debug, Default)]
pub struct DataOptions {
    /// What is learned from; `None` takes the shipped sentences, of which a tenth is then test data unless some is given.
    pub train: Option<DataSpec>,
    /// The most of the shipped sentences that are learned from, in place of a [`DataSpec::limit`].
    pub shipped_limit: Option<usize>,
    /// What selects; `None` splits it off the training data, unless the test data selects.
    pub validation: Option<DataSpec>,
    /// What is reported on at the end.
    pub test: Option<DataSpec>,
    /// The share of the training data that is split off.
    pub validation_fraction: f64,
}

/// The cache of the frozen trunk's output.
#[derive(Clone, Debug)]
pub struct TrunkCacheOptions {
    /// Whether to use it where the encoder's lower part is frozen.
    pub enabled: bool,
    /// Its folder; `None` takes the user's cache folder.
    pub folder: Option<PathBuf>,
    /// The most bytes that all caches in the folder may take together.
    pub limit: u64,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct FineTuneOptions {
    /// The model.
    pub model: StartingModel,
    /// How its files are found and its texts prepared.
    pub pretrained: PretrainedOptions,
    /// The data.
    pub data: DataOptions,
    /// Everything that decides what the loop computes, but for its `metric_for_best_model`.
    pub settings: TrainSettings,
    /// Weigh every label so that all count alike, in place of the settings' `class_weights`.
    pub balanced_class_weights: bool,
    /// What selects the best epoch; `None` takes accuracy, or Pearson's correlation for a regression.
    pub metric_for_best_model: Option<SelectionMetric>,
    /// Layers that are frozen, with the embeddings: `Some(0)` freezes the embeddings alone, `None` nothing.
    pub freeze_layers: Option<usize>,
    /// Threads and precision.
    pub device: DeviceOptions,
    /// What selects.
    pub select_on: SelectOn,
    /// Where everything is written.
    pub output_dir: PathBuf,
    /// Go on with the run in `output_dir`.
    pub resume: bool,
    /// Whether a run that is already in `output_dir` may be replaced.
    pub overwrite: bool,
    /// Save the state every so many steps, besides every epoch.
    pub save_steps: Option<u64>,
    /// Log every so many steps.
    pub logging_steps: u64,
    /// Whether to write TensorBoard event files.
    pub tensorboard: bool,
    /// Dropout in place of the config's: hidden, attention, classifier.
    pub dropout: [Option<f32>; 3],
    /// The trunk cache.
    pub trunk_cache: TrunkCacheOptions,
    /// An official score to report along; by default told by the data's name and labels.
    pub task: Option<TweetEvalTask>,
    /// How the run was started, for the model card.
    pub command: String,
}

impl FineTuneOptions {
    /// A run from `model` into `output_dir` with the defaults of `serin train`: no data is named yet.
    pub fn new(model: StartingModel, output_dir: PathBuf) -> FineTuneOptions {
        FineTuneOptions {
            model,
            pretrained: PretrainedOptions::default(),
            data: DataOptions { validation_fraction: 0.1, ..DataOptions::default() },
            settings: TrainSettings::default(),
            balanced_class_weights: false,
            metric_for_best_model: None,
            freeze_layers: None,
            device: DeviceOptions::default(),
            select_on: SelectOn::Validation,
            output_dir,
            resume: false,
            overwrite: false,
            save_steps: None,
            logging_steps: 50,
            tensorboard: false,
            dropout: [None; 3],
            trunk_cache: TrunkCacheOptions { enabled: true, folder: None, limit: 50_000_000_000 },
            task: None,
            command: String::new(),
        }
    }
}
