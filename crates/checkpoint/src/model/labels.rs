//! Which row of a checkpoint's last layer starts which label.

use std::collections::HashSet;

use super::names::is_generic_label;
use crate::{CheckpointError, Hint};

/// The plan for the last layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    /// The labels' names, in the wanted order.
    pub(super) labels: Vec<String>,
    /// For each label the row of the file, or `None` for a fresh one.
    pub(super) from: Vec<Option<usize>>,
    /// How they were matched.
    pub(super) sentence: Option<String>,
}

impl Rows {
    /// Every row where the file has it.
    pub(super) fn as_stored(labels: Vec<String>) -> Rows {
        let from = (0..labels.len()).map(Some).collect();
        Rows { labels, from, sentence: None }
    }

    /// Every row new.
    pub(super) fn fresh(labels: Vec<String>) -> Rows {
        Rows { from: vec![None; labels.len()], labels, sentence: None }
    }
}

/// Matches `wanted` labels with those of the rows of a file.
///
/// As many labels on both sides and placeholders (`LABEL_0`, `0`) on one: by id, under the real names. Otherwise by name,
/// whatever the case, with "neg" and "negative", "pos" and "positive" taken for the same.
pub(super) fn match_rows(wanted: &[String], stored: &[String]) -> Rows {
    let (from, synonyms) = by_name(wanted, stored);
    let matched = from.iter().flatten().count();
    if matched < wanted.len() && wanted.len() == stored.len() && (all_generic(wanted) || all_generic(stored)) {
        let labels = if all_generic(wanted) { stored } else { wanted };
        let sentence = format!(
            "The last layer's rows were kept by id: {}.",
            pairs(labels, stored, &Rows::as_stored(labels.to_vec()).from)
        );
        return Rows { sentence: Some(sentence), ..Rows::as_stored(labels.to_vec()) };
    }
    let same_order = wanted.len() == stored.len() && from.iter().enumerate().all(|(id, row)| *row == Some(id));
    let sentence = match matched {
        0 => format!(
            "The last layer starts afresh: none of the labels {} is among the checkpoint's {}.",
            quoted(wanted),
            quoted(stored)
        ),
        _ if same_order && synonyms.is_empty() => return Rows { labels: wanted.to_vec(), from, sentence: None },
        _ => carried_sentence(wanted, stored, &from, &synonyms),
    };
    Rows { labels: wanted.to_vec(), from, sentence: Some(sentence) }
}

pub(super) fn refuse_unusable(labels: &[String]) -> Result<(), CheckpointError> {
    let fail = |value: &str, reason: &str| {
        let (value, reason) = (value.to_owned(), reason.to_owned());
        Err(CheckpointError::InvalidSetting { what: "label", value, reason, hint: Hint::NONE })
    };
    let mut seen = HashSet::new();
    match labels.iter().find(|label| !seen.insert(label.as_str())) {
        Some(twice) => fail(twice, "is there twice"),
        None if labels.is_empty() => fail("", "a classifier needs at least one label, and none was given"),
        None => Ok(()),
    }
}

fn carried_sentence(wanted: &[String], stored: &[String], from: &[Option<usize>], synonyms: &[String]) -> String {
    let mut sentence =
        format!("The last layer's rows were carried over by label name: {}", pairs(wanted, stored, from));
    let fresh: Vec<&String> =
        wanted.iter().zip(from).filter(|(_, row)| row.is_none()).map(|(label, _)| label).collect();
    if !fresh.is_empty() {
        sentence += &format!("; fresh: {}", quoted(&fresh));
    }
    let left: Vec<&String> =
        stored.iter().enumerate().filter(|(row, _)| !from.contains(&Some(*row))).map(|(_, label)| label).collect();
    if !left.is_empty() {
        sentence += &format!("; left behind: {}", quoted(&left));
    }
    if !synonyms.is_empty() {
        sentence += &format!("; taken for the same: {}", synonyms.join(", "));
    }
    sentence + "."
}

/// For each wanted label the row of its namesake, each row once, and the synonyms that were needed.
fn by_name(wanted: &[String], stored: &[String]) -> (Vec<Option<usize>>, Vec<String>) {
    let mut from = vec![None; wanted.len()];
    let mut used = HashSet::new();
    let mut synonyms = Vec::new();
    let same: [fn(&str, &str) -> bool; 3] =
        [|a, b| a == b, |a, b| a.to_lowercase() == b.to_lowercase(), |a, b| canonical(a) == canonical(b)];
    for (pass, same) in same.iter().enumerate() {
        for (label, row) in wanted.iter().zip(&mut from).filter(|(_, row)| row.is_none()) {
            *row = (0..stored.len()).find(|at| !used.contains(at) && same(label, &stored[*at]));
            used.extend(*row);
            if let (2, Some(at)) = (pass, *row) {
                synonyms.push(format!("\"{label}\" and \"{}\"", stored[at]));
            }
        }
    }
    (from, synonyms)
}

fn canonical(label: &str) -> String {
    let lower = label.to_lowercase();
    match lower.as_str() {
        "neg" => "negative".into(),
        "pos" => "positive".into(),
        _ => lower,
    }
}

fn all_generic(labels: &[String]) -> bool {
    labels.iter().enumerate().all(|(id, label)| is_generic_label(id, label))
}

fn pairs(labels: &[String], stored: &[String], from: &[Option<usize>]) -> String {
    let pairs = labels.iter().zip(from).filter_map(|(label, row)| {
        let row = (*row)?;
        let name = stored.get(row).filter(|name| *name != label).map(|name| format!(" (\"{name}\")"));
        Some(format!("\"{label}\" from row {row}{}", name.unwrap_or_default()))
    });
    pairs.collect::<Vec<_>>().join(", ")
}

fn quoted(labels: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = labels.iter().take(SHOWN).map(|label| format!("\"{}\"", label.as_ref())).collect();
    if labels.len() > SHOWN {
        shown.push(format!("{} more", labels.len() - SHOWN));
    }
    shown.join(", ")
}
