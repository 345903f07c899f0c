//! Flags on how the documents of unlabelled text are read.

use clap::Args;
use serin::corpus::DocumentOptions;
use serin::data::ReadOptions;

/// Documents.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data")]
pub struct DocumentArgs {
    /// Column with the text in tables; by default text, sentence, review, content or tweet.
    #[arg(long, value_name = "COLUMN", alias = "text-column-name")]
    pub text_column: Option<String>,
    /// Every line of a .txt file is a document; otherwise a blank line ends one.
    #[arg(long)]
    pub line_by_line: bool,
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

impl DocumentArgs {
    /// How documents are read.
    pub fn options(&self) -> DocumentOptions {
        DocumentOptions {
            text_column: self.text_column.clone(),
            line_by_line: self.line_by_line,
            read: ReadOptions {
                header: !self.no_header,
                quoting: !self.no_quoting,
                lossy: self.lossy,
                max_line_bytes: self.max_line_bytes,
                ..ReadOptions::default()
            },
        }
    }
}
