//! The row ops at every level, type and awkward shape, against plain loops in f64.

mod copies;
mod element_wise;
mod layer_norm;
mod losses;
mod optimizer;
mod threads;

use crate::simd::ran;
use crate::{Cpu, CpuOptions, Isa, IsaLevel};
use half::{bf16, f16};
use serin_ops::Backend;
use serin_tensor::{AlignedBuffer, DType, Element};

/// The unit roundoff of the arithmetic.
const U: f64 = 1.0 / (1u64 << 24) as f64;
const DTYPES: [DType; 3] = [DType::F32, DType::BF16, DType::F16];
const WIDTHS: [usize; 12] = [1, 2, 3, 15, 16, 17, 31, 48, 64, 384, 768, 1000];
const ROWS: [usize; 7] = [0, 1, 2, 63, 64, 65, 300];
/// Elements after those that an op may write.
const GUARD: usize = 40;
const GUARD_VALUE: f32 = 77.0;

/// A level of the ladder with one thread: its kernels run on the thread of the test.
struct Level {
    cpu: Cpu,
    level: IsaLevel,
}

impl Level {
    fn all() -> Vec<Level> {
        let isa = Isa::detect();
        let level = |level| Level { cpu: Cpu::new(CpuOptions { threads: 1, isa: isa.up_to(level) }).unwrap(), level };
        isa.levels().into_iter().map(level).collect()
    }

    /// Calls `op` and checks that its kernels ran at this level, and that some did if there was `work`.
    fn run(&self, work: bool, op: impl FnOnce(&Cpu)) {
        ran::take();
        op(&self.cpu);
        // AMX has tiles but no vectors of its own.
        let vectors = if self.level == IsaLevel::Amx { IsaLevel::Avx512Bf16 } else { self.level };
        let expected = if work { vec![vectors] } else { vec![] };
        assert_eq!(ran::take(), expected, "kernels that ran at level {}", self.level);
    }
}

/// All rows and widths.
fn shapes() -> impl Iterator<Item = (usize, usize)> {
    ROWS.into_iter().flat_map(|rows| WIDTHS.into_iter().map(move |width| (rows, width)))
}

/// Numbers in -2..2, different for every seed, none of them tiny.
fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 22) as f32 - 2.0
    };
    (0..len).map(next).collect()
}

/// A buffer of `values`, rounded, and guard elements behind.
fn guarded(dtype: DType, values: &[f32]) -> AlignedBuffer {
    fn fill<T: Element>(values: &[f32]) -> AlignedBuffer {
        let guard = std::iter::repeat_n(GUARD_VALUE, GUARD);
        let all: Vec<T> = values.iter().copied().chain(guard).map(T::from_f32).collect();
        AlignedBuffer::from_slice(&all)
    }
    match dtype {
        DType::F32 => fill::<f32>(values),
        DType::BF16 => fill::<bf16>(values),
        DType::F16 => fill::<f16>(values),
    }
}

/// A buffer of random numbers.
fn random(dtype: DType, len: usize, seed: u64) -> AlignedBuffer {
    guarded(dtype, &numbers(len, seed))
}

/// All elements, guard included, widened one by one.
fn all_values(buffer: &AlignedBuffer) -> Vec<f32> {
    fn widen<T: Element>(buffer: &AlignedBuffer) -> Vec<f32> {
        buffer.as_slice::<T>().iter().map(|value| value.to_f32()).collect()
    }
    match buffer.dtype() {
        DType::F32 => widen::<f32>(buffer),
        DType::BF16 => widen::<bf16>(buffer),
        DType::F16 => widen::<f16>(buffer),
    }
}

/// The elements before the guard, which must be as it was.
fn values(buffer: &AlignedBuffer) -> Vec<f64> {
    let all = all_values(buffer);
    let (values, guard) = all.split_at(all.len() - GUARD);
    assert!(guard.iter().all(|&value| value == GUARD_VALUE), "written beyond the stated elements");
    values.iter().map(|&value| f64::from(value)).collect()
}

/// `value` rounded to a type and widened again.
fn rounded(dtype: DType, value: f32) -> f64 {
    f64::from(match dtype {
        DType::F32 => value,
        DType::BF16 => bf16::from_f32(value).to_f32(),
        DType::F16 => f16::from_f32(value).to_f32(),
    })
}

/// Checks a buffer against f64: each element within its own tolerance for the arithmetic, plus rounding to storage.
#[track_caller]
fn assert_close(what: &str, buffer: &AlignedBuffer, want: &[f64], tolerance: impl Fn(usize) -> f64) {
    let got = values(buffer);
    assert_eq!(got.len(), want.len(), "{what}: length");
    // The least f16 is 2⁻²⁴.
    let (roundoff, least) = (buffer.dtype().unit_roundoff(), 2f64.powi(-24));
    let least = if buffer.dtype() == DType::F16 { least } else { 0.0 };
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        let arithmetic = tolerance(index);
        let limit = arithmetic + roundoff * (want.abs() + arithmetic) + least + 1e-37;
        let error = (got - want).abs();
        assert!(error <= limit, "{what}[{index}]: {got} for {want}, off by {error:e} of {limit:e}");
    }
}

/// Exactly equal.
#[track_caller]
fn assert_same(what: &str, buffer: &AlignedBuffer, want: &[f64]) {
    assert_close(what, buffer, want, |_| 0.0);
    assert_eq!(values(buffer), want, "{what}");
}

/// Row indices below `count`, in a scattered order.
fn scattered(len: usize, count: usize) -> Vec<u32> {
    (0..len).map(|index| ((index * 7919 + 3) % count) as u32).collect()
}

/// A copy of a buffer, guard included.
fn copy(buffer: &AlignedBuffer) -> AlignedBuffer {
    let mut copy = AlignedBuffer::zeroed(buffer.dtype(), buffer.len());
    copy.as_mut_bytes().copy_from_slice(buffer.as_bytes());
    copy
}

#[test]
fn the_guard_is_seen_to_be_overwritten() {
    let level = &Level::all()[0];
    let mut buffer = random(DType::F32, 8, 1);
    level.cpu.write(&mut buffer, 8, &[1.0]);
    assert!(std::panic::catch_unwind(|| values(&buffer)).is_err());
}
