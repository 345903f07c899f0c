//! What gathered labels are, where nobody says it: numbers, ids, lists, flags.

use super::ProblemType;
use super::collect::{Distinct, LabelCollector, RowLabel};
use super::rule::{flag_value, whole_number};
use crate::columns::LabelColumns;

impl LabelCollector {
    pub(super) fn infer_problem_type(&self) -> ProblemType {
        let several = |row: &RowLabel| matches!(row, RowLabel::Many(_) | RowLabel::Flags(_));
        if self.rows.iter().any(several) {
            return ProblemType::MultiLabelClassification;
        }
        if self.rule.class_names.is_none() && self.knowledge.known.is_none() {
            let numbers: Option<Vec<f64>> = self.distinct.iter().map(|label| label.value.parse().ok()).collect();
            let has_fraction = |number: &f64| number.is_finite() && number.fract() != 0.0;
            if numbers.is_some_and(|numbers| numbers.iter().any(has_fraction)) {
                return ProblemType::Regression;
            }
        }
        ProblemType::SingleLabelClassification
    }

    /// Takes lists of 0 and 1 as one flag per label where they cannot be lists of ids: all of one length, and one of
    /// them says a thing twice.
    pub(super) fn read_multi_hot(&mut self) {
        let is_binary = |label: &Distinct| flag_value(&label.value).is_some();
        let lists: Option<Vec<&[u32]>> = self
            .rows
            .iter()
            .filter(|row| !matches!(row, RowLabel::Missing))
            .map(|row| if let RowLabel::Many(list) = row { Some(list.as_slice()) } else { None })
            .collect();
        let Some(lists) = lists else { return };
        let width = lists.first().map_or(0, |list| list.len());
        let repeats = |list: &&[u32]| (1..list.len()).any(|at| list[..at].contains(&list[at]));
        let fits = width > 1
            && self.distinct.iter().all(is_binary)
            && lists.iter().all(|list| list.len() == width)
            && lists.iter().any(repeats);
        if !fits {
            return;
        }
        let is_set: Vec<bool> = self.distinct.iter().map(|label| flag_value(&label.value) == Some(true)).collect();
        for row in &mut self.rows {
            if let RowLabel::Many(list) = row {
                let flags = list.iter().map(|&index| is_set[index as usize]).collect();
                *row = RowLabel::Flags(flags);
            }
        }
        self.distinct.clear();
        let numbered = || (0..width).map(|id| id.to_string()).collect();
        let names = self.rule.class_names.take().filter(|names| names.len() == width);
        let known = self.knowledge.known.as_ref().filter(|known| known.len() == width);
        let names = names.or_else(|| known.map(|known| known.names().to_vec()));
        self.columns = LabelColumns::Flags(names.unwrap_or_else(numbered));
    }

    /// Reads `1.0` as `1` where all labels are whole numbers: how pandas writes ids next to a missing one.
    pub(super) fn drop_zero_fractions(&mut self) {
        let numbers: Option<Vec<i64>> = self.distinct.iter().map(|label| whole_number(&label.value)).collect();
        let is_name = |value: &str| self.knowledge.known.as_ref().is_some_and(|known| known.position(value).is_ok());
        for (label, number) in self.distinct.iter_mut().zip(numbers.unwrap_or_default()) {
            if label.value.contains(['.', 'e', 'E']) && !is_name(&label.value) {
                label.value = number.to_string();
            }
        }
    }
}
