//! `serin predict`: what can be typed, and what it means.

use super::model::{model_and_texts, perhaps_a_text};
use super::{DeviceArgs, ModelArgs, ReadingArgs};
use clap::Args;
use clap::error::ErrorKind;
use serin::SerinError;
use serin::data::OutputFormat;
use std::path::PathBuf;

/// Predict labels of texts: arguments, a file's rows, or lines of standard input.
///
/// Rows come back in their order with all their columns, followed by predicted_label, predicted_score, a score_… column
/// for every label, truncated (was the text longer than the model reads?) and tokens (before it was cut). Multi-label
/// models give predicted_labels (a list; a|b in CSV) instead, regressions the number as predicted_score. An empty text
/// is predicted like any other.
///
/// Memory does not grow with the input. A prediction does not depend on the rows beside it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PredictArgs {
    /// A model folder, the output folder of `serin train`, or a Hub id, and texts. Without texts and --file, lines of
    /// standard input are read (or rows: --format). Without a model (nothing here, or a first text with a space in it)
    /// serin-tiny predicts, which ships inside.
    #[arg(value_name = "MODEL] [TEXT")]
    words: Vec<String>,
    /// The model, where texts without a space come first.
    #[arg(long = "model", value_name = "MODEL", alias = "model-name-or-path")]
    named_model: Option<String>,
    /// What [`PredictArgs::resolve`] finds.
    #[arg(skip)]
    pub model: String,
    /// What [`PredictArgs::resolve`] finds.
    #[arg(skip)]
    pub texts: Vec<String>,
    /// Files whose rows are predicted: csv, tsv, jsonl (each also .gz), parquet, text; a pattern, or several of one format.
    /// Of a folder or a dataset's Hub id, the test split.
    #[arg(long, short, value_name = "FILE", num_args = 1..)]
    pub file: Vec<PathBuf>,
    /// Where rows and predictions go: .csv, .tsv, .jsonl (each also .gz) or .parquet. Without it, standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// csv, tsv, jsonl or parquet; by default told by the output's name, and jsonl on standard output.
    #[arg(long, value_name = "FORMAT")]
    pub output_format: Option<OutputFormat>,
    /// Go on with an interrupted run into --output; begin where there is none.
    #[arg(long, requires_all = ["output", "file"], conflicts_with = "overwrite")]
    pub resume: bool,
    /// Replace --output, and forget an interrupted run into it.
    #[arg(long, requires = "output")]
    pub overwrite: bool,
    /// Predict the first so many rows only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_samples: Option<u64>,
    /// Write the model's raw outputs (logits) instead of probabilities.
    #[arg(long)]
    pub raw_scores: bool,
    #[command(flatten)]
    pub reading: ReadingArgs,
    #[command(flatten)]
    pub text: ModelArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

impl PredictArgs {
    /// Tells model and texts apart.
    ///
    /// # Errors
    /// Texts beside --file or --max-samples.
    pub fn resolve(mut self) -> Result<PredictArgs, clap::Error> {
        (self.model, self.texts) = model_and_texts(self.named_model.clone(), std::mem::take(&mut self.words));
        let rival = match (&self.max_samples, self.file.as_slice()) {
            _ if self.texts.is_empty() => None,
            (_, [_, ..]) => Some("--file"),
            (Some(_), []) => Some("--max-samples"),
            (None, []) => None,
        };
        if let Some(rival) = rival {
            let reason = format!("texts and {rival} cannot be given together\n");
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, reason));
        }
        Ok(self)
    }

    /// An error of opening the model, with a hint where it may be a text.
    pub fn perhaps_a_text(&self, error: SerinError) -> anyhow::Error {
        perhaps_a_text(self.named_model.as_deref(), &self.model, error)
    }
}

const EXAMPLES: &str = "Examples:
  serin predict \"What a film!\" \"I want my evening back.\"
  serin predict serin-output \"What a film!\" \"I want my evening back.\"
  serin predict my-model --file reviews.csv --output scored.csv
  serin predict my-model --file 'data/part-*.parquet' --output scored.parquet --resume
  serin predict my-model --file pairs.jsonl --text-column premise --text-pair-column hypothesis -o scored.jsonl.gz
  tail -f messages.txt | serin predict my-model | jq -r .predicted_label
  cut -f3 log.tsv | serin predict my-model --output-format tsv > scored.tsv";
