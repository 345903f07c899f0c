//! `serin compare`: what can be typed, and what it means.

use super::ReadingArgs;
use clap::Args;
use std::path::PathBuf;

/// Compare two prediction files on the same labelled rows: is one better, or is it chance?
///
/// Reads what `serin evaluate --predictions` or `serin predict` wrote for the same rows by two models, and reports
/// accuracy and macro F1 of both, the difference (second minus first) with its 95 % interval, McNemar's test and a paired
/// permutation test. Rows must match: the same number, and the same text where there is one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// Predictions of the first model: csv, tsv, jsonl (each also .gz) or parquet.
    #[arg(value_name = "FIRST")]
    pub first: PathBuf,
    /// Predictions of the second model; the format may be another.
    #[arg(value_name = "SECOND")]
    pub second: PathBuf,
    /// Column with the true label; by default label, labels, sentiment, category, target, class or score.
    #[arg(long, value_name = "COLUMN", alias = "label-column-name", help_heading = "Data")]
    pub label_column: Option<String>,
    /// Other names for the true labels: neg=negative. May be repeated.
    #[arg(long, value_name = "OLD=NEW", value_parser = super::data::label_pair, help_heading = "Data")]
    pub label_map: Vec<(String, String)>,
    /// Bootstrap draws and permutations.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub draws: usize,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Write the comparison as JSON to a file; - writes it to standard output instead of the table.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

const EXAMPLES: &str = "Examples:
  serin compare old.csv new.csv
  serin compare old.jsonl.gz new.parquet --label-column sentiment
  serin compare old.csv new.csv --json - | jq .accuracy.difference";
