//! The ceilings of a device, and which of them bounds a piece of work.

mod cpu;
mod cuda;

use super::spread::{Spread, repeat};
use serde::Serialize;
use serin::Hardware;
use serin_ops::Work;
use serin_tensor::DType;
use std::time::Duration;

/// What `serin bench` asks of a device beside its ops.
pub trait Limits: Hardware {
    /// Whether ops return before their results are there: then waiting for each would be a part of its time.
    const ENQUEUES: bool;
    /// Steps of an epoch that is measured, unless told otherwise.
    const STEPS: usize;

    /// Bytes of its caches, from the nearest on; 0 where there is none or nobody knows.
    fn caches(&self) -> Vec<usize>;

    /// Measures all ceilings in about `budget`. Work is held against products of `dtype`.
    ///
    /// # Errors
    /// Whatever the device says.
    fn ceilings(&self, dtype: DType, budget: Duration) -> anyhow::Result<Ceilings>;
}

/// Something that the machine does no faster.
#[derive(Clone, Debug, Serialize)]
pub struct Ceiling {
    /// What.
    pub name: String,
    /// Threads of the CPU that did it together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// What `speed` is in.
    pub unit: Unit,
    /// How fast, or how long it takes.
    pub speed: Spread,
}

/// Units of ceilings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Multiplications and additions a second.
    #[serde(rename = "FLOP/s")]
    FlopsPerSecond,
    /// Bytes a second.
    #[serde(rename = "B/s")]
    BytesPerSecond,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
}

impl Unit {
    /// The unit of tables, and how many of this one it is.
    pub fn in_tables(self) -> (&'static str, f64) {
        match self {
            Unit::FlopsPerSecond => ("TFLOP/s", 1e12),
            Unit::BytesPerSecond => ("GB/s", 1e9),
            Unit::Seconds => ("µs", 1e-6),
        }
    }
}

/// All of them, and those that work is held against: of the whole device.
pub struct Ceilings {
    /// As measured.
    pub all: Vec<Ceiling>,
    /// The product unit's name, and its FLOP/s.
    product: (&'static str, f64),
    /// From the nearest on.
    levels: Vec<Level>,
    /// FLOP/s that speeds are given in percent of.
    pub peak: Option<f64>,
}

/// A level of memory.
struct Level {
    name: &'static str,
    /// Bytes that work may have to be served from here.
    bytes: usize,
    /// Bytes/s.
    speed: f64,
}

impl Ceilings {
    /// Seconds that `work` takes at least, and what bounds it: the product unit, or the level that its bytes fit into.
    pub fn bound(&self, work: Work) -> (f64, &'static str) {
        let (unit, flops) = self.product;
        let by_products = work.flops / flops.max(1.0);
        let level = self.levels.iter().find(|level| work.bytes <= level.bytes as f64).or(self.levels.last());
        let Some(level) = level else { return (by_products, unit) };
        let by_bytes = work.bytes / level.speed.max(1.0);
        if by_bytes > by_products { (by_bytes, level.name) } else { (by_products, unit) }
    }
}

/// Measures one ceiling again and again for about `each`.
fn measure(
    name: &str,
    threads: Option<usize>,
    unit: Unit,
    each: Duration,
    run: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Ceiling> {
    Ok(Ceiling { name: name.into(), threads, unit, speed: Spread::of(repeat(each, run)?) })
}

/// The median of the last measured ceiling with this name; 0 where none has it.
fn median(all: &[Ceiling], name: &str) -> f64 {
    all.iter().rfind(|ceiling| ceiling.name == name).map_or(0.0, |found| found.speed.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_products_and_bytes_bounds() {
        let level = |name, bytes, speed| Level { name, bytes, speed };
        let levels = vec![level("L2", 2000, 100.0), level("DRAM", 100_000, 10.0)];
        let ceilings = Ceilings { all: Vec::new(), product: ("tiles", 1000.0), levels, peak: None };
        let bound = |flops, bytes| ceilings.bound(Work { flops, bytes });
        // 2 s of products; 1,000 bytes come from L2 in 10 s.
        assert_eq!(bound(2000.0, 0.0), (2.0, "tiles"));
        assert_eq!(bound(2000.0, 1000.0), (10.0, "L2"));
        // 2,001 no longer fit, and what fits nowhere comes from the last level.
        assert_eq!(bound(0.0, 2002.0), (200.2, "DRAM"));
        assert_eq!(bound(0.0, 1e6), (1e5, "DRAM"));
    }

    #[test]
    fn the_median_is_that_of_all_threads_which_come_last() {
        let ceiling = |name: &str, threads, speed| Ceiling {
            name: name.into(),
            threads: Some(threads),
            unit: Unit::BytesPerSecond,
            speed: Spread::of([speed]),
        };
        let all = [ceiling("L1 read", 1, 5.0), ceiling("L1 read", 2, 9.0), ceiling("L2 read", 2, 3.0)];
        assert_eq!((median(&all, "L1 read"), median(&all, "none")), (9.0, 0.0));
    }
}
