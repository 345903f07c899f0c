//! `serin fill-mask`: what can be typed.

use super::DeviceArgs;
use super::model::{model_and_texts, perhaps_a_text};
use clap::Args;
use serin::SerinError;

/// Guess the tokens behind the masks of texts.
///
/// A text a line of JSON on standard output: for each mask the likeliest tokens with their probabilities, and the text with
/// the likeliest filled in. The mask is the tokenizer's (<mask> or [MASK]); <mask> always works.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct FillMaskArgs {
    /// A model folder, a run's folder or a Hub id, and texts with masks; without texts, the lines of standard input. Without a
    /// model (nothing here, or a first text with a space in it) serin-tiny guesses, which ships inside.
    #[arg(value_name = "MODEL] [TEXT")]
    words: Vec<String>,
    /// The model, where texts without a space come first.
    #[arg(long = "model", value_name = "MODEL", alias = "model-name-or-path")]
    named_model: Option<String>,
    /// Candidates a mask.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top_k: usize,
    /// Branch, tag, pull request (refs/pr/3) or commit of a Hub id.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

impl FillMaskArgs {
    /// The model and the texts.
    pub fn model_and_texts(&self) -> (String, Vec<String>) {
        model_and_texts(self.named_model.clone(), self.words.clone())
    }

    /// An error of opening `model`, with a hint where it may be a text.
    pub fn perhaps_a_text(&self, model: &str, error: SerinError) -> anyhow::Error {
        perhaps_a_text(self.named_model.as_deref(), model, error)
    }
}

const EXAMPLES: &str = "Examples:
  serin fill-mask \"I really <mask> this film.\"
  serin fill-mask roberta-base \"Paris is the <mask> of France.\"
  serin fill-mask tiny < masked.txt";
