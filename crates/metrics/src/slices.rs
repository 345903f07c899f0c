//! The same metrics on parts of the data: by length, truncated or not, by any column.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Average, ConfusionMatrix, Interval, MetricsError, wilson};

/// Slices a group may have before further names share `(other)`, so that slicing by a free-text column stays bounded.
const SLICES_A_GROUP: usize = 256;

/// Which slice of which group a row is in, e.g. group `length`, name `65-128 tokens`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SliceKey {
    group: String,
    order: u32,
    name: String,
}

impl SliceKey {
    /// A slice by a value of a column, sorted by name.
    pub fn new(group: &str, name: &str) -> Self {
        Self { group: group.to_owned(), order: 0, name: name.to_owned() }
    }
}

/// The slice of a text of `tokens` tokens: up to 16, and from there in powers of two.
pub fn length_bucket(tokens: usize) -> SliceKey {
    let upper = tokens.max(16).checked_next_power_of_two().unwrap_or(usize::MAX);
    let lower = if upper == 16 { 0 } else { upper / 2 + 1 };
    SliceKey { group: "length".to_owned(), order: upper.ilog2(), name: format!("{lower}-{upper} tokens") }
}

/// The slice of a text that was cut, or was not.
pub fn truncation(truncated: bool) -> SliceKey {
    let name = if truncated { "truncated" } else { "whole" };
    SliceKey { group: "truncation".to_owned(), order: u32::from(truncated), name: name.to_owned() }
}

/// A confusion matrix a slice.
#[derive(Debug, Clone)]
pub struct Slices {
    classes: usize,
    slices: BTreeMap<SliceKey, ConfusionMatrix>,
    group_sizes: BTreeMap<String, usize>,
}

/// Metrics of one slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SliceScores {
    /// What was sliced by.
    pub group: String,
    /// The slice.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Share predicted rightly.
    pub accuracy: Option<f64>,
    /// Wilson's 95 % interval of the accuracy.
    pub accuracy_interval: Option<Interval>,
    /// Macro F1 over the classes in the slice.
    pub f1_macro: f64,
}

impl Slices {
    /// No slices yet, of rows of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, slices: BTreeMap::new(), group_sizes: BTreeMap::new() }
    }

    /// Counts a row in a slice; a row may be in one slice of each group.
    ///
    /// # Errors
    /// [`MetricsError::LabelOutOfRange`]; its row number counts within the slice.
    pub fn push(&mut self, key: SliceKey, label: u32, prediction: Option<u32>) -> Result<(), MetricsError> {
        let key = if self.slices.contains_key(&key) { key } else { self.admit(key) };
        self.slices.entry(key).or_insert_with(|| ConfusionMatrix::new(self.classes)).push(label, prediction)
    }

    fn admit(&mut self, key: SliceKey) -> SliceKey {
        let size = self.group_sizes.entry(key.group.clone()).or_insert(0);
        if *size >= SLICES_A_GROUP {
            return SliceKey { order: u32::MAX, name: "(other)".to_owned(), ..key };
        }
        *size += 1;
        key
    }

    /// The slices by group, lengths ascending, other names alphabetically.
    pub fn scores(&self) -> Vec<SliceScores> {
        let scores = self.slices.iter().map(|(key, confusion)| SliceScores {
            group: key.group.clone(),
            name: key.name.clone(),
            rows: confusion.rows(),
            accuracy: confusion.accuracy(),
            accuracy_interval: wilson(confusion.correct(), confusion.rows()),
            f1_macro: confusion.report().average(Average::Macro).f1,
        });
        scores.collect()
    }
}
