//! `serin evaluate`: what can be typed, and what it means.

use super::{DataArgs, DeviceArgs, ModelArgs};
use clap::Args;
use clap::error::ErrorKind;
use serin::data::Split;
use serin::embedded::SERIN_TINY;
use serin::metrics::TweetEvalTask;
use std::path::PathBuf;

/// Measure a model on labelled texts.
///
/// Prints accuracy, precision, recall and F1 by label and averaged, the confusion matrix, MCC, ROC-AUC, negative log
/// likelihood and calibration, with 95 % intervals, and accuracy by text length and truncation. Labels of the data are
/// matched with the model's by name (whatever the case), numbers are label ids; a label that the model does not have is
/// an error, found before anything is computed. Data of fewer labels than the model has is fine.
///
/// Memory does not grow with the data. Scores are those of `serin predict`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct EvaluateArgs {
    /// A model folder, the output folder of `serin train`, or a Hub id; then files, a pattern, a folder with splits, or a
    /// dataset's Hub id. Of one alone, serin-tiny is evaluated, which ships inside.
    #[arg(value_name = "MODEL] [DATA", required = true)]
    words: Vec<PathBuf>,
    /// The model; all that is not a flag is then data.
    #[arg(long = "model", value_name = "MODEL", alias = "model-name-or-path")]
    named_model: Option<String>,
    /// What [`EvaluateArgs::resolve`] finds.
    #[arg(skip)]
    pub model: String,
    /// What [`EvaluateArgs::resolve`] finds.
    #[arg(skip)]
    pub paths: Vec<PathBuf>,
    /// The split of a folder or Hub dataset: train, validation or test; by default test, else validation, else train.
    #[arg(long, value_parser = split)]
    pub split: Option<Split>,
    /// Measure on so many rows only, taken at equal distances from all of the data.
    #[arg(long, value_name = "N", alias = "max-eval-samples", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_samples: Option<u64>,
    /// Write the report as JSON to a file; - writes it to standard output instead of the table.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the wrongly predicted rows, the most confident first, with their true_label: .csv, .tsv, .jsonl or .parquet.
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
    /// The most rows that --errors keeps.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_errors: usize,
    /// Write every row with its prediction, as `serin predict` does; two of these can be compared with `serin compare`.
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Replace the files of --json, --errors and --predictions where they are there already.
    #[arg(long)]
    pub overwrite: bool,
    /// Report the official TweetEval score of this task: emoji, emotion, hate, irony, offensive, sentiment or stance; by
    /// default known by the data's name, or its labels where the files are TweetEval's.
    #[arg(long, value_name = "TASK", value_parser = tweeteval_task)]
    pub tweeteval: Option<TweetEvalTask>,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub text: ModelArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

impl EvaluateArgs {
    /// Tells model and data apart.
    ///
    /// # Errors
    /// A model without data.
    pub fn resolve(mut self) -> Result<EvaluateArgs, clap::Error> {
        self.paths = std::mem::take(&mut self.words);
        self.model = match self.named_model.take() {
            Some(model) => model,
            None if self.paths.len() > 1 => self.paths.remove(0).to_string_lossy().into_owned(),
            None => SERIN_TINY.into(),
        };
        match self.paths.as_slice() {
            [only] if only.join("config.json").exists() || only.join("run.json").exists() => {
                let reason = format!("{0}: a model, and no data\nhint: serin evaluate {0} DATA\n", only.display());
                Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, reason))
            }
            _ => Ok(self),
        }
    }
}

const EXAMPLES: &str = "Examples:
  serin evaluate serin-output test.csv
  serin evaluate cardiffnlp/twitter-roberta-base-sentiment-latest stanfordnlp/imdb --label-map neg=negative --label-map pos=positive
  serin evaluate my-model tweeteval/sentiment --json report.json --errors worst.csv
  serin evaluate my-model test.parquet --predictions mine.parquet && serin compare theirs.parquet mine.parquet
  serin evaluate my-model test.csv --json - | jq .eval_f1_macro";

fn split(text: &str) -> Result<Split, String> {
    Split::from_name(text).ok_or_else(|| "take train, validation or test".into())
}

fn tweeteval_task(text: &str) -> Result<TweetEvalTask, String> {
    TweetEvalTask::from_name(text)
        .ok_or_else(|| "take emoji, emotion, hate, irony, offensive, sentiment or stance".into())
}
