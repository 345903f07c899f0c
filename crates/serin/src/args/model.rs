//! Flags on how a model's files are found and its texts prepared.

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serin::embedded::SERIN_TINY;
use serin::text::{DEFAULT_HEAD, Normalization, Truncation};
use serin::{PretrainedOptions, SerinError};
use std::path::Path;

/// Revision and text settings.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model and text")]
pub struct ModelArgs {
    /// Branch, tag, pull request (refs/pr/3) or commit of a Hub id.
    #[arg(long, value_name = "REVISION", alias = "model-revision")]
    pub revision: Option<String>,
    /// Tokens read of a text, special tokens included; by default what the model was trained with, or all it takes.
    #[arg(long, value_name = "TOKENS", alias = "max-seq-length")]
    pub max_length: Option<usize>,
    /// What is kept of a longer text: its beginning (right is cut), its end, or both.
    #[arg(long, value_name = "SIDE")]
    pub truncation: Option<TruncationArg>,
    /// With --truncation head-tail: tokens kept from the beginning.
    #[arg(long, value_name = "TOKENS", default_value_t = DEFAULT_HEAD)]
    pub head_tokens: usize,
    /// What is done to texts first. tweet: @handle becomes @user, links become http, as cardiffnlp's models expect
    /// (the default for them).
    #[arg(long, value_name = "KIND")]
    pub normalization: Option<NormalizationArg>,
}

/// Tells a model from the texts after it. No model's name has a space in it, so a first word that has is a text already.
pub fn model_and_texts(named: Option<String>, mut words: Vec<String>) -> (String, Vec<String>) {
    match (named, words.first()) {
        (Some(model), _) => (model, words),
        (None, Some(first)) if !first.contains(char::is_whitespace) || Path::new(first).exists() => {
            (words.remove(0), words)
        }
        (None, _) => (SERIN_TINY.into(), words),
    }
}

/// An error of opening a model that [`model_and_texts`] took for one, with a hint where it may have been a text.
pub fn perhaps_a_text(named: Option<&str>, model: &str, error: SerinError) -> anyhow::Error {
    let guessed = named.is_none() && model != SERIN_TINY && !model.contains('/') && !Path::new(model).exists();
    match error {
        SerinError::Checkpoint(_) if guessed => anyhow!(
            "{error}\nhint: {model:?} was taken for a model; if it is a text, name the model: --model {SERIN_TINY} {model:?}"
        ),
        error => error.into(),
    }
}

/// Which side is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TruncationArg {
    /// Keep the beginning.
    Right,
    /// Keep the end.
    Left,
    /// Keep the beginning and the end.
    HeadTail,
}

/// What is done to texts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NormalizationArg {
    /// Nothing.
    None,
    /// Handles and links of tweets are masked.
    Tweet,
}

impl NormalizationArg {
    /// The normalisation.
    pub fn kind(self) -> Normalization {
        match self {
            NormalizationArg::None => Normalization::None,
            NormalizationArg::Tweet => Normalization::Tweet,
        }
    }
}

impl ModelArgs {
    /// What was asked for.
    pub fn options(&self) -> PretrainedOptions {
        PretrainedOptions {
            revision: self.revision.clone(),
            max_length: self.max_length,
            truncation: self.truncation.map(|side| match side {
                TruncationArg::Right => Truncation::Right,
                TruncationArg::Left => Truncation::Left,
                TruncationArg::HeadTail => Truncation::HeadTail { head: self.head_tokens },
            }),
            normalization: self.normalization.map(NormalizationArg::kind),
        }
    }
}
