//! Confidence intervals: percentile bootstrap of a confusion matrix, Wilson's interval of a proportion.

use rand_distr::{Binomial, Distribution};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use serde::Serialize;

use crate::{ClassReport, ConfusionMatrix, confusion::counts_of};

/// Bounds of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// How to resample. The same settings and rows give the same intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Resampled data sets; 1000 settles the bounds to a few per cent of the interval's width.
    pub draws: usize,
    /// Seed of the generator (PCG64).
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 1000, seed: 42 }
    }
}

/// 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

impl Bootstrap {
    pub(crate) fn generator(&self) -> Pcg64 {
        Pcg64::seed_from_u64(self.seed)
    }
}

/// Wilson's 95 % interval of a proportion (Wilson 1927): sensible near 0 and 1 and for few rows. `None` without trials.
pub fn wilson(successes: u64, trials: u64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let (rows, rate) = (trials as f64, successes as f64 / trials as f64);
    let shrink = 1.0 + Z * Z / rows;
    let centre = (rate + Z * Z / (2.0 * rows)) / shrink;
    let half = Z / shrink * (rate * (1.0 - rate) / rows + Z * Z / (4.0 * rows * rows)).sqrt();
    let low = if successes == 0 { 0.0 } else { centre - half };
    let high = if successes == trials { 1.0 } else { centre + half };
    Some(Interval { low, high })
}

impl ConfusionMatrix {
    /// 95 % percentile bootstrap intervals of `N` statistics of the class counts; `None` without rows or draws.
    ///
    /// Drawing rows with replacement gives multinomial counts of the confusion cells, and these statistics see
    /// nothing but the cells, so the cells are drawn directly: the same distribution as resampling rows, exactly, in
    /// O(cells) a draw instead of O(rows). Classes absent from a draw leave its macro averages, as they would in
    /// scikit-learn on the resampled rows.
    pub fn bootstrap<const N: usize>(
        &self,
        bootstrap: &Bootstrap,
        statistics: impl Fn(&ClassReport) -> [f64; N],
    ) -> Option<[Interval; N]> {
        if self.rows() == 0 || bootstrap.draws == 0 {
            return None;
        }
        let (cells, counts): (Vec<_>, Vec<_>) = self.cells().unzip();
        let mut random = bootstrap.generator();
        let mut drawn: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(bootstrap.draws));
        for _ in 0..bootstrap.draws {
            let resampled = resample(&counts, &mut random);
            let report = ClassReport::new(counts_of(self.classes(), cells.iter().copied().zip(resampled)));
            for (values, value) in drawn.iter_mut().zip(statistics(&report)) {
                values.push(value);
            }
        }
        Some(drawn.map(percentile_interval))
    }
}

/// One multinomial draw of as many rows as there are, by conditional binomials.
pub(crate) fn resample(counts: &[u64], random: &mut Pcg64) -> Vec<u64> {
    let mut weight: u64 = counts.iter().sum();
    let mut rows = weight;
    let draw = |&count: &u64| {
        let taken = binomial(rows, count as f64 / weight.max(1) as f64, random);
        rows -= taken;
        weight -= count;
        taken
    };
    counts.iter().map(draw).collect()
}

/// Successes of `trials` with `probability` each.
pub(crate) fn binomial(trials: u64, probability: f64, random: &mut Pcg64) -> u64 {
    Binomial::new(trials, probability.min(1.0)).map_or(0, |binomial| binomial.sample(random))
}

/// The 2.5 % and 97.5 % quantiles, interpolated linearly as numpy does. `values` must not be empty.
pub(crate) fn percentile_interval(mut values: Vec<f64>) -> Interval {
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| {
        let position = share * (values.len() - 1) as f64;
        let (below, above) = (position.floor() as usize, position.ceil() as usize);
        values[below] + (values[above] - values[below]) * (position - position.floor())
    };
    Interval { low: quantile(0.025), high: quantile(0.975) }
}
