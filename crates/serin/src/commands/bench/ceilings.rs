//! The ceilings of this machine, and which of them bounds a piece of work.

use super::spread::{Spread, repeat};
use serde::Serialize;
use serin_cpu::ceiling::{Caches, Reading, TileSource, multiply_adds, tile_products};
use serin_cpu::{Cpu, IsaLevel};
use serin_ops::Work;
use serin_tensor::DType;
use std::time::Duration;

/// FLOP/s of bf16 tile products that a core of the server this was made on states: 2,048 a cycle at 3.1 GHz.
pub const STATED_PEAK: f64 = 6.3e12;
/// A level's buffer takes this share of it on each thread, so that it stays there.
const SHARE_OF_LEVEL: usize = 2;
/// The most that a buffer takes, on all threads together; a third level of hundreds of megabytes is other machines', too.
const LARGEST: usize = 1 << 30;
/// Bytes of DRAM that are read, a second of the budget.
const AFFORDABLE: f64 = 0.5e9;

/// Something that the machine does no faster.
#[derive(Clone, Debug, Serialize)]
pub struct Ceiling {
    /// What.
    pub name: String,
    /// Threads that did it together.
    pub threads: usize,
    /// FLOP/s or bytes/s.
    pub unit: &'static str,
    /// All threads together.
    pub speed: Spread,
}

/// All of them, and those that work is held against: of all threads together.
pub struct Ceilings {
    /// As measured.
    pub all: Vec<Ceiling>,
    /// The product unit's name, and its FLOP/s.
    product: (&'static str, f64),
    /// Memory levels: name, bytes that a thread's work may have to be served from there, bytes/s.
    levels: Vec<(&'static str, usize, f64)>,
    threads: usize,
    /// Whether the stated peak is that of the unit that multiplies.
    tiles: bool,
}

impl Ceilings {
    /// Measures all of them in about `budget`. Products are those of `dtype`.
    pub fn measure(cpu: &Cpu, dtype: DType, budget: Duration) -> Ceilings {
        let threads = cpu.thread_count();
        let counts = if threads == 1 { vec![1] } else { vec![1, threads] };
        let caches = Caches::detect();
        let third = caches.third.unwrap_or(0);
        let mut levels = vec![("L1", caches.first), ("L2", caches.second)];
        if third > 4 * caches.second * threads {
            levels.push(("L3", third.min(16 * caches.second * threads) / threads));
        }
        // Touching memory for the first time takes longer than reading it: with little time, less is read.
        let affordable = ((budget.as_secs_f64() * AFFORDABLE) as usize).clamp(64 << 20, LARGEST);
        let memory = (3 * third).max(256 << 20).min(affordable) / threads * SHARE_OF_LEVEL;
        levels.push(("DRAM", memory));
        let measurements = counts.len() * (3 + levels.len());
        let each = budget / measurements as u32;
        let mut all = Vec::new();
        for &threads in &counts {
            let mut add = |name: &str, unit, speed: &mut dyn FnMut() -> Option<f64>| {
                if let Some(first) = speed() {
                    let speeds = repeat(each, || Ok(speed().unwrap_or(first))).unwrap_or_default();
                    all.push(Ceiling { name: name.into(), threads, unit, speed: Spread::of(speeds) });
                }
            };
            add("AMX bf16, from registers", "FLOP/s", &mut || tile_products(cpu, TileSource::Registers, threads));
            add("AMX bf16, from L1", "FLOP/s", &mut || tile_products(cpu, TileSource::FirstLevelCache, threads));
            add("f32 multiply-add", "FLOP/s", &mut || Some(multiply_adds(cpu, threads)));
            for &(name, bytes) in &levels {
                let reading = Reading::new(cpu, threads, bytes / SHARE_OF_LEVEL);
                add(&format!("{name} read"), "B/s", &mut || Some(reading.measure(cpu)));
            }
        }
        let median =
            |name: &str| all.iter().rfind(|ceiling| ceiling.name == name).map_or(0.0, |found| found.speed.median);
        let tiles = dtype == DType::BF16 && cpu.isa().best() == IsaLevel::Amx;
        let product = match tiles {
            true => ("tiles", median("AMX bf16, from L1")),
            false => ("vectors", median("f32 multiply-add")),
        };
        let levels = levels.into_iter().map(|(name, bytes)| (name, bytes, median(&format!("{name} read")))).collect();
        Ceilings { product, levels, threads, tiles, all }
    }

    /// Seconds that `work` takes at least, and what bounds it: the product unit, or the level that its bytes fit into.
    pub fn bound(&self, work: Work) -> (f64, &'static str) {
        let (unit, flops) = self.product;
        let by_products = work.flops / flops.max(1.0);
        let a_thread = work.bytes / self.threads as f64;
        let level = self.levels.iter().find(|(_, bytes, _)| a_thread <= *bytes as f64).or(self.levels.last());
        let Some(&(name, _, speed)) = level else { return (by_products, unit) };
        let by_bytes = work.bytes / speed.max(1.0);
        if by_bytes > by_products { (by_bytes, name) } else { (by_products, unit) }
    }

    /// The stated peak of all threads, where tiles multiply.
    pub fn stated_peak(&self) -> Option<f64> {
        self.tiles.then_some(STATED_PEAK * self.threads as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings() -> Ceilings {
        let levels = vec![("L2", 1000, 100.0), ("DRAM", 100_000, 10.0)];
        Ceilings { all: Vec::new(), product: ("tiles", 1000.0), levels, threads: 2, tiles: true }
    }

    #[test]
    fn the_slower_of_products_and_bytes_bounds() {
        let bound = |flops, bytes| ceilings().bound(Work { flops, bytes });
        // 2 s of products; 1,000 bytes are 500 a thread and come from L2 in 10 s.
        assert_eq!(bound(2000.0, 0.0), (2.0, "tiles"));
        assert_eq!(bound(2000.0, 1000.0), (10.0, "L2"));
        // 1,001 a thread no longer fit, and what fits nowhere comes from the last level.
        assert_eq!(bound(0.0, 2002.0), (200.2, "DRAM"));
        assert_eq!(bound(0.0, 1e6), (1e5, "DRAM"));
    }

    #[test]
    fn the_stated_peak_is_that_of_all_threads() {
        assert_eq!(ceilings().stated_peak(), Some(12.6e12));
        assert_eq!(Ceilings { tiles: false, ..ceilings() }.stated_peak(), None);
    }
}
