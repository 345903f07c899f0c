//! What this machine can do at most, measured with loops that do nothing else: the yardstick of `serin bench`.
//!
//! Each function does a few milliseconds of work once and says how fast it went; call it several times, and take the
//! median and the spread.

mod reading;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod vectors;

pub use reading::Reading;

use crate::Cpu;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Where the operands of tile products come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileSource {
    /// Tiles that stay loaded: multiplications alone.
    Registers,
    /// Panels in the L1 cache, one tile load for each product: the most that a matrix product can reach.
    FirstLevelCache,
}

/// FLOP/s of bf16 tile products on `threads` threads together; `None` without AMX.
pub fn tile_products(cpu: &Cpu, source: TileSource, threads: usize) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if let Some(amx) = cpu.isa.amx {
        let threads = available(cpu, threads);
        let time = together(cpu, threads, &|_| tiles::multiply(amx, source));
        return Some(threads as f64 * tiles::FLOPS / time.as_secs_f64());
    }
    let _ = (cpu, source, threads);
    None
}

/// FLOP/s of fused f32 multiply-adds of 512 bits on `threads` threads together while tiles multiply beside them: on processors
/// so far they have one port then instead of two. `None` without AMX.
pub fn multiply_adds_beside_tiles(cpu: &Cpu, threads: usize) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if let Some(amx) = cpu.isa.amx {
        let threads = available(cpu, threads);
        let time = together(cpu, threads, &|_| tiles::multiply_add_beside(amx));
        return Some(threads as f64 * tiles::FLOPS_BESIDE / time.as_secs_f64());
    }
    let _ = (cpu, threads);
    None
}

/// FLOP/s of fused f32 multiply-adds on the widest vectors in use, on `threads` threads together, operands in registers.
pub fn multiply_adds(cpu: &Cpu, threads: usize) -> f64 {
    let threads = available(cpu, threads);
    let flops = vectors::flops(cpu.isa);
    let time = together(cpu, threads, &|_| vectors::multiply_add(cpu.isa));
    threads as f64 * flops / time.as_secs_f64()
}

/// No more threads than the team has.
fn available(cpu: &Cpu, threads: usize) -> usize {
    threads.clamp(1, cpu.threads.count())
}

/// Runs `body` on `threads` threads at the same time; the time from the common start to the end of the slowest.
fn together(cpu: &Cpu, threads: usize, body: &(dyn Fn(usize) + Sync)) -> Duration {
    let (waiting, slowest) = (AtomicUsize::new(threads), Mutex::new(Duration::ZERO));
    cpu.threads.run(threads, &|index| {
        // A thread that waits here takes no second task, so each task has a thread of its own.
        waiting.fetch_sub(1, Ordering::AcqRel);
        while waiting.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        let start = Instant::now();
        body(index);
        let time = start.elapsed();
        if let Ok(mut slowest) = slowest.lock() {
            *slowest = time.max(*slowest);
        }
    });
    slowest.into_inner().unwrap_or_default().max(Duration::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CpuOptions, Isa};
    use std::collections::BTreeSet;
    use std::thread;

    fn cpu(isa: Isa, threads: usize) -> Cpu {
        Cpu::new(CpuOptions { threads, isa }).unwrap()
    }

    #[test]
    fn bodies_run_at_the_same_time_on_threads_of_their_own() {
        let cpu = cpu(Isa::detect(), 3);
        let seen = Mutex::new(BTreeSet::new());
        let time = together(&cpu, 3, &|index| {
            seen.lock().unwrap().insert((index, format!("{:?}", thread::current().id())));
            thread::sleep(Duration::from_millis(20));
        });
        let seen = seen.into_inner().unwrap();
        let threads: BTreeSet<_> = seen.iter().map(|(_, thread)| thread.clone()).collect();
        assert_eq!((seen.len(), threads.len()), (3, 3));
        assert!(time >= Duration::from_millis(20), "{time:?}");
    }

    #[test]
    fn every_level_has_a_ceiling_of_multiply_adds() {
        for level in Isa::detect().levels() {
            let speed = multiply_adds(&cpu(Isa::detect().up_to(level), 1), 1);
            // No CPU is slower than 10 MFLOP/s, none is faster than 10 TFLOP/s a core in f32.
            assert!((1e7..1e13).contains(&speed), "{level}: {speed}");
        }
    }

    #[test]
    fn tiles_are_measured_where_they_are_and_only_there() {
        for level in Isa::detect().levels() {
            let cpu = cpu(Isa::detect().up_to(level), 1);
            for source in [TileSource::Registers, TileSource::FirstLevelCache] {
                let speed = tile_products(&cpu, source, 1);
                assert_eq!(speed.is_some(), level == crate::IsaLevel::Amx);
                // Tiles that are slower than scalar code, or ten times what exists, were not measured.
                assert!(speed.is_none_or(|speed| (1e10..1e14).contains(&speed)), "{speed:?}");
            }
            let beside = multiply_adds_beside_tiles(&cpu, 1);
            assert_eq!(beside.is_some(), level == crate::IsaLevel::Amx);
            assert!(beside.is_none_or(|speed| (1e9..1e13).contains(&speed)), "{beside:?}");
        }
    }

    #[test]
    fn more_threads_than_there_are_count_as_those_there_are() {
        assert_eq!(available(&cpu(Isa::detect(), 2), 64), 2);
    }
}
