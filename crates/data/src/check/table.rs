//! The data check as a table for the terminal, with a line for each finding.

use std::fmt;

use super::{DataCheck, SplitCheck};
use crate::resolve::Split;

/// Labels, and findings about them, beyond so many are only counted.
const LABELS_SHOWN: usize = 40;

impl fmt::Display for DataCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        let width = |column: usize| table.iter().map(|line| line[column].chars().count()).max();
        let widths: Vec<usize> = (0..=self.splits.len()).map(|column| width(column).unwrap_or(0)).collect();
        for line in &table {
            write!(f, "{:<1$}", line[0], widths[0])?;
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        self.write_findings(f)
    }
}

impl DataCheck {
    /// The table's cells: a line of split names, then one line per count; each as long as the splits plus one.
    fn table(&self) -> Vec<Vec<String>> {
        let line = |name: &str, cell: &dyn Fn(&SplitCheck) -> String| {
            std::iter::once(name.to_owned()).chain(self.splits.iter().map(cell)).collect::<Vec<_>>()
        };
        let mut table =
            vec![line("data", &|check| check.split.to_string()), line("examples", &|check| grouped(check.examples))];
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.splits.iter().flat_map(|check| &check.labels) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        for name in names.iter().take(LABELS_SHOWN) {
            table.push(line(&format!("  {name}"), &|check| label_share(check, name)));
        }
        if names.len() > LABELS_SHOWN {
            table.push(line(&format!("  ... of {} labels", names.len()), &|_| String::new()));
        }
        let any = |test: &dyn Fn(&SplitCheck) -> bool| self.splits.iter().any(test);
        if any(&|check| check.unlabelled > 0) {
            table.push(line("  without label", &|check| grouped(check.unlabelled)));
        }
        if any(&|check| check.scores.is_some()) {
            table.push(line("scores (min, mean, max)", &|check| match check.scores {
                Some((least, mean, most)) => format!("{least:.3}, {mean:.3}, {most:.3}"),
                None => "-".into(),
            }));
        }
        table.push(line("empty texts", &|check| grouped(check.empty.count)));
        table.push(line("duplicates", &|check| grouped(check.duplicates.count)));
        table.push(line("  with another label", &|check| grouped(check.conflicts.count)));
        table.push(line("mean characters", &|check| format!("{:.1}", check.mean_characters)));
        table.push(line("longest", &|check| grouped(check.longest.0)));
        if any(&|check| check.truncated.is_some()) {
            table.push(line("truncated", &truncated_share));
        }
        table
    }

    fn write_findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.splits {
            let findings = [("empty text", &check.empty), ("text with another label further up", &check.conflicts)];
            for (what, finding) in findings.into_iter().filter(|(_, finding)| finding.count > 0) {
                let rows: Vec<String> = finding.rows.iter().map(u64::to_string).collect();
                let more = if finding.count > finding.rows.len() as u64 { ", ..." } else { "" };
                writeln!(f, "note: {what} in {} rows {}{more}", check.split, rows.join(", "))?;
            }
        }
        for overlap in &self.overlaps {
            let total = self.splits.iter().find(|check| check.split == overlap.later);
            let total = total.map_or(0, |check| check.examples);
            write!(
                f,
                "warning: {} of {} {} texts ({:.1} %) are also in {}",
                grouped(overlap.count),
                grouped(total),
                overlap.later,
                overlap.percent,
                overlap.earlier
            )?;
            if let Some((later, earlier)) = overlap.rows.first() {
                write!(f, " ({} row {later} is {} row {earlier})", overlap.later, overlap.earlier)?;
            }
            writeln!(f)?;
        }
        for (label, splits) in self.partial_labels.iter().take(LABELS_SHOWN) {
            let names: Vec<String> = splits.iter().map(Split::to_string).collect();
            match names.as_slice() {
                [] => writeln!(f, "warning: no example has the label `{label}`")?,
                names => writeln!(f, "warning: the label `{label}` is in {} only", names.join(" and "))?,
            }
        }
        if let Some(more) = self.partial_labels.len().checked_sub(LABELS_SHOWN).filter(|more| *more > 0) {
            writeln!(f, "warning: {more} more labels are not in every split")?;
        }
        if self.single_class {
            writeln!(f, "warning: all training examples have the same label")?;
        }
        Ok(())
    }
}

fn label_share(check: &SplitCheck, name: &str) -> String {
    match check.labels.iter().find(|(known, _)| known == name) {
        Some((_, count)) => share(*count, check.examples),
        None => "-".into(),
    }
}

fn truncated_share(check: &SplitCheck) -> String {
    check.truncated.map_or_else(|| "-".into(), |truncated| share(truncated.count, check.examples))
}

fn share(count: u64, total: u64) -> String {
    let percent = 100.0 * count as f64 / (total as f64).max(1.0);
    format!("{} ({percent:.1} %)", grouped(count))
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
