//! Flags on how the documents of unlabelled text are read.

use super::reading::LineArgs;
use clap::Args;
use serin::corpus::DocumentOptions;

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
    #[command(flatten)]
    pub lines: LineArgs,
}

impl DocumentArgs {
    /// How documents are read.
    pub fn options(&self) -> DocumentOptions {
        DocumentOptions {
            text_column: self.text_column.clone(),
            line_by_line: self.line_by_line,
            read: self.lines.options(),
        }
    }
}
