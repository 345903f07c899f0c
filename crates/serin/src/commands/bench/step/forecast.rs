//! What the whole recipe would take, by its steps and evaluations.

use super::records::Records;
use super::steady::Steady;
use crate::commands::bench::spread::Spread;
use serde::Serialize;

/// Epochs of the recipe: its best was the eighth, and it stopped after four without a better one.
const EPOCHS: usize = 12;

/// Times of a run, in seconds.
#[derive(Serialize)]
pub struct Forecast {
    /// Epochs.
    pub epochs: usize,
    /// Examples of an epoch, and of the evaluation after it.
    pub examples: usize,
    /// The first epoch's steps.
    pub first_epoch_seconds: f64,
    /// The evaluation after it, in which frozen layers are computed.
    pub first_evaluation_seconds: f64,
    /// A later epoch's steps.
    pub later_epoch_seconds: f64,
    /// Its evaluation.
    pub later_evaluation_seconds: f64,
    /// All epochs with their evaluations; starting and saving apart.
    pub seconds: f64,
}

impl Forecast {
    pub(super) fn of(first: &Steady, later: Option<&Steady>, records: &Records, examples: usize) -> Forecast {
        let (first_evaluation, rest) = records.evaluations.split_at(1.min(records.evaluations.len()));
        let of_all = |evaluations: &[f64]| Spread::of(evaluations.iter().copied()).median * examples as f64;
        let first_evaluation_seconds = of_all(first_evaluation);
        let later_evaluation_seconds = if rest.is_empty() { first_evaluation_seconds } else { of_all(rest) };
        let first_epoch_seconds = first.epoch_seconds;
        let later_epoch_seconds = later.unwrap_or(first).epoch_seconds;
        let later_epochs = (EPOCHS - 1) as f64 * (later_epoch_seconds + later_evaluation_seconds);
        Forecast {
            epochs: EPOCHS,
            examples,
            first_epoch_seconds,
            first_evaluation_seconds,
            later_epoch_seconds,
            later_evaluation_seconds,
            seconds: first_epoch_seconds + first_evaluation_seconds + later_epochs,
        }
    }
}
