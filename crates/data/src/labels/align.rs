//! Matching the labels of a dataset with known labels: those of a model, or of the training data.

use super::LabelSet;

/// A label as a dataset gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DatasetLabel<'a> {
    /// The dataset names its classes: class `id` of `count` is `name`.
    Named { name: &'a str, id: u32, count: usize },
    /// The dataset gives values alone, numbers or words.
    Value(&'a str),
}

impl LabelSet {
    /// The id of a name: the exact one, else the only one that differs in case alone.
    ///
    /// # Errors
    /// In words, after `label X`: no such name, or several that differ in case alone.
    pub fn position(&self, name: &str) -> Result<u32, &'static str> {
        if let Some(exact) = self.names.iter().position(|known| known == name) {
            return Ok(exact as u32);
        }
        let folded = name.to_lowercase();
        let mut same = (0u32..).zip(&self.names).filter(|(_, known)| known.to_lowercase() == folded);
        match (same.next(), same.next()) {
            (Some((id, _)), None) => Ok(id),
            (Some(_), Some(_)) => Err("is ambiguous: several labels differ from it in case alone"),
            (None, _) => Err("is not one of the known labels"),
        }
    }

    /// The id that a dataset's label has in this set.
    ///
    /// By name first. `LABEL_3`, the name that `transformers` gives when it knows none, stands for id 3 on either side.
    /// Whole numbers are ids where the dataset gives no names and the known names are no numbers.
    pub(crate) fn align(&self, label: DatasetLabel<'_>) -> Result<u32, String> {
        let (DatasetLabel::Named { name, .. } | DatasetLabel::Value(name)) = label;
        let unknown = match self.position(name) {
            Ok(id) => return Ok(id),
            Err(problem) => problem.to_owned(),
        };
        let all_known = |test: fn(&str) -> bool| self.names.iter().all(|known| test(known));
        let by_number = match label {
            DatasetLabel::Named { id, count, .. } => {
                let nameless = all_known(|known| placeholder_id(known).is_some());
                (nameless && count == self.len()).then_some(i64::from(id))
            }
            DatasetLabel::Value(value) => {
                let named = !all_known(|known| known.parse::<f64>().is_ok());
                value.parse().ok().filter(|_| named)
            }
        };
        match by_number.or_else(|| placeholder_id(name).map(i64::from)) {
            Some(number) => u32::try_from(number)
                .ok()
                .filter(|&id| (id as usize) < self.len())
                .ok_or_else(|| format!("is out of the range of ids, 0 to {}", self.len() - 1)),
            None => Err(unknown),
        }
    }

    /// The names for a message, the first of very many.
    pub(crate) fn describe(&self) -> String {
        const SHOWN: usize = 40;
        let mut text = self.names[..self.len().min(SHOWN)].join(", ");
        if self.len() > SHOWN {
            text.push_str(&format!(", ... ({} in all)", self.len()));
        }
        text
    }
}

/// The number in `LABEL_3`.
fn placeholder_id(name: &str) -> Option<u32> {
    let prefix = name.get(..6).filter(|prefix| prefix.eq_ignore_ascii_case("LABEL_"))?;
    name[prefix.len()..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> LabelSet {
        LabelSet::new(names.iter().map(|&name| name.to_owned()).collect()).unwrap()
    }

    fn value(known: &[&str], value: &str) -> Result<u32, String> {
        labels(known).align(DatasetLabel::Value(value))
    }

    fn named(known: &[&str], name: &str, id: u32, count: usize) -> Result<u32, String> {
        labels(known).align(DatasetLabel::Named { name, id, count })
    }

    const SENTIMENT: [&str; 3] = ["negative", "neutral", "positive"];

    #[test]
    fn names_match_whatever_their_case() {
        assert_eq!(value(&SENTIMENT, "Positive"), Ok(2));
        assert_eq!(named(&SENTIMENT, "Positive", 1, 2), Ok(2));
    }

    #[test]
    fn an_exact_name_wins_and_two_inexact_ones_are_ambiguous() {
        assert_eq!(value(&["POS", "pos"], "pos"), Ok(1));
        assert!(value(&["POS", "pos"], "Pos").unwrap_err().contains("ambiguous"));
    }

    #[test]
    fn placeholders_stand_for_ids_on_either_side() {
        assert_eq!(value(&SENTIMENT, "LABEL_2"), Ok(2));
        assert_eq!(named(&["LABEL_0", "LABEL_1"], "pos", 1, 2), Ok(1));
        assert!(named(&["LABEL_0", "LABEL_1", "LABEL_2"], "pos", 1, 2).is_err());
    }

    #[test]
    fn numbers_are_ids_only_where_nothing_has_a_number_for_a_name() {
        assert_eq!(value(&SENTIMENT, "2"), Ok(2));
        assert_eq!(value(&["1", "2", "3"], "2"), Ok(1));
        assert!(value(&["1", "2", "3"], "0").is_err());
        assert!(named(&SENTIMENT, "2", 1, 3).is_err(), "a class named 2 is not class 2");
    }

    #[test]
    fn ids_out_of_range_and_unknown_names_are_refused() {
        assert!(value(&SENTIMENT, "3").unwrap_err().contains("0 to 2"));
        assert!(value(&SENTIMENT, "-1").unwrap_err().contains("0 to 2"));
        assert!(value(&SENTIMENT, "neg").unwrap_err().contains("not one of"));
        assert!(named(&SENTIMENT, "neg", 0, 2).is_err());
    }
}
