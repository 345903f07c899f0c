//! `serin fill-mask`: what can be typed.

use super::DeviceArgs;
use clap::Args;

/// Guess the tokens behind the masks of texts.
///
/// A text a line of JSON on standard output: for each mask the likeliest tokens with their probabilities, and the text with
/// the likeliest filled in. The mask is the tokenizer's (<mask> or [MASK]); <mask> always works.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct FillMaskArgs {
    /// A model folder, a run's folder or a Hub id.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Texts with masks; without any, the lines of standard input.
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
    /// Candidates a mask.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub top_k: usize,
    /// Branch, tag, pull request (refs/pr/3) or commit of a Hub id.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

const EXAMPLES: &str = "Examples:
  serin fill-mask roberta-base \"Paris is the <mask> of France.\"
  serin fill-mask tiny < masked.txt";
