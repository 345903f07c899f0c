//! Batches to try, and the comparison of a whole batch with the oracle.

use super::oracle::{Bounded, Problem};
use crate::isa::{Isa, IsaLevel};
use crate::{Cpu, CpuOptions};
use half::{bf16, f16};
use serin_ops::{AttentionShape, Dropout, DropoutSite, keep};
use serin_tensor::{AlignedBuffer, DType};

/// Lengths around every block size, an empty sequence first, inside and last.
pub(super) const LENGTHS: [usize; 14] = [0, 1, 2, 15, 16, 0, 17, 31, 33, 64, 100, 257, 512, 0];

/// Elements beyond the stated shape, which nothing may touch.
const BEYOND: usize = 40;
const UNTOUCHED: f32 = 12345.0;

pub(super) fn offsets(lengths: &[usize]) -> Vec<u32> {
    let ends = lengths.iter().scan(0u32, |end, &len| {
        *end += len as u32;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Roughly normal numbers (Irwin-Hall of 4) with a standard deviation, from a 64-bit linear congruential generator.
pub(super) fn normal(seed: u64, len: usize, deviation: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..len).map(|_| (0..4).map(|_| uniform()).sum::<f32>() * 3f32.sqrt() * deviation).collect()
}

pub(super) fn cpu(level: IsaLevel, threads: usize) -> Cpu {
    Cpu::new(CpuOptions { threads, isa: Isa::detect().up_to(level) }).unwrap()
}

pub(super) fn dropout(probability: f32) -> Option<Dropout> {
    Dropout::new(probability, 17, 3, 5, DropoutSite::AttentionProbabilities).map(|dropout| dropout.starting_at(7 << 32))
}

/// A buffer holding `values`, rounded, and something after them.
pub(super) fn buffer(dtype: DType, values: &[f32]) -> AlignedBuffer {
    let values: Vec<f32> = values.iter().copied().chain([UNTOUCHED; BEYOND]).collect();
    match dtype {
        DType::F32 => AlignedBuffer::from_slice(&values),
        DType::BF16 => {
            AlignedBuffer::from_slice(&values.iter().map(|&value| bf16::from_f32(value)).collect::<Vec<_>>())
        }
        DType::F16 => AlignedBuffer::from_slice(&values.iter().map(|&value| f16::from_f32(value)).collect::<Vec<_>>()),
    }
}

/// A buffer of `len` elements to be overwritten: NaN, so that what is not shows.
pub(super) fn unwritten(dtype: DType, len: usize) -> AlignedBuffer {
    buffer(dtype, &vec![f32::NAN; len])
}

/// The stated elements of a buffer, having checked that those beyond are as they were.
pub(super) fn values(buffer: &AlignedBuffer) -> Vec<f64> {
    let all: Vec<f64> = match buffer.dtype() {
        DType::F32 => buffer.as_slice::<f32>().iter().map(|&value| f64::from(value)).collect(),
        DType::BF16 => buffer.as_slice::<bf16>().iter().map(|&value| f64::from(value)).collect(),
        DType::F16 => buffer.as_slice::<f16>().iter().map(|&value| f64::from(value)).collect(),
    };
    let (stated, beyond) = all.split_at(all.len() - BEYOND);
    let untouched = beyond.iter().all(|&value| (value - f64::from(UNTOUCHED)).abs() <= f64::from(UNTOUCHED) / 256.0);
    assert!(untouched, "written beyond the stated shape");
    stated.to_vec()
}

/// Columns `first..first + count` of rows of a matrix with `stride` columns.
pub(super) fn columns(
    matrix: &[f64],
    stride: usize,
    rows: std::ops::Range<usize>,
    first: usize,
    count: usize,
) -> Vec<f64> {
    rows.flat_map(|row| matrix[row * stride + first..][..count].iter().copied()).collect()
}

/// Calls `body` with the oracle's problem of every head of every sequence: (sequence, head, rows, problem). `q`, `k`
/// and `v` are matrices with a stride and a first column; `first_only`: one query a sequence, in row `sequence` of q.
pub(super) fn for_each_problem(
    lengths: &[usize],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    dtype: DType,
    [q, k, v]: [(&[f64], usize, usize); 3],
    first_only: bool,
    mut body: impl FnMut(usize, usize, std::ops::Range<usize>, Problem<'_>),
) {
    let offsets = offsets(lengths);
    for sequence in 0..lengths.len() {
        let rows = offsets[sequence] as usize..offsets[sequence + 1] as usize;
        let queries = if first_only { sequence..sequence + 1 } else { rows.clone() };
        for head in 0..shape.heads {
            let take = |(matrix, stride, first): (&[f64], usize, usize), rows| {
                columns(matrix, stride, rows, first + head * shape.head_dim, shape.head_dim)
            };
            let (q, k, v) = (take(q, queries.clone()), take(k, rows.clone()), take(v, rows.clone()));
            let mask_row = ((sequence * shape.heads + head) as u64) << 32;
            let mask = |query: usize, key: usize| match &dropout {
                None => 1.0,
                Some(dropout) if keep(dropout, mask_row + query as u64, key as u32) => f64::from(dropout.scale),
                Some(_) => 0.0,
            };
            let (dim, roundoff) = (shape.head_dim, dtype.unit_roundoff());
            // Half of f16's smallest number; the others reach so low that vanishing probabilities matter more.
            let underflow = if dtype == DType::F16 { 2f64.powi(-25) } else { 1e-28 };
            let problem = Problem { dim, q: &q, k: &k, v: &v, mask: &mask, roundoff, underflow };
            body(sequence, head, rows.clone(), problem);
        }
    }
}

/// Every value within its tolerance.
pub(super) fn assert_close(what: &str, got: &[f64], expected: &Bounded) {
    assert_eq!(got.len(), expected.values.len(), "{what}");
    for (index, &got) in got.iter().enumerate() {
        let (value, tolerance) = (expected.values[index], expected.tolerance[index]);
        let off = (got - value).abs();
        assert!(off <= tolerance, "{what}: element {index} is {got:e}, not {value:e} ± {tolerance:e}");
    }
}

/// The same bits, NaN included.
pub(super) fn assert_same(what: &str, a: &AlignedBuffer, b: &AlignedBuffer) {
    assert!(a.as_bytes() == b.as_bytes(), "{what}: bits differ");
}
