//! The formats of prediction files.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::DataError;
use crate::rows::Format;

/// A format of prediction files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header, quoted like CSV.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

impl OutputFormat {
    /// What [`OutputFormat::from_str`] takes, for messages.
    pub const NAMES: &'static str = "csv|tsv|jsonl|parquet";

    /// The format that a file's name tells.
    ///
    /// # Errors
    /// A name that ends in none of the known extensions.
    pub fn from_name(path: &Path) -> Result<Self, DataError> {
        match Format::from_name(path) {
            Some(Format::Csv) => Ok(Self::Csv),
            Some(Format::Tsv) => Ok(Self::Tsv),
            Some(Format::JsonLines) => Ok(Self::JsonLines),
            Some(Format::Parquet) => Ok(Self::Parquet),
            _ => Err(DataError::Setting(format!(
                "{}: the name does not tell the output's format\nhint: end it in .csv, .tsv, .jsonl (each also .gz) \
                 or .parquet",
                path.display()
            ))),
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        })
    }
}

impl FromStr for OutputFormat {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        match name.to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "jsonl" | "json" => Ok(Self::JsonLines),
            "parquet" => Ok(Self::Parquet),
            _ => Err(DataError::Setting(format!("`{name}` is not an output format\nhint: one of {}", Self::NAMES))),
        }
    }
}
