//! `serin bench`: what can be typed, and what it means.

use super::DeviceArgs;
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Measure this machine, and what Serin makes of it.
///
/// machine: how fast the cores, or the GPU, multiply and read memory at most, and what copies to a GPU and launches cost.
/// ops: every op of training and inference. layers: every layer, forward and backward. step: training steps of the IMDB
/// recipe (batch 64, three quarters of the layers frozen, dropout on), with the frozen layers computed and read from their
/// cache, and what the recipe would take. inference: by length and by batch size, or of a file's texts.
///
/// Without --model, RoBERTa-base with random weights is measured: speed does not depend on them. Times are medians, with the
/// shortest and the longest. Measure on a machine that does nothing else.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value_t = SectionArg::All)]
    pub section: SectionArg,
    /// A model folder, whose sizes and weights are taken.
    #[arg(long, short, value_name = "FOLDER")]
    pub model: Option<String>,
    /// Seconds that each part may take, about.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Tokens that ops and layers are measured on.
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = count(1 << 20))]
    pub tokens: usize,
    /// Layers that a step does not train, embeddings included [default: three quarters].
    #[arg(long, value_name = "N", help_heading = "Training step")]
    pub freeze_layers: Option<usize>,
    /// Examples of a step.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = count(1 << 16), help_heading = "Training step")]
    pub batch_size: usize,
    /// Steps of the measured epochs [default: what --seconds allows, up to 8, or 32 on a GPU].
    #[arg(long, value_name = "N", value_parser = count(1 << 16), help_heading = "Training step")]
    pub steps: Option<usize>,
    /// Tokens that are computed at once in a step.
    #[arg(long, value_name = "N", value_parser = count(1 << 20), help_heading = "Training step")]
    pub micro_batch_tokens: Option<usize>,
    /// Texts of the steps, with --model; by default made up, as long as IMDB's.
    #[arg(long, value_name = "FILE", requires = "model", help_heading = "Training step")]
    pub train_file: Option<PathBuf>,
    /// Examples of the epoch that is forecast, and of the evaluation after it; IMDB has 25,000.
    #[arg(long, value_name = "N", default_value_t = 25_000, help_heading = "Training step")]
    pub examples: usize,
    /// Texts and their length, such as 8x512, instead of the sweeps over length and batch size.
    #[arg(long, value_name = "TEXTSxTOKENS", num_args = 1.., value_delimiter = ',', help_heading = "Inference")]
    pub shapes: Vec<ShapeArg>,
    /// Texts to classify with --model instead of the sweeps: a file as `serin predict` reads it. The model alone is timed, and
    /// with reading and tokenizing.
    #[arg(long, value_name = "FILE", requires = "model", help_heading = "Inference")]
    pub file: Option<PathBuf>,
    /// The first so many texts of --file only.
    #[arg(long, value_name = "N", requires = "file", help_heading = "Inference")]
    pub max_samples: Option<usize>,
    /// Write everything as JSON to a file; - writes it to standard output instead of the tables.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// A number from 1 to `most`.
fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if seconds > 0.0 && seconds <= 86_400.0 { Ok(seconds) } else { Err("give more than 0 and a day at most".into()) }
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SectionArg {
    /// Ceilings of the machine.
    Machine,
    /// Every op.
    Ops,
    /// Every layer.
    Layers,
    /// Training steps.
    Step,
    /// Inference.
    Inference,
    /// All of it.
    All,
}

impl SectionArg {
    /// Whether `section` is asked for.
    pub fn has(self, section: SectionArg) -> bool {
        self == SectionArg::All || self == section
    }
}

/// A number of texts and their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeArg {
    /// Texts.
    pub sequences: usize,
    /// Tokens of each.
    pub length: usize,
}

impl FromStr for ShapeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<ShapeArg, String> {
        let parse = |number: &str| number.parse::<usize>().ok().filter(|&number| (1..=1 << 20).contains(&number));
        let (sequences, length) = text.split_once('x').ok_or("write texts and tokens as in 8x512")?;
        match (parse(sequences), parse(length)) {
            (Some(sequences), Some(length)) => Ok(ShapeArg { sequences, length }),
            _ => Err("write texts and tokens as in 8x512".into()),
        }
    }
}

const EXAMPLES: &str = "Examples:
  serin bench
  serin bench machine
  serin bench inference --shapes 8x512 32x128 1x32 --json -
  serin bench inference --model my-model --file reviews.parquet
  serin bench step --model my-model --train-file train.parquet --seconds 60
  serin bench step --device cuda
  SERIN_CPU_ISA=avx2 serin bench ops --precision fp32 --threads 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_two_numbers() {
        assert_eq!("8x512".parse(), Ok(ShapeArg { sequences: 8, length: 512 }));
        for wrong in ["8", "x", "0x5", "5x0", "8x-1", "99999999999999999999x1", "1x9999999"] {
            assert!(wrong.parse::<ShapeArg>().is_err(), "{wrong}");
        }
    }
}
