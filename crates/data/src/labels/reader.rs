//! Labels of rows that stream by, matched with known labels by the rule that datasets are loaded by.

use super::rule::{LabelRule, UNLABELLED, flag_value, list_refused, multi, score, whole_number};
use super::value::{LabelCell, label_cell};
use super::{LabelSet, ProblemType, Target};
use crate::columns::{ColumnOptions, Columns, LabelColumns};
use crate::error::{DataError, Location};
use crate::rows::{Row, RowReader};

/// Reads the labels of rows, one row at a time, as ids of known labels; every row needs one.
///
/// What [`load_dataset`](crate::load_dataset) does with all rows in memory, this does in constant memory. One thing cannot
/// be told from one row: whether `[0, 1]` under two labels is a list of ids or a flag for each. It is ids, unless
/// [`LabelReader::survey`] has seen all rows and found that they cannot be.
#[derive(Clone, Debug)]
pub struct LabelReader {
    columns: LabelColumns,
    delimiter: Option<String>,
    rule: LabelRule,
    known: LabelSet,
    problem_type: ProblemType,
    /// The class id of every flag column.
    flag_ids: Vec<u32>,
    pairs: Pairs,
}

/// What lists of two under two labels have been seen: they are flags if all lists have two items, and one of them says a
/// thing twice, which ids never do.
#[derive(Clone, Copy, Debug, Default)]
struct Pairs {
    other_length: bool,
    repeats: bool,
}

impl LabelReader {
    /// A reader of the label columns that were found. `class_names` are those of the file ([`LabelReader::class_names`]),
    /// `label_map` renames labels of the dataset, `known` are the labels to align with (not used for regression).
    ///
    /// # Errors
    /// Columns of 0 and 1 where a row has one label, or that are none of the known labels.
    pub fn new(
        columns: &Columns,
        options: &ColumnOptions,
        class_names: Option<Vec<String>>,
        label_map: &[(String, String)],
        known: LabelSet,
        problem_type: ProblemType,
    ) -> Result<Self, DataError> {
        let rule = LabelRule { class_names, renamed: label_map.to_vec() };
        let flag_ids = match &columns.label {
            LabelColumns::Flags(_) if problem_type != ProblemType::MultiLabelClassification => {
                return Err(DataError::Setting(list_refused(problem_type).into()));
            }
            LabelColumns::Flags(names) => rule.flag_ids(names, &known)?,
            LabelColumns::None | LabelColumns::One(_) => Vec::new(),
        };
        let delimiter = options.label_delimiter.clone();
        let pairs = Pairs::default();
        Ok(Self { columns: columns.label.clone(), delimiter, rule, known, problem_type, flag_ids, pairs })
    }

    /// The class names that the files of `reader` themselves give to the label column.
    pub fn class_names(reader: &RowReader, columns: &Columns) -> Option<Vec<String>> {
        match &columns.label {
            LabelColumns::One(column) => reader.label_names(column).map(<[String]>::to_vec),
            LabelColumns::None | LabelColumns::Flags(_) => None,
        }
    }

    /// The labels that rows are aligned with.
    pub fn known(&self) -> &LabelSet {
        &self.known
    }

    /// The label of a row, never [`Target::Unlabelled`].
    ///
    /// # Errors
    /// An empty label, -1 where it marks unlabelled text, a label that is not known, a list where a row has one label, or
    /// no number in a regression.
    pub fn target(&self, row: &Row) -> Result<Target, DataError> {
        let at = self.columns.location(row);
        match self.cell(row)? {
            LabelCell::Missing => Err(DataError::EmptyLabel { at }),
            LabelCell::One(value) => match self.problem_type {
                ProblemType::Regression => score(&value, &at).map(Target::Score),
                ProblemType::SingleLabelClassification => self.class_id(&value, &at).map(Target::Class),
                ProblemType::MultiLabelClassification => Ok(multi([self.class_id(&value, &at)?], &self.known)),
            },
            LabelCell::Many(_) | LabelCell::Flags(_) if self.problem_type != ProblemType::MultiLabelClassification => {
                Err(DataError::Cell { at, problem: list_refused(self.problem_type).into() })
            }
            LabelCell::Many(values) => match self.as_flags(&values) {
                Some(flags) => Ok(Target::Multi(flags)),
                None => {
                    let ids = values.iter().map(|value| self.class_id(value, &at));
                    Ok(multi(ids.collect::<Result<Vec<u32>, _>>()?, &self.known))
                }
            },
            LabelCell::Flags(flags) => {
                let on = self.flag_ids.iter().zip(flags).filter(|(_, flag)| *flag);
                Ok(multi(on.map(|(&id, _)| id), &self.known))
            }
        }
    }

    /// Checks the label of a row and learns from it; to be called with every row before the first [`LabelReader::target`].
    ///
    /// # Errors
    /// As [`LabelReader::target`].
    pub fn survey(&mut self, row: &Row) -> Result<(), DataError> {
        if self.known.len() == 2
            && self.problem_type == ProblemType::MultiLabelClassification
            && let LabelCell::Many(values) = self.cell(row)?
        {
            self.pairs.other_length |= values.len() != 2;
            self.pairs.repeats |= matches!(values.as_slice(), [one, other] if one == other);
            if values.len() == 2 && values.iter().all(|value| flag_value(value).is_some()) {
                // Flags or ids: the last row will tell.
                return Ok(());
            }
        }
        self.target(row).map(|_| ())
    }

    fn cell(&self, row: &Row) -> Result<LabelCell, DataError> {
        label_cell(row, &self.columns, self.delimiter.as_deref())
    }

    /// A list of as many 0 and 1 as there are labels. Three or more of them repeat one, which ids never do.
    fn as_flags(&self, values: &[String]) -> Option<Vec<bool>> {
        let pairs_are_flags = self.pairs.repeats && !self.pairs.other_length;
        let by_length = self.known.len() > 2 || (self.known.len() == 2 && pairs_are_flags);
        let flags = values.iter().map(|value| flag_value(value)).collect::<Option<Vec<bool>>>();
        flags.filter(|flags| by_length && flags.len() == self.known.len())
    }

    fn class_id(&self, value: &str, at: &Location) -> Result<u32, DataError> {
        let is_mark = value == UNLABELLED || whole_number(value) == Some(-1);
        if is_mark && self.rule.has_unlabelled_mark(Some(&self.known), false) {
            return Err(DataError::UnlabelledRow { at: at.clone() });
        }
        self.rule.class_id(value, at, &self.known)
    }
}
