//! Repetitions and what is kept of them: median, least and most.

use serde::Serialize;
use std::time::{Duration, Instant};

/// Repetitions at least, however long one takes.
const LEAST: usize = 3;
/// Repetitions at most: more narrow nothing.
const MOST: usize = 2000;

/// A number that was measured several times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// How many there were.
    pub repetitions: usize,
}

impl Spread {
    /// The spread of values; zeros of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
        let (repetitions, half) = (values.len(), values.len() / 2);
        let median = if repetitions % 2 == 1 { at(half) } else { (at(half.saturating_sub(1)) + at(half)) / 2.0 };
        Spread { median, min: at(0), max: at(repetitions.saturating_sub(1)), repetitions }
    }
}

/// What `run` gives, again and again until the time is up; the first time, which is not counted, warms up.
pub fn repeat<T>(budget: Duration, mut run: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    let started = Instant::now();
    run()?;
    let mut results = Vec::new();
    while results.len() < LEAST || (started.elapsed() < budget && results.len() < MOST) {
        results.push(run()?);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_two() {
        let spread = Spread::of([5.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { median: 3.0, min: 1.0, max: 5.0, repetitions: 3 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]).median, 3.0);
        assert_eq!(Spread::of([]), Spread { median: 0.0, min: 0.0, max: 0.0, repetitions: 0 });
    }

    #[test]
    fn without_time_there_are_three_repetitions_after_the_first() {
        let mut runs = 0;
        let counted = repeat(Duration::ZERO, || {
            runs += 1;
            Ok(runs)
        });
        assert_eq!(counted.unwrap(), [2, 3, 4]);
    }
}
