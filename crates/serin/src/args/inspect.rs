//! `serin inspect`: what can be typed, and what it means.

use super::DeviceArgs;
use clap::Args;
use std::path::PathBuf;

/// Show what a model folder or Hub id holds, and how this machine would run it.
///
/// Architecture, parameters by group, labels, tokenizer, limits, recorded text settings, files, what is read of the weights
/// and what is not, the CPU kernels that would compute, and about how much memory they would need.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InspectArgs {
    /// A model folder, the output folder of `serin train`, or a Hub id.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Branch, tag, pull request (refs/pr/3) or commit of a Hub id.
    #[arg(long, value_name = "REVISION", alias = "model-revision")]
    pub revision: Option<String>,
    /// Write everything as JSON to a file; - writes it to standard output instead of the text.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

const EXAMPLES: &str = "Examples:
  serin inspect serin-output
  serin inspect FacebookAI/roberta-base --precision bf16
  serin inspect my-model --json - | jq .parameters";
