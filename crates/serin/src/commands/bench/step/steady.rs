//! Steps of one kind: their time, and by op and part where it goes.

use super::records::Record;
use crate::commands::bench::ceilings::Ceilings;
use crate::commands::bench::measured::Measured;
use crate::commands::bench::profile::{bundles, kind, parts};
use crate::commands::bench::subject::Subject;
use serde::Serialize;
use serin_ops::Work;

/// Steps of one kind.
#[derive(Serialize)]
pub struct Steady {
    /// All ops of a step together, and the time outside of them.
    pub step: Measured,
    /// Examples a step.
    pub examples: f64,
    /// Tokens a step.
    pub tokens: f64,
    /// Steps a second over all steps.
    pub steps_per_second: f64,
    /// Examples a second.
    pub examples_per_second: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Seconds of an epoch of `forecast_examples` examples: training alone, without evaluation.
    pub epoch_seconds: f64,
    /// Examples of the epoch that is forecast.
    pub forecast_examples: usize,
    /// By op, the slowest first, and last what is outside of ops: times are those of a mean step.
    pub ops: Vec<Measured>,
    /// By part of the model.
    pub parts: Vec<Measured>,
}

impl Steady {
    /// Of the steps that were timed, and of those in which each op was: the same, or others on the same examples.
    pub(super) fn of(
        timed: &[Record],
        watched: &[Record],
        subject: &Subject,
        frozen: usize,
        ceilings: &Ceilings,
        forecast: usize,
    ) -> Steady {
        let seconds: Vec<f64> = timed.iter().map(|record| record.seconds).collect();
        let total = seconds.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let count = timed.len().max(1) as f64;
        let examples = timed.iter().map(|record| record.examples).sum::<usize>() as f64;
        let tokens = timed.iter().map(|record| record.tokens).sum::<u64>() as f64;
        let inside = Inside { watched, steps: watched.len().max(1) as f64, ceilings };
        let works = inside.works();
        // Steps differ in length: the work is that of a mean one.
        let mean = |work: &Work| Work { flops: work.flops / inside.steps, bytes: work.bytes / inside.steps };
        let mut step = Measured::new("step", "", &seconds, &works.iter().map(mean).collect::<Vec<_>>(), ceilings);
        step.calls = (works.len() as f64 / inside.steps).round() as usize;
        let examples_per_second = examples / total;
        Steady {
            step,
            examples: examples / count,
            tokens: tokens / count,
            steps_per_second: count / total,
            examples_per_second,
            tokens_per_second: tokens / total,
            epoch_seconds: forecast as f64 / examples_per_second.max(f64::MIN_POSITIVE),
            forecast_examples: forecast,
            ops: inside.by_op(),
            parts: inside.by_part(subject.config.layers, frozen),
        }
    }
}

/// What is in steps.
struct Inside<'a> {
    watched: &'a [Record],
    steps: f64,
    ceilings: &'a Ceilings,
}

impl Inside<'_> {
    fn works(&self) -> Vec<Work> {
        self.watched.iter().flat_map(|record| record.calls.iter()).map(|call| call.work).collect()
    }

    fn by_op(&self) -> Vec<Measured> {
        let calls = || self.watched.iter().flat_map(|record| record.calls.iter());
        let by_op = bundles(calls().map(|call| (kind(call), *call)));
        let mut ops: Vec<Measured> = by_op
            .into_iter()
            .map(|((op, shape), bundle)| self.of_a_step(op.to_owned(), shape, bundle.seconds, &bundle.works))
            .collect();
        ops.sort_by(|a, b| b.milliseconds.median.total_cmp(&a.milliseconds.median));
        let inside: f64 = calls().map(|call| call.time.as_secs_f64()).sum();
        let outside = self.watched.iter().map(|record| record.seconds).sum::<f64>() - inside;
        ops.push(self.of_a_step("outside of ops".into(), "packing, cache files".into(), outside, &[]));
        ops
    }

    fn by_part(&self, layers: usize, frozen: usize) -> Vec<Measured> {
        let placed = self.watched.iter().flat_map(|record| parts(&record.calls, layers, frozen));
        let bundles = bundles(placed).into_iter();
        bundles
            .map(|(part, bundle)| self.of_a_step(part.to_string(), String::new(), bundle.seconds, &bundle.works))
            .collect()
    }

    /// A mean step's share of `seconds` and `works` of all steps.
    fn of_a_step(&self, name: String, detail: String, seconds: f64, works: &[Work]) -> Measured {
        let mut measured = Measured::new(name, detail, &[seconds / self.steps], works, self.ceilings);
        // From the work of all steps in the time of one to the work of one.
        measured.calls = (measured.calls as f64 / self.steps).round() as usize;
        measured.flops /= self.steps;
        measured.bytes /= self.steps;
        measured.tflops /= self.steps;
        measured.gigabytes_per_second /= self.steps;
        measured.percent_of_ceiling /= self.steps;
        measured.percent_of_peak = measured.percent_of_peak.map(|percent| percent / self.steps);
        measured
    }
}
