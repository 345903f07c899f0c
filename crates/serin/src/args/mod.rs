//! What can be typed: one file a command, and the groups of flags that several share.

mod bench;
mod compare;
mod data;
mod device;
mod documents;
mod evaluate;
mod expand;
mod fill_mask;
mod inspect;
mod model;
mod predict;
mod pretrain;
mod reading;
mod run;
mod tokenizer;
mod train;
mod training;

pub use bench::{BenchArgs, SectionArg, ShapeArg};
pub use compare::CompareArgs;
pub use data::DataArgs;
pub use device::DeviceArgs;
pub use documents::DocumentArgs;
pub use evaluate::EvaluateArgs;
pub use expand::expand;
pub use fill_mask::FillMaskArgs;
pub use inspect::InspectArgs;
pub use model::{ModelArgs, NormalizationArg};
pub use predict::PredictArgs;
pub use pretrain::PretrainArgs;
pub use reading::ReadingArgs;
pub use run::{ReportToArg, RunArgs};
pub use tokenizer::{LearnTokenizerArgs, TokenizerAction};
pub use train::TrainArgs;
pub use training::TrainingArgs;

use clap::{Parser, Subcommand};

/// Fine-tune, evaluate and serve text classifiers of the RoBERTa family.
///
/// Reads and writes what Hugging Face `transformers` reads and writes. Flags have its names and may be
/// spelled with `-` or `_`. Data goes to standard output, talk to standard error.
#[derive(Debug, Parser)]
#[command(name = "serin", version, args_override_self = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say nothing but errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The commands; what each is for is said at its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Train(Box<TrainArgs>),
    Evaluate(Box<EvaluateArgs>),
    Predict(Box<PredictArgs>),
    Compare(Box<CompareArgs>),
    Inspect(Box<InspectArgs>),
    Bench(Box<BenchArgs>),
    Pretrain(Box<PretrainArgs>),
    FillMask(Box<FillMaskArgs>),
    /// Make tokenizers.
    Tokenizer {
        /// What to do.
        #[command(subcommand)]
        action: TokenizerAction,
    },
    /// List or clear the caches of frozen layers' outputs.
    Cache {
        /// What to do with them.
        #[command(subcommand)]
        action: CacheAction,
    },
}

/// What to do with the caches.
#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// List them with their sizes.
    List {
        /// Their folder; by default serin/trunk in the user's cache folder.
        #[arg(long)]
        cache_dir: Option<std::path::PathBuf>,
    },
    /// Remove them all.
    Clear {
        /// Their folder; by default serin/trunk in the user's cache folder.
        #[arg(long)]
        cache_dir: Option<std::path::PathBuf>,
    },
}
