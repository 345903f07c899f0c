//! The labels of a whole dataset: gathered row by row, then turned into targets once all of them are known.

use std::collections::HashMap;

use super::rule::{LabelRule, UNLABELLED, list_refused, multi, score};
use super::value::{LabelCell, label_cell};
use super::{LabelSet, ProblemType, Target};
use crate::columns::{LabelColumns, LabelUse};
use crate::error::{DataError, Location};
use crate::rows::Row;

/// What is known about the labels before the data is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelKnowledge {
    /// The model's labels, or the training data's.
    pub(crate) known: Option<LabelSet>,
    /// `--label-map`: from a dataset's label to another name.
    pub(crate) renamed: Vec<(String, String)>,
    pub(crate) problem_type: Option<ProblemType>,
    pub(crate) label_use: LabelUse,
}

/// A label value, and where it was first seen.
pub(super) struct Distinct {
    pub(super) value: String,
    first: Location,
}

/// A row's label cells, as indices of distinct values.
pub(super) enum RowLabel {
    Missing,
    One(u32),
    Many(Vec<u32>),
    Flags(Vec<bool>),
}

/// Gathers the label cells of a dataset.
pub(crate) struct LabelCollector {
    pub(super) columns: LabelColumns,
    delimiter: Option<String>,
    pub(super) knowledge: LabelKnowledge,
    pub(super) rule: LabelRule,
    pub(super) distinct: Vec<Distinct>,
    index: HashMap<String, u32>,
    pub(super) rows: Vec<RowLabel>,
}

/// The targets of all rows, in order.
pub(crate) struct Labelled {
    pub(crate) targets: Vec<Target>,
    pub(crate) labels: Option<LabelSet>,
    pub(crate) problem_type: ProblemType,
}

impl LabelCollector {
    pub(crate) fn new(
        columns: LabelColumns,
        delimiter: Option<String>,
        class_names: Option<Vec<String>>,
        mut knowledge: LabelKnowledge,
    ) -> Self {
        let rule = LabelRule { class_names, renamed: std::mem::take(&mut knowledge.renamed) };
        Self { columns, delimiter, knowledge, rule, distinct: Vec::new(), index: HashMap::new(), rows: Vec::new() }
    }

    /// Takes the labels of one row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), DataError> {
        let label = match label_cell(row, &self.columns, self.delimiter.as_deref())? {
            LabelCell::Missing if self.knowledge.label_use == LabelUse::Required => {
                return Err(DataError::EmptyLabel { at: self.columns.location(row) });
            }
            LabelCell::Missing => RowLabel::Missing,
            LabelCell::One(value) => RowLabel::One(self.intern(value, row)),
            LabelCell::Many(values) => {
                RowLabel::Many(values.into_iter().map(|value| self.intern(value, row)).collect())
            }
            LabelCell::Flags(flags) => RowLabel::Flags(flags),
        };
        self.rows.push(label);
        Ok(())
    }

    fn intern(&mut self, value: String, row: &Row) -> u32 {
        if let Some(&index) = self.index.get(&value) {
            return index;
        }
        let index = self.distinct.len() as u32;
        let first = self.columns.location(row);
        self.distinct.push(Distinct { value: value.clone(), first });
        self.index.insert(value, index);
        index
    }

    /// Turns what was gathered into targets.
    pub(crate) fn finish(mut self) -> Result<Labelled, DataError> {
        self.read_multi_hot();
        self.drop_zero_fractions();
        let problem_type = self.knowledge.problem_type.unwrap_or_else(|| self.infer_problem_type());
        if problem_type == ProblemType::Regression {
            let targets = self.scores()?;
            return Ok(Labelled { targets, labels: None, problem_type });
        }
        let unlabelled = self.unlabelled_value();
        self.refuse_unlabelled(unlabelled)?;
        let Some(labels) = self.label_set(unlabelled)? else {
            let targets = self.rows.iter().map(|_| Target::Unlabelled).collect();
            return Ok(Labelled { targets, labels: None, problem_type });
        };
        let ids = self.class_ids(&labels, unlabelled)?;
        let targets = self.targets(&ids, &labels, problem_type)?;
        Ok(Labelled { targets, labels: Some(labels), problem_type })
    }

    /// The index of -1, where it means that there is no label: the classes have other names, or all rows have it.
    fn unlabelled_value(&self) -> Option<u32> {
        let index = self.distinct.iter().position(|label| label.value == UNLABELLED)?;
        let alone = self.distinct.len() == 1;
        self.rule.has_unlabelled_mark(self.knowledge.known.as_ref(), alone).then_some(index as u32)
    }

    fn refuse_unlabelled(&self, unlabelled: Option<u32>) -> Result<(), DataError> {
        let Some(index) = unlabelled.or_else(|| self.unclear_mark()) else { return Ok(()) };
        if self.knowledge.label_use != LabelUse::Required {
            return Ok(());
        }
        let is_marked = |row: &&RowLabel| matches!(row, RowLabel::One(at) if self.is_mark(*at));
        let at = self.distinct[index as usize].first.clone();
        let count = self.rows.iter().filter(is_marked).count() as u64;
        let total = self.rows.len() as u64;
        Err(match unlabelled {
            Some(_) => DataError::Unlabelled { at, count, total },
            None => DataError::UnclearMark { at, count, total },
        })
    }

    /// The index of -1 where it may be a class or mean that there is none: two or more other labels are ids from 0 up,
    /// and nobody says what it is. Beside one other label it is a class, or there would be nothing to tell apart.
    fn unclear_mark(&self) -> Option<u32> {
        let index = self.distinct.iter().position(|label| label.value == UNLABELLED)?;
        let others = self.distinct.iter().filter(|label| label.value != UNLABELLED);
        let ids: Option<Vec<u32>> = others.map(|label| label.value.parse().ok()).collect();
        let are_classes = ids.is_some_and(|ids| ids.windows(2).any(|pair| pair[0] != pair[1]));
        let is_named = self.knowledge.known.is_some() || self.rule.names_mark();
        let marks_rows = self.rows.iter().any(|row| matches!(row, RowLabel::One(at) if self.is_mark(*at)));
        (are_classes && marks_rows && !is_named).then_some(index as u32)
    }

    /// Whether a value is -1; `-1` and `-1.0` are two values.
    fn is_mark(&self, index: u32) -> bool {
        self.distinct[index as usize].value == UNLABELLED
    }

    /// The known labels, else the dataset's own; `None` when no row has a label.
    fn label_set(&self, unlabelled: Option<u32>) -> Result<Option<LabelSet>, DataError> {
        if let Some(known) = &self.knowledge.known {
            return Ok(Some(known.clone()));
        }
        let own = match (&self.columns, &self.rule.class_names) {
            (LabelColumns::Flags(names), _) | (_, Some(names)) => names.as_slice(),
            _ => {
                let values = (0u32..).zip(&self.distinct);
                let values = values.filter(|(index, _)| Some(*index) != unlabelled);
                let names: Vec<String> = values.map(|(_, label)| self.rule.renamed(&label.value).to_owned()).collect();
                return if names.is_empty() { Ok(None) } else { LabelSet::sorted(names).map(Some) };
            }
        };
        let mut names: Vec<String> = Vec::with_capacity(own.len());
        for name in own {
            let name = self.rule.renamed(name);
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        LabelSet::new(names).map(Some)
    }

    /// The class id of every distinct value.
    fn class_ids(&self, labels: &LabelSet, unlabelled: Option<u32>) -> Result<Vec<Option<u32>>, DataError> {
        let ids = (0u32..).zip(&self.distinct).map(|(index, label)| {
            if Some(index) == unlabelled {
                return Ok(None);
            }
            self.rule.class_id(&label.value, &label.first, labels).map(Some)
        });
        ids.collect()
    }

    fn targets(
        &self,
        ids: &[Option<u32>],
        labels: &LabelSet,
        problem_type: ProblemType,
    ) -> Result<Vec<Target>, DataError> {
        let flag_ids = match &self.columns {
            LabelColumns::Flags(names) => self.rule.flag_ids(names, labels)?,
            LabelColumns::None | LabelColumns::One(_) => Vec::new(),
        };
        let is_single = problem_type == ProblemType::SingleLabelClassification;
        let target = |row: &RowLabel| match row {
            RowLabel::Missing => Ok(Target::Unlabelled),
            RowLabel::One(index) => Ok(match ids[*index as usize] {
                None => Target::Unlabelled,
                Some(id) if is_single => Target::Class(id),
                Some(id) => multi([id], labels),
            }),
            RowLabel::Many(_) | RowLabel::Flags(_) if is_single => {
                Err(DataError::Setting(list_refused(problem_type).into()))
            }
            RowLabel::Many(list) => Ok(multi(list.iter().filter_map(|&index| ids[index as usize]), labels)),
            RowLabel::Flags(flags) => {
                let on = flag_ids.iter().zip(flags).filter(|(_, flag)| **flag);
                Ok(multi(on.map(|(&id, _)| id), labels))
            }
        };
        self.rows.iter().map(target).collect()
    }

    fn scores(&self) -> Result<Vec<Target>, DataError> {
        let target = |row: &RowLabel| match row {
            RowLabel::Missing => Ok(Target::Unlabelled),
            RowLabel::One(index) => {
                let label = &self.distinct[*index as usize];
                score(&label.value, &label.first).map(Target::Score)
            }
            RowLabel::Many(_) | RowLabel::Flags(_) => {
                Err(DataError::Setting(list_refused(ProblemType::Regression).into()))
            }
        };
        self.rows.iter().map(target).collect()
    }
}
