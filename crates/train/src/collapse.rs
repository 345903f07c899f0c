//! Notices a model that gives every text the same label: the usual way in which fine-tuning fails, and a silent one.

use serin_model::Target;

/// What an evaluation's texts are labelled with, and what the model decided.
#[derive(Debug, Default)]
pub(crate) struct Collapse {
    decisions: Distinct,
    targets: Distinct,
    rows: u64,
}

/// Whether all values are one.
#[derive(Debug, Default)]
struct Distinct {
    first: Option<u32>,
    differ: bool,
}

impl Distinct {
    fn push(&mut self, value: u32) {
        self.differ |= *self.first.get_or_insert(value) != value;
    }
}

impl Collapse {
    /// Adds a row; only single-label rows with a decision count.
    pub(crate) fn push(&mut self, target: &Target, decision: Option<u32>) {
        if let (Target::Class(class), Some(decision)) = (target, decision) {
            self.targets.push(*class);
            self.decisions.push(decision);
            self.rows += 1;
        }
    }

    /// What to say, if every decision was the same though the targets were not.
    pub(crate) fn note(&self, labels: &[String]) -> Option<String> {
        let class = self.decisions.first.filter(|_| !self.decisions.differ && self.targets.differ)?;
        let label = labels.get(class as usize).map_or("?", String::as_str);
        Some(format!(
            "all {} evaluated texts were given the label '{label}': the model tells nothing apart (yet)\nhint: if it stays \
             so, lower --learning-rate, or let it rise slowly with --warmup-steps 0.06",
            self.rows
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(rows: &[(u32, Option<u32>)]) -> Option<String> {
        let mut collapse = Collapse::default();
        rows.iter().for_each(|&(class, decision)| collapse.push(&Target::Class(class), decision));
        collapse.note(&["no".into(), "yes".into()])
    }

    #[test]
    fn constant_decisions_are_said_unless_the_data_is_constant_too() {
        assert!(note(&[(0, Some(1)), (1, Some(1))]).unwrap().contains("'yes'"));
        assert_eq!(note(&[(0, Some(1)), (1, Some(0))]), None);
        assert_eq!(note(&[(1, Some(1)), (1, Some(1))]), None);
        assert_eq!(note(&[]), None);
    }
}
