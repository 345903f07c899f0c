//! Flags on how labelled data files are read.

use super::ReadingArgs;
use clap::Args;
use serin::data::{ColumnOptions, DataSpec, LabelUse, ProblemType, ReadOptions, Split};
use std::path::PathBuf;

/// Texts and their labels.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Texts.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Column with the label; by default label, labels, sentiment, category, target, class or score.
    #[arg(long, value_name = "COLUMN", alias = "label-column-name")]
    pub label_column: Option<String>,
    /// Columns of 0 and 1, one a label, for texts with several labels: a,b,c.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// What separates several labels in one cell.
    #[arg(long, value_name = "TEXT")]
    pub label_delimiter: Option<String>,
    /// Other names for the data's labels: neg=negative. May be repeated.
    #[arg(long, value_name = "OLD=NEW", value_parser = label_pair)]
    pub label_map: Vec<(String, String)>,
    /// What labels are: single_label_classification, multi_label_classification or regression; by default told by them.
    #[arg(long, value_name = "TYPE", value_parser = problem_type)]
    pub problem_type: Option<ProblemType>,
}

impl DataArgs {
    /// How to read `paths`.
    pub fn spec(&self, paths: Vec<PathBuf>, split: Split, label_use: LabelUse) -> DataSpec {
        DataSpec {
            paths,
            split,
            format: self.reading.format,
            read: self.read_options(),
            columns: self.column_options(),
            label_use,
            label_map: self.label_map.clone(),
            problem_type: self.problem_type,
            ..DataSpec::default()
        }
    }

    /// How files are read.
    pub fn read_options(&self) -> ReadOptions {
        self.reading.options()
    }

    /// Which columns are used.
    pub fn column_options(&self) -> ColumnOptions {
        ColumnOptions {
            label: self.label_column.clone(),
            labels: self.label_columns.clone(),
            label_delimiter: self.label_delimiter.clone(),
            ..self.reading.columns()
        }
    }
}

pub(super) fn label_pair(text: &str) -> Result<(String, String), String> {
    let (old, new) = text.split_once('=').ok_or("expected OLD=NEW")?;
    Ok((old.to_owned(), new.to_owned()))
}

fn problem_type(text: &str) -> Result<ProblemType, String> {
    match text {
        "single_label_classification" => Ok(ProblemType::SingleLabelClassification),
        "multi_label_classification" => Ok(ProblemType::MultiLabelClassification),
        "regression" => Ok(ProblemType::Regression),
        _ => Err("take single_label_classification, multi_label_classification or regression".into()),
    }
}
