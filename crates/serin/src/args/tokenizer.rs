//! `serin tokenizer`: what can be typed, and what it means.

use super::DocumentArgs;
use clap::{Args, Subcommand};
use serin::learn_tokenizer::LearnTokenizerOptions;
use serin::text::ByteLevelBpe;
use std::path::PathBuf;

/// More tokens than this are a slip: no table of embeddings has as many.
const LARGEST_VOCABULARY: u64 = 1_000_000;

/// What to do with tokenizers.
#[derive(Debug, Subcommand)]
pub enum TokenizerAction {
    Train(Box<LearnTokenizerArgs>),
}

/// Learn a byte-level BPE tokenizer from texts, with RoBERTa's special tokens.
///
/// Reads Parquet, CSV, TSV, JSONL and plain text, also compressed (.gz), document by document. Memory holds the distinct words.
/// The folder opens with AutoTokenizer of transformers.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct LearnTokenizerArgs {
    /// Files with texts: .parquet, .csv, .tsv, .jsonl, .txt.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub train_file: Vec<PathBuf>,
    /// Where to put the tokenizer.
    #[arg(long, short, value_name = "FOLDER")]
    pub output_dir: PathBuf,
    /// The most tokens of the vocabulary: 5 special ones, 256 bytes, and what is merged.
    #[arg(long, value_name = "TOKENS", default_value_t = 50_265,
          value_parser = clap::value_parser!(u64).range(ByteLevelBpe::SMALLEST as u64..=LARGEST_VOCABULARY))]
    pub vocab_size: u64,
    /// A pair of tokens that is rarer than this is not merged.
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub min_frequency: u64,
    /// Replace a tokenizer that is in the output folder.
    #[arg(long)]
    pub overwrite_output_dir: bool,
    #[command(flatten)]
    pub documents: DocumentArgs,
}

impl LearnTokenizerArgs {
    /// What to learn.
    pub fn options(&self) -> LearnTokenizerOptions {
        LearnTokenizerOptions {
            files: self.train_file.clone(),
            documents: self.documents.options(),
            bpe: ByteLevelBpe { vocab_size: self.vocab_size as usize, min_frequency: self.min_frequency },
            output: self.output_dir.clone(),
            overwrite: self.overwrite_output_dir,
        }
    }
}

const EXAMPLES: &str = "Examples:
  serin tokenizer train --train-file reviews.parquet more.jsonl.gz -o my-tokenizer
  serin tokenizer train --train-file tweets.txt --line-by-line --vocab-size 8192 -o my-tokenizer";
