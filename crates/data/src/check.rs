//! What is odd about a dataset, said before anything is learned from it.

use std::collections::{BTreeSet, HashMap};

use crate::dataset::{Dataset, Example};
use crate::labels::Target;
use crate::resolve::Split;

mod table;

/// How many places are named for each finding.
const SHOWN: usize = 3;

/// A look over the splits of a dataset. [`std::fmt::Display`] gives a table for the terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct DataCheck {
    /// One check per split there is, in the order train, validation, test.
    pub splits: Vec<SplitCheck>,
    /// Texts that are in two splits, for every pair of splits that share any.
    pub overlaps: Vec<Overlap>,
    /// Labels that some splits have and others lack, with the splits that have them.
    pub partial_labels: Vec<(String, Vec<Split>)>,
    /// Whether all training examples have the same label: nothing can be learned from them.
    pub single_class: bool,
}

/// What one split holds.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitCheck {
    /// Which split.
    pub split: Split,
    /// Its examples.
    pub examples: u64,
    /// Examples per label, in the order of the label ids; with several labels to an example, the sum may exceed it.
    pub labels: Vec<(String, u64)>,
    /// Examples without a label.
    pub unlabelled: u64,
    /// For regression, the smallest, mean and largest score.
    pub scores: Option<(f32, f64, f32)>,
    /// Examples whose text is empty or blank.
    pub empty: Finding,
    /// Examples whose text (and pair) stands further up in the same split.
    pub duplicates: Finding,
    /// Those of them that have another label there.
    pub conflicts: Finding,
    /// Mean characters (Unicode scalar values) of an example, pair included.
    pub mean_characters: f64,
    /// Characters of the longest example, and its row.
    pub longest: (u64, u64),
    /// Examples that the tokenizer cuts; added by who tokenizes.
    pub truncated: Option<Truncation>,
}

/// How many examples show something, and the rows of the first ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// How many.
    pub count: u64,
    /// The rows of the first of them.
    pub rows: Vec<u64>,
}

/// Examples that are longer than the model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// How many examples are cut.
    pub count: u64,
    /// Tokens of the longest example before it is cut.
    pub longest_tokens: u64,
    /// The limit in tokens.
    pub limit: u64,
}

/// Texts of one split that are also in another.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlap {
    /// The split that is learned from, or chosen by.
    pub earlier: Split,
    /// The split that should be new to the model.
    pub later: Split,
    /// Examples of `later` that are also in `earlier`.
    pub count: u64,
    /// The same as a share of `later`, in percent.
    pub percent: f64,
    /// The rows of the first of them: in `later`, and in `earlier`.
    pub rows: Vec<(u64, u64)>,
}

impl Finding {
    fn add(&mut self, row: u64) {
        self.count += 1;
        if self.rows.len() < SHOWN {
            self.rows.push(row);
        }
    }
}

/// What makes two examples the same text.
type TextKey<'a> = (&'a str, Option<&'a str>);

fn text_key(example: &Example) -> TextKey<'_> {
    (&example.text, example.pair.as_deref())
}

type FirstSeen<'a> = HashMap<TextKey<'a>, &'a Example>;

impl DataCheck {
    /// Looks the splits over.
    pub fn run(train: &Dataset, validation: Option<&Dataset>, test: Option<&Dataset>) -> Self {
        let datasets: Vec<(Split, &Dataset)> =
            [(Split::Train, Some(train)), (Split::Validation, validation), (Split::Test, test)]
                .into_iter()
                .filter_map(|(split, dataset)| Some((split, dataset?)))
                .collect();
        let mut seen: Vec<(Split, FirstSeen<'_>)> = Vec::new();
        let mut splits = Vec::new();
        let mut overlaps = Vec::new();
        for &(split, dataset) in &datasets {
            let (check, first_seen) = SplitCheck::run(split, dataset);
            overlaps.extend(seen.iter().filter_map(|(earlier, texts)| overlap(*earlier, texts, split, dataset)));
            splits.push(check);
            seen.push((split, first_seen));
        }
        let single_class = single_class(train);
        Self { partial_labels: partial_labels(&splits), splits, overlaps, single_class }
    }

    /// Adds what only the tokenizer knows.
    pub fn set_truncated(&mut self, split: Split, truncation: Truncation) {
        for check in self.splits.iter_mut().filter(|check| check.split == split) {
            check.truncated = Some(truncation);
        }
    }
}

impl SplitCheck {
    fn run(split: Split, dataset: &Dataset) -> (Self, FirstSeen<'_>) {
        let mut check = Self {
            split,
            examples: dataset.len() as u64,
            labels: count_labels(dataset),
            unlabelled: 0,
            scores: score_range(&dataset.examples),
            empty: Finding::default(),
            duplicates: Finding::default(),
            conflicts: Finding::default(),
            mean_characters: 0.0,
            longest: (0, 0),
            truncated: None,
        };
        let mut first_seen = FirstSeen::with_capacity(dataset.len());
        let mut characters_in_all = 0u64;
        for example in &dataset.examples {
            check.unlabelled += u64::from(example.target == Target::Unlabelled);
            if example.text.trim().is_empty() {
                check.empty.add(example.row);
            }
            let first = *first_seen.entry(text_key(example)).or_insert(example);
            if !std::ptr::eq(first, example) {
                check.duplicates.add(example.row);
                if first.target != example.target {
                    check.conflicts.add(example.row);
                }
            }
            let pair = example.pair.as_deref().unwrap_or_default();
            let characters = (example.text.chars().count() + pair.chars().count()) as u64;
            characters_in_all += characters;
            if characters > check.longest.0 {
                check.longest = (characters, example.row);
            }
        }
        check.mean_characters = characters_in_all as f64 / (dataset.len() as f64).max(1.0);
        (check, first_seen)
    }
}

fn count_labels(dataset: &Dataset) -> Vec<(String, u64)> {
    let Some(labels) = &dataset.labels else { return Vec::new() };
    let mut counts: Vec<(String, u64)> = labels.names().iter().map(|name| (name.clone(), 0)).collect();
    for example in &dataset.examples {
        match &example.target {
            Target::Class(id) => {
                if let Some((_, count)) = counts.get_mut(*id as usize) {
                    *count += 1;
                }
            }
            Target::Multi(flags) => {
                for ((_, count), &flag) in counts.iter_mut().zip(flags) {
                    *count += u64::from(flag);
                }
            }
            Target::Score(_) | Target::Unlabelled => {}
        }
    }
    counts
}

fn score_range(examples: &[Example]) -> Option<(f32, f64, f32)> {
    let scores = || {
        examples.iter().filter_map(|example| match example.target {
            Target::Score(score) => Some(score),
            _ => None,
        })
    };
    let count = scores().count();
    let sum: f64 = scores().map(f64::from).sum();
    let (least, most) = (scores().reduce(f32::min)?, scores().reduce(f32::max)?);
    Some((least, sum / count as f64, most))
}

fn overlap(earlier: Split, texts: &FirstSeen<'_>, later: Split, dataset: &Dataset) -> Option<Overlap> {
    let mut found = Overlap { earlier, later, count: 0, percent: 0.0, rows: Vec::new() };
    for example in &dataset.examples {
        if let Some(first) = texts.get(&text_key(example)) {
            found.count += 1;
            if found.rows.len() < SHOWN {
                found.rows.push((example.row, first.row));
            }
        }
    }
    found.percent = 100.0 * found.count as f64 / (dataset.len() as f64).max(1.0);
    (found.count > 0).then_some(found)
}

fn partial_labels(splits: &[SplitCheck]) -> Vec<(String, Vec<Split>)> {
    let labelled: Vec<&SplitCheck> =
        splits.iter().filter(|check| check.labels.iter().any(|(_, count)| *count > 0)).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in labelled.iter().flat_map(|check| &check.labels) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let has = |check: &SplitCheck, name: &str| check.labels.iter().any(|(known, count)| known == name && *count > 0);
    let partial = names.into_iter().filter_map(|name| {
        let with: Vec<Split> = labelled.iter().filter(|check| has(check, name)).map(|check| check.split).collect();
        (with.len() < labelled.len()).then(|| (name.to_owned(), with))
    });
    partial.collect()
}

fn single_class(train: &Dataset) -> bool {
    let classes: BTreeSet<u32> = train
        .examples
        .iter()
        .filter_map(|example| match example.target {
            Target::Class(id) => Some(id),
            _ => None,
        })
        .collect();
    classes.len() == 1
}
