//! Dataset files to rows to labelled examples, and rows back out with predictions.
//!
//! [`load_dataset`] reads a split into memory to learn from or to measure with; [`RowReader`] and [`RowWriter`] pass
//! rows through in constant memory for bulk prediction. [`stratified_split`] and [`epoch_order`] are seeded and the
//! same on every platform; [`DataCheck`] says what is odd about the data before anything is learned from it.
//!
//! ```
//! use serin_data::{DataCheck, DataSpec, load_dataset, stratified_split};
//!
//! let paths = vec!["tests/data/pandas.csv".into()];
//! let dataset = load_dataset(&DataSpec { paths, ..DataSpec::default() })?;
//! let (train, validation) = stratified_split(&dataset, 0.25, 42)?;
//! assert_eq!((train.len(), validation.len()), (6, 2));
//! eprintln!("{}", DataCheck::run(&train, Some(&validation), None));
//! # Ok::<(), serin_data::DataError>(())
//! ```

mod check;
mod columns;
mod dataset;
mod error;
mod labels;
mod nearby;
mod resolve;
mod rows;
mod sample;
mod write;

pub use crate::check::{DataCheck, Finding, Overlap, SplitCheck, Truncation};
pub use crate::columns::{ColumnOptions, Columns, LabelColumns, LabelUse};
pub use crate::dataset::{DataSpec, Dataset, Example, load_dataset, text_cell};
pub use crate::error::{DataError, Location};
pub use crate::labels::reader::LabelReader;
pub use crate::labels::{LabelSet, ProblemType, Target};
pub use crate::nearby::hint as missing_path_hint;
pub use crate::resolve::{DataFolder, Source, Split};
pub use crate::rows::{Cell, Format, ReadOptions, Row, RowReader, count_rows, scan_schema};
pub use crate::sample::{epoch_order, stratified_split};
pub use crate::write::{OutputFormat, PredictedValue, Prediction, PredictionColumns, RowWriter, RunIdentity, Start};
