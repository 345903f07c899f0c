//! The ceilings of the CPU: how fast its cores multiply, and read each level of memory.

use super::{Ceilings, Level, Limits, Unit, measure, median};
use serin_cpu::ceiling::{Reading, TileSource, multiply_adds, multiply_adds_beside_tiles, tile_products};
use serin_cpu::{Caches, Cpu, IsaLevel};
use serin_tensor::DType;
use std::time::Duration;

/// FLOP/s of bf16 tile products that a core of the server this was made on states: 2,048 a cycle at 3.1 GHz.
const STATED_PEAK: f64 = 6.3e12;
/// A level's buffer takes this share of it on each thread, so that it stays there.
const SHARE_OF_LEVEL: usize = 2;
/// The most that a buffer takes, on all threads together; a third level of hundreds of megabytes is other machines', too.
const LARGEST: usize = 1 << 30;
/// Bytes of DRAM that are read, a second of the budget.
const AFFORDABLE: f64 = 0.5e9;

impl Limits for Cpu {
    const ENQUEUES: bool = false;
    const STEPS: usize = 8;

    fn caches(&self) -> Vec<usize> {
        let caches = Caches::detect();
        vec![caches.first, caches.second, caches.third.unwrap_or(0)]
    }

    fn ceilings(&self, dtype: DType, budget: Duration) -> anyhow::Result<Ceilings> {
        let threads = self.thread_count();
        let counts = if threads == 1 { vec![1] } else { vec![1, threads] };
        let levels = levels(threads, budget);
        let each = budget / (counts.len() * (UNITS.len() + levels.len())) as u32;
        let mut all = Vec::new();
        for &threads in &counts {
            for (name, run) in UNITS {
                if run(self, threads).is_some() {
                    let run = || Ok(run(self, threads).unwrap_or_default());
                    all.push(measure(name, Some(threads), Unit::FlopsPerSecond, each, run)?);
                }
            }
            for &(name, bytes) in &levels {
                let reading = Reading::new(self, threads, bytes / SHARE_OF_LEVEL);
                let run = || Ok(reading.measure(self));
                all.push(measure(&read(name), Some(threads), Unit::BytesPerSecond, each, run)?);
            }
        }
        let tiles = dtype == DType::BF16 && self.isa().best() == IsaLevel::Amx;
        let product = if tiles { ("tiles", median(&all, TILES)) } else { ("vectors", median(&all, VECTORS)) };
        let level = |&(name, bytes)| Level { name, bytes: bytes * threads, speed: median(&all, &read(name)) };
        let levels = levels.iter().map(level).collect();
        Ok(Ceilings { product, levels, peak: tiles.then_some(STATED_PEAK * threads as f64), all })
    }
}

const TILES: &str = "AMX bf16, from L1";
const VECTORS: &str = "f32 multiply-add";

/// What a unit that multiplies reaches, in FLOP/s on so many threads; `None` where there is none of its kind.
type Reached = fn(&Cpu, usize) -> Option<f64>;

/// The units that multiply.
const UNITS: [(&str, Reached); 4] = [
    ("AMX bf16, from registers", |cpu, threads| tile_products(cpu, TileSource::Registers, threads)),
    (TILES, |cpu, threads| tile_products(cpu, TileSource::FirstLevelCache, threads)),
    (VECTORS, |cpu, threads| Some(multiply_adds(cpu, threads))),
    ("f32 multiply-add beside AMX", multiply_adds_beside_tiles),
];

fn read(level: &str) -> String {
    format!("{level} read")
}

/// The levels of memory, with the bytes of each that a thread's work may lie in.
fn levels(threads: usize, budget: Duration) -> Vec<(&'static str, usize)> {
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
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_cpu::{CpuOptions, Isa};

    #[test]
    fn the_stated_peak_is_that_of_all_threads_where_tiles_multiply() {
        for level in Isa::detect().levels() {
            let cpu = Cpu::new(CpuOptions { threads: 2, isa: Isa::detect().up_to(level) }).unwrap();
            let peak = |dtype| cpu.ceilings(dtype, Duration::ZERO).unwrap().peak;
            assert_eq!(peak(DType::F32), None);
            assert_eq!(peak(DType::BF16), (level == IsaLevel::Amx).then_some(12.6e12));
        }
    }
}
