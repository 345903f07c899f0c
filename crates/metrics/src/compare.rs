//! Paired significance: are two models' predictions of the same rows really different?

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::confusion::counts_of;
use crate::interval::{binomial, percentile_interval, resample};
use crate::table::Table;
use crate::{Average, Bootstrap, Cell, ClassReport, Interval, MetricsError};

/// Counts of (label, first model's prediction, second's): all that accuracy and macro F1 of both depend on.
#[derive(Debug, Clone)]
pub struct PairedOutcomes {
    classes: usize,
    rows: u64,
    triples: BTreeMap<Triple, u64>,
}

/// Label and both predictions of a row; without a prediction the scores held NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Triple {
    label: u32,
    first: Option<u32>,
    second: Option<u32>,
}

/// The outcome of [`PairedOutcomes::compare`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Rows that both predicted.
    pub rows: u64,
    /// Is one right more often than the other?
    pub mcnemar: McNemar,
    /// Accuracy of both.
    pub accuracy: Difference,
    /// Macro F1 of both.
    pub f1_macro: Difference,
    /// Bootstrap draws and permutations behind each interval and p-value.
    pub draws: usize,
}

/// McNemar's test of the rows that exactly one model got right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct McNemar {
    /// Rows that only the first got right.
    pub only_first: u64,
    /// Rows that only the second got right.
    pub only_second: u64,
    /// Two-sided exact binomial p-value; never too small, often too large.
    pub exact_p: f64,
    /// Mid-p value, which Fagerland et al., "The McNemar test for binary matched-pairs data" (2013), recommend.
    pub mid_p: f64,
}

/// A metric of two models on the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The first model's value.
    pub first: f64,
    /// The second's.
    pub second: f64,
    /// Second minus first: above 0 the second is better.
    pub difference: f64,
    /// 95 % interval of the difference, paired percentile bootstrap; `None` without rows or draws.
    pub interval: Option<Interval>,
    /// Two-sided p-value of the paired permutation test, `(1 + as extreme) / (1 + draws)`: the chance of such a difference
    /// if which model made which prediction did not matter.
    pub permutation_p: f64,
}

impl PairedOutcomes {
    /// No rows yet, of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, rows: 0, triples: BTreeMap::new() }
    }

    /// Counts one row.
    ///
    /// # Errors
    /// [`MetricsError::LabelOutOfRange`] when an id is not below the number of classes.
    pub fn push(&mut self, label: u32, first: Option<u32>, second: Option<u32>) -> Result<(), MetricsError> {
        for id in std::iter::once(label).chain(first).chain(second) {
            if id as usize >= self.classes {
                return Err(MetricsError::LabelOutOfRange { row: self.rows, label: id, classes: self.classes });
            }
        }
        *self.triples.entry(Triple { label, first, second }).or_insert(0) += 1;
        self.rows += 1;
        Ok(())
    }

    /// Tests both models against each other.
    ///
    /// The bootstrap draws the counts of the triples as one multinomial and the permutation swaps a binomial half of each
    /// triple: exactly what resampling and swapping rows would do, without touching rows.
    pub fn compare(&self, bootstrap: &Bootstrap) -> Comparison {
        let triples: Vec<Triple> = self.triples.keys().copied().collect();
        let counts: Vec<u64> = self.triples.values().copied().collect();
        let observed = self.metrics(&triples, &counts, &vec![0; counts.len()]);
        let mut random = bootstrap.generator();
        let draws = if self.rows == 0 { 0 } else { bootstrap.draws };
        let unswapped = vec![0; counts.len()];
        let (mut resampled, mut extreme) = ([Vec::new(), Vec::new()], [0_u64; 2]);
        for _ in 0..draws {
            let drawn = self.metrics(&triples, &resample(&counts, &mut random), &unswapped);
            let swaps: Vec<u64> = counts.iter().map(|&count| binomial(count, 0.5, &mut random)).collect();
            let permuted = self.metrics(&triples, &counts, &swaps);
            for metric in 0..2 {
                resampled[metric].push(drawn[metric].difference());
                // The last bits of a sum depend on its order; equal differences must count as equal.
                let least = observed[metric].difference().abs() - 1e-12;
                extreme[metric] += u64::from(permuted[metric].difference().abs() >= least);
            }
        }
        let mut resampled = resampled.into_iter();
        let mut conclude = |metric: usize| Difference {
            first: observed[metric].first,
            second: observed[metric].second,
            difference: observed[metric].difference(),
            interval: resampled.next().filter(|values| !values.is_empty()).map(percentile_interval),
            permutation_p: (1 + extreme[metric]) as f64 / (1 + draws) as f64,
        };
        Comparison { rows: self.rows, mcnemar: self.mcnemar(), accuracy: conclude(0), f1_macro: conclude(1), draws }
    }

    /// McNemar's test, exact and mid-p.
    pub fn mcnemar(&self) -> McNemar {
        let only = |right: fn(&Triple) -> Option<u32>, wrong: fn(&Triple) -> Option<u32>| -> u64 {
            let rows = self
                .triples
                .iter()
                .filter(|(triple, _)| right(triple) == Some(triple.label) && wrong(triple) != Some(triple.label));
            rows.map(|(_, &count)| count).sum()
        };
        let only_first = only(|triple| triple.first, |triple| triple.second);
        let only_second = only(|triple| triple.second, |triple| triple.first);
        let (below, at) = fair_coin_tail(only_first.min(only_second), only_first + only_second);
        let exact_p = (2.0 * (below + at)).min(1.0);
        let mid_p = (2.0 * below + at).min(1.0);
        McNemar { only_first, only_second, exact_p, mid_p }
    }

    /// Accuracy and macro F1 of both models when `counts` rows of each triple are drawn and `swaps` of them have their
    /// two predictions exchanged.
    fn metrics(&self, triples: &[Triple], counts: &[u64], swaps: &[u64]) -> [Pair; 2] {
        let side = |exchanged: bool| {
            let cells = triples.iter().zip(counts).zip(swaps).flat_map(|((triple, &count), &swapped)| {
                let (own, other) = if exchanged { (swapped, count - swapped) } else { (count - swapped, swapped) };
                let cell = |prediction| Cell { label: triple.label, prediction };
                [(cell(triple.first), own), (cell(triple.second), other)]
            });
            let report = ClassReport::new(counts_of(self.classes, cells));
            let correct: u64 = report.counts().iter().map(|counts| counts.true_positives).sum();
            (correct as f64 / self.rows.max(1) as f64, report.average(Average::Macro).f1)
        };
        let ((first_accuracy, first_f1), (second_accuracy, second_f1)) = (side(false), side(true));
        [Pair { first: first_accuracy, second: second_accuracy }, Pair { first: first_f1, second: second_f1 }]
    }
}

#[derive(Clone, Copy)]
struct Pair {
    first: f64,
    second: f64,
}

impl Pair {
    fn difference(self) -> f64 {
        self.second - self.first
    }
}

/// Chances of fewer than `heads` and of exactly `heads` in `tosses` of a fair coin.
fn fair_coin_tail(heads: u64, tosses: u64) -> (f64, f64) {
    let log_ways: f64 = (1..=heads).map(|index| ((tosses - heads + index) as f64 / index as f64).ln()).sum();
    let at = (log_ways - tosses as f64 * std::f64::consts::LN_2).exp();
    let (mut below, mut term) = (0.0, at);
    for index in (1..=heads).rev() {
        term *= index as f64 / (tosses - index + 1) as f64;
        below += term;
        if term < below * f64::EPSILON {
            break;
        }
    }
    (below, at)
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["", "first", "second", "difference", "95 % interval", "permutation p"]);
        for (name, metric) in [("accuracy", &self.accuracy), ("macro F1", &self.f1_macro)] {
            let interval =
                metric.interval.map_or("-".to_owned(), |bounds| format!("[{:+.4}, {:+.4}]", bounds.low, bounds.high));
            table.row(&[
                name.to_owned(),
                format!("{:.4}", metric.first),
                format!("{:.4}", metric.second),
                format!("{:+.4}", metric.difference),
                interval,
                format!("{:.4}", metric.permutation_p),
            ]);
        }
        writeln!(formatter, "{} rows\n\n{table}", self.rows)?;
        let McNemar { only_first, only_second, exact_p, mid_p } = self.mcnemar;
        writeln!(
            formatter,
            "McNemar: {only_first} rows only the first got right, {only_second} only the second; mid-p {mid_p:.4}, exact p {exact_p:.4}"
        )
    }
}
