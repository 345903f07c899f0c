//! `serin pretrain`: what can be typed, and what it means.

use super::run::refuse_zero;
use super::{DeviceArgs, DocumentArgs, NormalizationArg, ReportToArg, RunArgs, TrainingArgs};
use clap::{Args, ValueEnum};
use serin::corpus::{CorpusSettings, CorpusSources, Packing};
use serin::device::Precision;
use serin::pretrain::{EncoderShape, PretrainModel, PretrainOptions};
use serin::pretrained::beside;
use serin::train::TrainSettings;
use std::path::PathBuf;

/// Pretrain an encoder on plain text by masked language modelling, the RoBERTa way.
///
/// From random weights (a shape by flags, a tokenizer by --tokenizer-name; `serin tokenizer train` makes one), or on from
/// --model, to fit it to a domain before `serin train`. The weights with the smallest held-out loss are kept in OUT/best, a
/// folder that `transformers` opens; Ctrl-C finishes the step and saves, --resume goes on with the same bits.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PretrainArgs {
    /// A model folder or Hub id to go on from.
    #[arg(long, value_name = "MODEL", alias = "model-name-or-path", conflicts_with_all = ["config_name", "tokenizer_name"])]
    pub model: Option<String>,
    /// Branch, tag, pull request (refs/pr/3) or commit of a Hub id.
    #[arg(long, value_name = "REVISION", requires = "model")]
    pub revision: Option<String>,
    /// The folder with the tokenizer, for random weights.
    #[arg(long, value_name = "FOLDER")]
    pub tokenizer_name: Option<PathBuf>,
    /// Random weights by this config.json (or its folder).
    #[arg(long, value_name = "PATH")]
    pub config_name: Option<PathBuf>,
    /// Width of a token's vector, for random weights.
    #[arg(long, value_name = "N", default_value_t = EncoderShape::default().hidden_size, help_heading = "Shape")]
    pub hidden_size: usize,
    /// Encoder layers.
    #[arg(long, value_name = "N", default_value_t = EncoderShape::default().num_hidden_layers, help_heading = "Shape")]
    pub num_hidden_layers: usize,
    /// Attention heads.
    #[arg(long, value_name = "N", default_value_t = EncoderShape::default().num_attention_heads, help_heading = "Shape")]
    pub num_attention_heads: usize,
    /// Width of the feed-forward block [default: four times the hidden size].
    #[arg(long, value_name = "N", help_heading = "Shape")]
    pub intermediate_size: Option<usize>,
    /// Tokens that a text may have at most, special tokens included.
    #[arg(long, value_name = "TOKENS", default_value_t = EncoderShape::default().max_length, help_heading = "Shape")]
    pub max_positions: usize,

    /// Files to learn from: Parquet, CSV, TSV, JSONL or plain text, each also .gz.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = "Data")]
    pub train_file: Vec<PathBuf>,
    /// Held-out files; what of them is also in the training files is not learned from.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Data")]
    pub validation_file: Vec<PathBuf>,
    /// Files whose documents are used for nothing where they are also in the training files: test data, above all.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Data")]
    pub exclude_file: Vec<PathBuf>,
    /// Share of the documents that is held out where no held-out files are given.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, help_heading = "Data")]
    pub validation_fraction: f64,
    /// How documents are read.
    #[command(flatten)]
    pub documents: DocumentArgs,
    /// Tokens of a sequence, special tokens included; by default all that the model takes.
    #[arg(long, value_name = "TOKENS", alias = "max-seq-length", help_heading = "Data")]
    pub max_length: Option<usize>,
    /// How documents become sequences: full ones that cross documents, or none that does.
    #[arg(long, value_name = "KIND", default_value = "full-sentences", help_heading = "Data")]
    pub packing: PackingArg,
    /// Share of the tokens that are to be guessed.
    #[arg(long, value_name = "SHARE", default_value_t = 0.15, help_heading = "Data")]
    pub mlm_probability: f64,
    /// What is done to texts first: none or tweet (@handle becomes @user, links become http) [default: the model's].
    #[arg(long, value_name = "KIND", help_heading = "Data")]
    pub normalization: Option<NormalizationArg>,

    #[command(flatten)]
    pub training: TrainingArgs,
    /// Stop after so many evaluations in a row without a smaller held-out loss.
    #[arg(long, value_name = "N", alias = "patience", help_heading = "Training")]
    pub early_stopping_patience: Option<u32>,

    /// Where everything is written.
    #[arg(long, short, value_name = "FOLDER", default_value = "serin-pretrained", help_heading = "Output")]
    pub output_dir: PathBuf,
    #[command(flatten)]
    pub run: RunArgs,
    /// Evaluate every so many steps, besides every epoch.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub eval_steps: Option<u64>,

    #[command(flatten)]
    pub device: DeviceArgs,
}

const EXAMPLES: &str = "Examples:
  serin tokenizer train --train-file corpus.txt --vocab-size 8192 -o tokenizer
  serin pretrain --tokenizer-name tokenizer --hidden-size 256 --num-hidden-layers 4 --num-attention-heads 4 \\
    --train-file corpus.txt -o tiny
  serin pretrain --model roberta-base --train-file reviews.parquet --learning-rate 1e-4 -o adapted
  serin fill-mask tiny \"I really <mask> this film.\"";

/// Packings by their flag's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PackingArg {
    /// Full sequences that cross documents.
    #[value(alias = "full_sentences")]
    FullSentences,
    /// No sequence crosses a document.
    #[value(alias = "doc_sentences")]
    DocSentences,
}

impl PretrainArgs {
    /// What was asked for.
    pub fn options(&self, command: String) -> Result<PretrainOptions, serin::SerinError> {
        self.training.refuse_odd_numbers()?;
        self.run.refuse_odd_numbers()?;
        refuse_zero(&[("--eval-steps", self.eval_steps)])?;
        let device = self.device.options();
        let settings = self.settings(device.precision)?;
        let validation_fraction = if self.validation_file.is_empty() { self.validation_fraction } else { 0.0 };
        Ok(PretrainOptions {
            model: self.model()?,
            sources: CorpusSources {
                train: self.train_file.clone(),
                validation: self.validation_file.clone(),
                exclude: self.exclude_file.clone(),
            },
            corpus: CorpusSettings {
                max_length: self.max_length.unwrap_or(usize::MAX),
                packing: match self.packing {
                    PackingArg::FullSentences => Packing::FullSentences,
                    PackingArg::DocSentences => Packing::DocSentences,
                },
                documents: self.documents.options(),
                validation_fraction,
                seed: settings.seed,
                ..CorpusSettings::default()
            },
            normalization: self.normalization.map(NormalizationArg::kind),
            mlm_probability: self.mlm_probability,
            settings,
            device,
            output_dir: self.output_dir.clone(),
            resume: self.run.resume.unwrap_or(false),
            overwrite: self.run.overwrite_output_dir.unwrap_or(false),
            eval_steps: self.eval_steps,
            save_steps: self.run.save_steps,
            logging_steps: self.run.logging_steps,
            tensorboard: self.run.report_to == Some(ReportToArg::Tensorboard),
            dropout: self.training.dropout(),
            command,
        })
    }

    fn model(&self) -> Result<PretrainModel, serin::SerinError> {
        let tokenizer = self.tokenizer_name.clone();
        match (&self.model, &self.config_name, tokenizer) {
            (Some(name), _, _) => {
                Ok(PretrainModel::Continued { name: name.clone(), revision: self.revision.clone() })
            }
            (None, Some(config), tokenizer) => {
                let tokenizer = tokenizer.unwrap_or_else(|| beside(config).to_owned());
                Ok(PretrainModel::Config { config: config.clone(), tokenizer })
            }
            (None, None, Some(tokenizer)) => Ok(PretrainModel::Shape { shape: self.shape(), tokenizer }),
            (None, None, None) => Err(serin::SerinError::Usage(
                "nothing to start from\nhint: --model goes on from a model; --tokenizer-name FOLDER starts from random \
                 weights (serin tokenizer train makes such a folder)"
                    .into(),
            )),
        }
    }

    fn shape(&self) -> EncoderShape {
        EncoderShape {
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size.unwrap_or(self.hidden_size.saturating_mul(4)),
            max_length: self.max_positions,
        }
    }

    /// Flags over defaults.
    fn settings(&self, precision: Precision) -> Result<TrainSettings, serin::SerinError> {
        let settings = self.training.settings(PretrainOptions::default_settings(), precision)?;
        Ok(TrainSettings {
            head_learning_rate: settings.learning_rate,
            early_stopping_patience: self.early_stopping_patience,
            ..settings
        })
    }
}
