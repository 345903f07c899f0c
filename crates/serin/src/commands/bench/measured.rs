//! A piece of work with its time, its speed, and how near it came to what is possible.

use super::ceilings::Ceilings;
use super::spread::Spread;
use serde::Serialize;
use serin_ops::Work;

/// Something that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What.
    pub name: String,
    /// Its shape, or what else tells it from others.
    pub detail: String,
    /// Calls of ops that are in it.
    pub calls: usize,
    /// Milliseconds.
    pub milliseconds: Spread,
    /// Multiplications and additions that it needs.
    pub flops: f64,
    /// Bytes that it needs to read and write.
    pub bytes: f64,
    /// 10¹² FLOP/s.
    pub tflops: f64,
    /// 10⁹ bytes/s.
    pub gigabytes_per_second: f64,
    /// What bounds it.
    pub bound: &'static str,
    /// The least possible time over the measured one.
    pub percent_of_ceiling: f64,
    /// FLOP/s over those that the cores' AMX units state, where they multiply; over those of a GPU's largest product.
    pub percent_of_peak: Option<f64>,
}

impl Measured {
    /// From the seconds of repetitions; `least` is what the ops in it take at least.
    pub fn new(
        name: impl Into<String>,
        detail: impl Into<String>,
        seconds: &[f64],
        parts: &[Work],
        ceilings: &Ceilings,
    ) -> Measured {
        let milliseconds = Spread::of(seconds.iter().map(|seconds| seconds * 1e3));
        let time = (milliseconds.median / 1e3).max(f64::MIN_POSITIVE);
        let work: Work = parts.iter().copied().sum();
        let least: f64 = parts.iter().map(|&part| ceilings.bound(part).0).sum();
        let peak = ceilings.peak.filter(|_| work.flops > 0.0);
        Measured {
            name: name.into(),
            detail: detail.into(),
            calls: parts.len(),
            milliseconds,
            flops: work.flops,
            bytes: work.bytes,
            tflops: work.flops / time / 1e12,
            gigabytes_per_second: work.bytes / time / 1e9,
            bound: dominant(parts, ceilings),
            percent_of_ceiling: 100.0 * least / time,
            percent_of_peak: peak.map(|peak| 100.0 * work.flops / time / peak),
        }
    }
}

/// The bound that most of the least possible time comes from.
fn dominant(parts: &[Work], ceilings: &Ceilings) -> &'static str {
    let mut shares: Vec<(&'static str, f64)> = Vec::new();
    for &part in parts {
        let (seconds, name) = ceilings.bound(part);
        match shares.iter_mut().find(|(known, _)| *known == name) {
            Some((_, share)) => *share += seconds,
            None => shares.push((name, seconds)),
        }
    }
    shares.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or("", |(name, _)| name)
}
