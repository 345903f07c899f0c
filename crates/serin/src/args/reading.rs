//! Flags on how the texts of data files are read.

use clap::Args;
use serin::data::{ColumnOptions, Format, ReadOptions};

/// Formats and text columns.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data")]
pub struct ReadingArgs {
    /// Format of the files: csv, tsv, jsonl, parquet, text, tab, tweeteval or folders; by default told by name and content.
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Column with the text; by default text, sentence, review, content or tweet.
    #[arg(long, value_name = "COLUMN", alias = "text-column-name")]
    pub text_column: Option<String>,
    /// Column with the second text of a pair.
    #[arg(long, value_name = "COLUMN")]
    pub text_pair_column: Option<String>,
    #[command(flatten)]
    pub lines: LineArgs,
}

impl ReadingArgs {
    /// How files are read.
    pub fn options(&self) -> ReadOptions {
        self.lines.options()
    }

    /// Which columns the texts are in.
    pub fn columns(&self) -> ColumnOptions {
        ColumnOptions {
            text: self.text_column.clone(),
            pair: self.text_pair_column.clone(),
            ..ColumnOptions::default()
        }
    }
}

/// How the lines of text files are read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data")]
pub struct LineArgs {
    /// CSV and TSV files have no header; columns are column_1, column_2, …
    #[arg(long)]
    pub no_header: bool,
    /// In CSV and TSV files a quote is a character like any other.
    #[arg(long)]
    pub no_quoting: bool,
    /// Read bytes that are not UTF-8 as U+FFFD instead of refusing the file.
    #[arg(long)]
    pub lossy: bool,
    /// The longest line, CSV record or document of plain text that is read.
    #[arg(long, value_name = "BYTES", default_value_t = ReadOptions::default().max_line_bytes)]
    pub max_line_bytes: usize,
}

impl LineArgs {
    /// How files are read.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            header: !self.no_header,
            quoting: !self.no_quoting,
            lossy: self.lossy,
            max_line_bytes: self.max_line_bytes,
            ..ReadOptions::default()
        }
    }
}
