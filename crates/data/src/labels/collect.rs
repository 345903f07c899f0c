//! The labels of a whole dataset: gathered row by row, then turned into targets once all of them are known.

use std::collections::HashMap;

use super::align::DatasetLabel;
use super::value::{LabelCell, label_cell};
use super::{LabelSet, ProblemType, Target};
use crate::columns::{LabelColumns, LabelUse};
use crate::error::{DataError, Location};
use crate::rows::Row;

/// What `datasets` writes for the label of an unlabelled row.
const UNLABELLED: &str = "-1";

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
    /// The class names that the files themselves give.
    pub(super) class_names: Option<Vec<String>>,
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
        knowledge: LabelKnowledge,
    ) -> Self {
        Self {
            columns,
            delimiter,
            knowledge,
            class_names,
            distinct: Vec::new(),
            index: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Takes the labels of one row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), DataError> {
        let label = match label_cell(row, &self.columns, self.delimiter.as_deref())? {
            LabelCell::Missing if self.knowledge.label_use == LabelUse::Required => {
                return Err(DataError::EmptyLabel { at: self.location(row) });
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

    fn location(&self, row: &Row) -> Location {
        match &self.columns {
            LabelColumns::One(column) => row.location().with_column(column),
            LabelColumns::None | LabelColumns::Flags(_) => row.location(),
        }
    }

    fn intern(&mut self, value: String, row: &Row) -> u32 {
        if let Some(&index) = self.index.get(&value) {
            return index;
        }
        let index = self.distinct.len() as u32;
        let first = self.location(row);
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
        let is_class = |known: &LabelSet| known.position(UNLABELLED).is_ok();
        let renamed = self.knowledge.renamed.iter().any(|(from, _)| from == UNLABELLED);
        let meant = self.class_names.is_some()
            || self.distinct.len() == 1
            || self.knowledge.known.as_ref().is_some_and(|known| !is_class(known));
        (meant && !renamed).then_some(index as u32)
    }

    fn refuse_unlabelled(&self, unlabelled: Option<u32>) -> Result<(), DataError> {
        let Some(index) = unlabelled else { return Ok(()) };
        if self.knowledge.label_use != LabelUse::Required {
            return Ok(());
        }
        let is_unlabelled = |row: &&RowLabel| matches!(row, RowLabel::One(at) if *at == index);
        Err(DataError::Unlabelled {
            at: self.distinct[index as usize].first.clone(),
            count: self.rows.iter().filter(is_unlabelled).count() as u64,
            total: self.rows.len() as u64,
        })
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        let renamed = &self.knowledge.renamed;
        let exact = renamed.iter().find(|(from, _)| from == name);
        let found = exact.or_else(|| renamed.iter().find(|(from, _)| from.to_lowercase() == name.to_lowercase()));
        found.map_or(name, |(_, to)| to.as_str())
    }

    /// The known labels, else the dataset's own; `None` when no row has a label.
    fn label_set(&self, unlabelled: Option<u32>) -> Result<Option<LabelSet>, DataError> {
        if let Some(known) = &self.knowledge.known {
            return Ok(Some(known.clone()));
        }
        let own = match (&self.columns, &self.class_names) {
            (LabelColumns::Flags(names), _) | (_, Some(names)) => names.as_slice(),
            _ => {
                let values = (0u32..).zip(&self.distinct);
                let values = values.filter(|(index, _)| Some(*index) != unlabelled);
                let names: Vec<String> = values.map(|(_, label)| self.renamed(&label.value).to_owned()).collect();
                return if names.is_empty() { Ok(None) } else { LabelSet::sorted(names).map(Some) };
            }
        };
        let mut names: Vec<String> = Vec::with_capacity(own.len());
        for name in own {
            let name = self.renamed(name);
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
            self.class_id(label, labels).map(Some)
        });
        ids.collect()
    }

    fn class_id(&self, label: &Distinct, labels: &LabelSet) -> Result<u32, DataError> {
        let refuse = |problem: String, known: &str| DataError::Label {
            at: label.first.clone(),
            value: label.value.as_str().into(),
            problem: problem.into(),
            known: known.into(),
        };
        let Some(names) = &self.class_names else {
            let value = DatasetLabel::Value(self.renamed(&label.value));
            return labels.align(value).map_err(|problem| refuse(problem, &labels.describe()));
        };
        let by_id = label.value.parse().ok().filter(|&id: &u32| (id as usize) < names.len());
        let by_name = || names.iter().position(|name| *name == label.value).map(|at| at as u32);
        let Some(id) = by_id.or_else(by_name) else {
            let problem = format!("is not one of the file's {} classes", names.len());
            return Err(refuse(problem, &names.join(", ")));
        };
        let name = self.renamed(&names[id as usize]);
        let named = DatasetLabel::Named { name, id, count: names.len() };
        labels
            .align(named)
            .map_err(|problem| refuse(format!("is named `{name}` in the file, which {problem}"), &labels.describe()))
    }

    fn targets(
        &self,
        ids: &[Option<u32>],
        labels: &LabelSet,
        problem_type: ProblemType,
    ) -> Result<Vec<Target>, DataError> {
        let flag_ids = self.flag_ids(labels)?;
        let multi = |on: &mut dyn Iterator<Item = u32>| {
            let mut flags = vec![false; labels.len()];
            on.for_each(|id| flags[id as usize] = true);
            Target::Multi(flags)
        };
        let is_single = problem_type == ProblemType::SingleLabelClassification;
        let target = |row: &RowLabel| match row {
            RowLabel::Missing => Ok(Target::Unlabelled),
            RowLabel::One(index) => Ok(match ids[*index as usize] {
                None => Target::Unlabelled,
                Some(id) if is_single => Target::Class(id),
                Some(id) => multi(&mut std::iter::once(id)),
            }),
            RowLabel::Many(_) | RowLabel::Flags(_) if is_single => Err(DataError::Setting(
                "a row has a list of labels, but the problem type is single_label_classification\n\
                 hint: pass --problem-type multi_label_classification"
                    .into(),
            )),
            RowLabel::Many(list) => Ok(multi(&mut list.iter().filter_map(|&index| ids[index as usize]))),
            RowLabel::Flags(flags) => {
                let on = flag_ids.iter().zip(flags).filter(|(_, flag)| **flag);
                Ok(multi(&mut on.map(|(&id, _)| id)))
            }
        };
        self.rows.iter().map(target).collect()
    }

    /// The class id of every flag column.
    fn flag_ids(&self, labels: &LabelSet) -> Result<Vec<u32>, DataError> {
        let LabelColumns::Flags(names) = &self.columns else { return Ok(Vec::new()) };
        let id = |name: &String| {
            let name = self.renamed(name);
            labels.position(name).map_err(|problem| DataError::LabelSet {
                problem: format!("column `{name}` {problem}: {}", labels.describe()),
            })
        };
        names.iter().map(id).collect()
    }

    fn scores(&self) -> Result<Vec<Target>, DataError> {
        let score = |row: &RowLabel| match row {
            RowLabel::Missing => Ok(Target::Unlabelled),
            RowLabel::One(index) => self.score(&self.distinct[*index as usize]).map(Target::Score),
            RowLabel::Many(_) | RowLabel::Flags(_) => {
                Err(DataError::Setting("a row has a list of labels, but the problem type is regression".into()))
            }
        };
        self.rows.iter().map(score).collect()
    }

    fn score(&self, label: &Distinct) -> Result<f32, DataError> {
        let problem = match label.value.parse::<f32>() {
            Ok(score) if score.is_finite() => return Ok(score),
            Ok(_) => "is no finite 32-bit number",
            Err(_) => "is no number",
        };
        let problem = format!("the label `{}` {problem}, as regression needs", label.value);
        Err(DataError::Cell { at: label.first.clone(), problem })
    }
}
