//! `serin train`: what can be typed, and what it means.

use super::run::refuse_zero;
use super::{DataArgs, DeviceArgs, ModelArgs, ReportToArg, RunArgs, TrainingArgs};
use clap::{Args, ValueEnum};
use serin::data::{DataFolder, DataSpec, LabelUse, Split};
use serin::device::Precision;
use serin::embedded::SERIN_TINY;
use serin::fine_tune::{DataOptions, FineTuneOptions, SelectOn, StartingModel, TrunkCacheOptions, tiny};
use serin::metrics::TweetEvalTask;
use serin::pretrained::beside;
use serin::train::{SelectionMetric, TrainSettings};
use std::path::PathBuf;

/// Fine-tune a model on labelled texts.
///
/// Without --model, serin-tiny is trained, a small pretrained encoder that ships inside; without data, on 3,000 shipped
/// sentences: a first try that needs no network. The best epoch by validation data (given, or split off) is kept in OUT/best, a folder that
/// `transformers` opens; Ctrl-C finishes the step and saves, --resume goes on with the same bits.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TrainArgs {
    /// A model folder or Hub id [default: serin-tiny, which ships inside].
    #[arg(long, value_name = "MODEL", alias = "model-name-or-path")]
    pub model: Option<String>,
    /// Random weights by this config.json (or its folder); goes before --model and a recipe's model.
    #[arg(long, value_name = "PATH")]
    pub config_name: Option<PathBuf>,
    /// With --config-name: the folder with the tokenizer, if it is another.
    #[arg(long, value_name = "FOLDER", requires = "config_name")]
    pub tokenizer_name: Option<PathBuf>,
    /// A preset: imdb-twitter-roberta.
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<String>,
    /// A TOML file of these flags. Flags win over the file, the file over the recipe.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A folder or Hub id with train, validation and test splits.
    #[arg(long, value_name = "DATASET", alias = "dataset", help_heading = "Data")]
    pub dataset_name: Option<String>,
    /// Files to learn from; a pattern such as data/train-*.parquet is one too.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Data")]
    pub train_file: Vec<PathBuf>,
    /// Files to select the best epoch by.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Data")]
    pub validation_file: Vec<PathBuf>,
    /// Files to report on at the end.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Data")]
    pub test_file: Vec<PathBuf>,
    /// Share of the training data that is split off where no validation data is given.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, help_heading = "Data")]
    pub validation_fraction: f64,
    /// Learn from so many examples only: a seeded sample, every label in proportion.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub max_train_samples: Option<usize>,
    /// Select and report on so many examples only.
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub max_eval_samples: Option<usize>,
    #[command(flatten)]
    pub data: DataArgs,

    #[command(flatten)]
    pub text: ModelArgs,

    #[command(flatten)]
    pub training: TrainingArgs,
    /// Peak learning rate of the head [default: that of the encoder].
    #[arg(long, value_name = "LR", help_heading = "Training")]
    pub head_learning_rate: Option<f32>,
    /// Spare biases and norms the decay, as Hugging Face's Trainer does.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", help_heading = "Training")]
    pub no_decay_norm_bias: Option<bool>,
    /// ε of label smoothing [default: 0].
    #[arg(long, value_name = "EPSILON", help_heading = "Training")]
    pub label_smoothing_factor: Option<f32>,
    /// A weight a label, by id: 1,2.5; or `balanced`, so that every label counts alike however rare it is.
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',', help_heading = "Training")]
    pub class_weights: Vec<String>,
    /// Keep the embeddings and the first N layers as they are; 0 keeps the embeddings alone. Their output is computed
    /// once and cached.
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub freeze_layers: Option<usize>,
    /// Dropout in frozen layers too, as PyTorch has it unless told otherwise; turns the trunk cache off.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", help_heading = "Training")]
    pub frozen_dropout: Option<bool>,
    /// Dropout in the head instead of the config's.
    #[arg(long, value_name = "P", help_heading = "Training")]
    pub classifier_dropout: Option<f32>,

    /// What selects the best epoch: validation, or test, whose score is then optimistic for new texts.
    #[arg(long, value_name = "SPLIT", help_heading = "Selection")]
    pub select_on: Option<SelectOnArg>,
    /// accuracy, f1-macro, recall-macro, mcc, loss or pearson [default: accuracy; pearson for regression].
    #[arg(long, value_name = "METRIC", help_heading = "Selection")]
    pub metric_for_best_model: Option<MetricArg>,
    /// Stop after so many epochs in a row without a new best.
    #[arg(long, value_name = "N", alias = "patience", help_heading = "Selection")]
    pub early_stopping_patience: Option<u32>,
    /// Least improvement that counts for the patience [default: 0].
    #[arg(long, value_name = "GAIN", help_heading = "Selection")]
    pub early_stopping_threshold: Option<f64>,
    /// Report this TweetEval task's official score.
    #[arg(long, value_name = "TASK", value_parser = tweeteval_task, help_heading = "Selection")]
    pub tweeteval: Option<TweetEvalTask>,

    /// Where everything is written.
    #[arg(long, short, value_name = "FOLDER", default_value = "serin-output", help_heading = "Output")]
    pub output_dir: PathBuf,
    #[command(flatten)]
    pub run: RunArgs,

    #[command(flatten)]
    pub device: DeviceArgs,
    /// Folder of trunk caches; by default serin/trunk in the user's cache folder.
    #[arg(long, value_name = "FOLDER", help_heading = "Device")]
    pub cache_dir: Option<PathBuf>,
    /// The most gigabytes that trunk caches may take together: the longest unused make room. 0 turns the cache off.
    #[arg(long, value_name = "GB", default_value_t = 50.0, help_heading = "Device")]
    pub cache_limit: f64,
}

const EXAMPLES: &str = "Examples:
  serin train
  serin train --model roberta-base --train-file train.csv --test-file test.csv --num-train-epochs 3
  serin train --model cardiffnlp/twitter-roberta-base-sentiment-latest --dataset-name stanfordnlp/imdb --freeze-layers 9
  serin train --recipe imdb-twitter-roberta --dataset-name ./imdb";

/// Selecting splits by their flag's values.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SelectOnArg {
    /// Validation data.
    Validation,
    /// Test data.
    Test,
}

/// Selection metrics by their flag's values.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MetricArg {
    /// Share decided rightly.
    #[value(alias = "eval_accuracy")]
    Accuracy,
    /// Mean F1 over labels.
    #[value(aliases = ["f1_macro", "f1", "eval_f1_macro"])]
    F1Macro,
    /// Mean recall over labels.
    #[value(aliases = ["recall_macro", "eval_recall_macro"])]
    RecallMacro,
    /// Matthews correlation.
    #[value(alias = "matthews_correlation")]
    Mcc,
    /// Mean loss.
    #[value(alias = "eval_loss")]
    Loss,
    /// Pearson correlation.
    Pearson,
}

fn tweeteval_task(text: &str) -> Result<TweetEvalTask, String> {
    TweetEvalTask::from_name(text)
        .ok_or_else(|| "take emoji, emotion, hate, irony, offensive, sentiment or stance".into())
}

impl TrainArgs {
    /// What was asked for. `dataset` turns a Hub id into a folder.
    pub fn options(
        &self,
        dataset: impl FnOnce(&str) -> Result<PathBuf, serin::SerinError>,
        command: String,
    ) -> Result<FineTuneOptions, serin::SerinError> {
        self.refuse_odd_numbers()?;
        let precision = self.device.options().precision;
        let select_on = match self.select_on {
            Some(SelectOnArg::Test) => SelectOn::Test,
            Some(SelectOnArg::Validation) | None => SelectOn::Validation,
        };
        Ok(FineTuneOptions {
            model: self.starting_model(),
            pretrained: self.text.options(),
            data: self.data_options(dataset)?,
            settings: self.settings(precision)?,
            balanced_class_weights: self.balances_classes(),
            metric_for_best_model: self.metric(),
            freeze_layers: self.freeze_layers.or(self.is_demonstration().then_some(tiny::DEMONSTRATION_FROZEN_LAYERS)),
            device: self.device.options(),
            select_on,
            output_dir: self.output_dir.clone(),
            resume: self.run.resume.unwrap_or(false),
            overwrite: self.run.overwrite_output_dir.unwrap_or(false),
            save_steps: self.run.save_steps,
            logging_steps: self.run.logging_steps,
            tensorboard: self.run.report_to != Some(ReportToArg::None),
            dropout: self.dropout(),
            trunk_cache: TrunkCacheOptions {
                enabled: self.cache_limit > 0.0,
                folder: self.cache_dir.clone(),
                limit: (self.cache_limit * 1e9) as u64,
            },
            task: self.tweeteval,
            command,
        })
    }

    /// Whether neither a model nor data was named: the recipe in small.
    fn is_demonstration(&self) -> bool {
        self.model.is_none() && self.config_name.is_none() && self.dataset_name.is_none() && self.train_file.is_empty()
    }

    fn starting_model(&self) -> StartingModel {
        match (&self.model, &self.config_name) {
            (_, Some(config)) => {
                let tokenizer = self.tokenizer_name.clone().unwrap_or_else(|| beside(config).to_owned());
                StartingModel::Fresh { config: config.clone(), tokenizer }
            }
            (Some(name), None) => StartingModel::Pretrained(name.clone()),
            (None, None) => StartingModel::Pretrained(SERIN_TINY.into()),
        }
    }

    fn data_options(
        &self,
        dataset: impl FnOnce(&str) -> Result<PathBuf, serin::SerinError>,
    ) -> Result<DataOptions, serin::SerinError> {
        let folder = self.dataset_name.as_deref().map(dataset).transpose()?;
        let known = match &folder {
            Some(path) if path.is_dir() => {
                DataFolder::open(path, self.data.reading.format)?.splits.into_keys().collect()
            }
            Some(_) => vec![Split::Train],
            None => Vec::new(),
        };
        let spec = |files: &Vec<PathBuf>, split: Split, limit: Option<usize>| -> Option<DataSpec> {
            let paths = match &folder {
                _ if !files.is_empty() => files.clone(),
                Some(path) if known.contains(&split) => vec![path.clone()],
                _ => return None,
            };
            let seed = self.training.seed.unwrap_or(TrainSettings::default().seed);
            Some(DataSpec { limit, seed, ..self.data.spec(paths, split, LabelUse::Required) })
        };
        let train = spec(&self.train_file, Split::Train, self.max_train_samples);
        if train.is_none() && (folder.is_some() || !self.test_file.is_empty() || !self.validation_file.is_empty()) {
            let reason = "no training data: give --train-file, or a --dataset-name with a train split";
            return Err(serin::SerinError::Usage(reason.into()));
        }
        Ok(DataOptions {
            train,
            shipped_limit: self.max_train_samples,
            validation: spec(&self.validation_file, Split::Validation, self.max_eval_samples),
            test: spec(&self.test_file, Split::Test, self.max_eval_samples),
            validation_fraction: self.validation_fraction,
        })
    }

    /// Numbers that would have to be cut or bent to mean something.
    fn refuse_odd_numbers(&self) -> Result<(), serin::SerinError> {
        let refuse = |reason: String| Err(serin::SerinError::Usage(reason));
        self.training.refuse_odd_numbers()?;
        self.run.refuse_odd_numbers()?;
        if self.cache_limit.is_nan() || self.cache_limit < 0.0 {
            return refuse(format!(
                "--cache-limit {}: give gigabytes from 0 up; 0 turns the cache off",
                self.cache_limit
            ));
        }
        let fraction = self.validation_fraction;
        if !(fraction > 0.0 && fraction < 1.0) {
            return refuse(format!("--validation-fraction {fraction}: give a share between 0 and 1"));
        }
        let counts = [
            ("--max-train-samples", self.max_train_samples.map(|samples| samples as u64)),
            ("--max-eval-samples", self.max_eval_samples.map(|samples| samples as u64)),
        ];
        refuse_zero(&counts)
    }

    /// Flags over defaults.
    fn settings(&self, precision: Precision) -> Result<TrainSettings, serin::SerinError> {
        let defaults = match self.starting_model() {
            StartingModel::Pretrained(name) if name == SERIN_TINY && self.is_demonstration() => tiny::demonstration(),
            StartingModel::Pretrained(name) if name == SERIN_TINY => tiny::settings(),
            StartingModel::Pretrained(_) | StartingModel::Fresh { .. } => TrainSettings::default(),
        };
        let head_learning_rate = self.head_learning_rate.or(self.training.learning_rate);
        Ok(TrainSettings {
            head_learning_rate: head_learning_rate.unwrap_or(defaults.head_learning_rate),
            no_decay_norm_bias: self.no_decay_norm_bias.unwrap_or(false),
            label_smoothing_factor: self.label_smoothing_factor.unwrap_or(0.0),
            class_weights: self.given_class_weights()?,
            early_stopping_patience: self.early_stopping_patience.or(defaults.early_stopping_patience),
            early_stopping_threshold: self.early_stopping_threshold.unwrap_or(0.0),
            frozen_dropout: self.frozen_dropout.unwrap_or(false),
            ..self.training.settings(defaults, precision)?
        })
    }

    fn balances_classes(&self) -> bool {
        self.class_weights == ["balanced"]
    }

    fn given_class_weights(&self) -> Result<Option<Vec<f32>>, serin::SerinError> {
        if self.class_weights.is_empty() || self.balances_classes() {
            return Ok(None);
        }
        let number = |weight: &String| {
            weight.trim().parse().map_err(|_| {
                let reason = format!("--class-weights {weight}: give a number for each label, 1,2.5, or `balanced`");
                serin::SerinError::Usage(reason)
            })
        };
        self.class_weights.iter().map(number).collect::<Result<_, _>>().map(Some)
    }

    fn dropout(&self) -> [Option<f32>; 3] {
        let [hidden, attention] = self.training.dropout();
        [hidden, attention, self.classifier_dropout]
    }

    fn metric(&self) -> Option<SelectionMetric> {
        Some(match self.metric_for_best_model? {
            MetricArg::Accuracy => SelectionMetric::Accuracy,
            MetricArg::F1Macro => SelectionMetric::F1Macro,
            MetricArg::RecallMacro => SelectionMetric::RecallMacro,
            MetricArg::Mcc => SelectionMetric::Mcc,
            MetricArg::Loss => SelectionMetric::Loss,
            MetricArg::Pearson => SelectionMetric::Pearson,
        })
    }
}
