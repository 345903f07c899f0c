//! Attention of each sequence's first row only, forward and backward: one stream over the keys and values.

mod backward;
mod forward;

use super::heads;
use super::scratch;
use crate::Cpu;
use crate::matrix::{Matrix, Shared};
use crate::simd::{Storage, dispatch};
use backward::Backward;
use forward::Forward;
use half::{bf16, f16};
use serin_ops::{AttentionShape, Dropout};
use serin_tensor::{AlignedBuffer, DType};
use std::ops::Range;

/// Neighbouring heads of one sequence: one task.
#[derive(Clone)]
struct Group {
    sequence: usize,
    rows: Range<usize>,
    heads: Range<usize>,
}

impl Group {
    /// The columns of the heads.
    fn columns(&self, head_dim: usize) -> Range<usize> {
        self.heads.start * head_dim..self.heads.end * head_dim
    }

    /// How many columns that is.
    fn span(&self, shape: AttentionShape) -> usize {
        self.heads.len() * shape.head_dim
    }

    /// The dropout mask's row of the first query of head `head`.
    fn mask_row(&self, shape: AttentionShape, head: usize) -> u64 {
        ((self.sequence * shape.heads + head) as u64) << 32
    }
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn attention(
    cpu: &Cpu,
    q: &AlignedBuffer,
    kv: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    log_sum_exp: Option<&mut AlignedBuffer>,
    out: &mut AlignedBuffer,
) {
    let forward = match q.dtype() {
        DType::F32 => forward::<f32>,
        DType::BF16 => forward::<bf16>,
        DType::F16 => forward::<f16>,
    };
    forward(cpu, q, kv, sequences, shape, dropout, log_sum_exp, out);
}

#[allow(clippy::too_many_arguments)]
fn forward<T: Storage>(
    cpu: &Cpu,
    q: &AlignedBuffer,
    kv: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    log_sum_exp: Option<&mut AlignedBuffer>,
    out: &mut AlignedBuffer,
) {
    let (rows, count) = (heads::rows(sequences), heads::count(sequences));
    let q = Matrix::<T>::of(q, count, shape.width());
    let kv = Matrix::<T>::of(kv, rows, 2 * shape.width());
    let out = Shared::<T>::of(out, count, shape.width());
    let log_sum_exp = log_sum_exp.map(|saved| Shared::<f32>::of(saved, shape.heads, count));
    for_each_group(cpu, sequences, shape, &|group| {
        scratch::with(forward::memory(shape, &group), |memory| {
            let (out, log_sum_exp) = (&out, log_sum_exp.as_ref());
            dispatch(cpu.isa, Forward { group, shape, dropout, q, kv, out, log_sum_exp, memory });
        });
    });
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn attention_backward(
    cpu: &Cpu,
    d_out: &AlignedBuffer,
    q: &AlignedBuffer,
    kv: &AlignedBuffer,
    out: &AlignedBuffer,
    log_sum_exp: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    d_q: &mut AlignedBuffer,
    d_kv: &mut AlignedBuffer,
) {
    let backward = match q.dtype() {
        DType::F32 => backward::<f32>,
        DType::BF16 => backward::<bf16>,
        DType::F16 => backward::<f16>,
    };
    backward(cpu, d_out, q, kv, out, log_sum_exp, sequences, shape, dropout, d_q, d_kv);
}

#[allow(clippy::too_many_arguments)]
fn backward<T: Storage>(
    cpu: &Cpu,
    d_out: &AlignedBuffer,
    q: &AlignedBuffer,
    kv: &AlignedBuffer,
    out: &AlignedBuffer,
    log_sum_exp: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    d_q: &mut AlignedBuffer,
    d_kv: &mut AlignedBuffer,
) {
    let (rows, count, width) = (heads::rows(sequences), heads::count(sequences), shape.width());
    let [d_out, q, out] = [d_out, q, out].map(|buffer| Matrix::<T>::of(buffer, count, width));
    let kv = Matrix::<T>::of(kv, rows, 2 * width);
    let log_sum_exp = &log_sum_exp.as_slice::<f32>()[..count * shape.heads];
    let d_q = Shared::<T>::of(d_q, count, width);
    let d_kv = Shared::<T>::of(d_kv, rows, 2 * width);
    for_each_group(cpu, sequences, shape, &|group| {
        scratch::with(backward::memory(shape, &group), |memory| {
            let (d_q, d_kv) = (&d_q, &d_kv);
            dispatch(cpu.isa, Backward { group, shape, dropout, d_out, q, kv, out, log_sum_exp, d_q, d_kv, memory });
        });
    });
}

/// Runs `body` on all heads of all sequences, in groups: a whole sequence where there are enough of them to keep every
/// thread busy. How heads are grouped cannot change a result.
fn for_each_group(cpu: &Cpu, offsets: &[u32], shape: AttentionShape, body: &(dyn Fn(Group) + Sync)) {
    let (count, threads) = (heads::count(offsets), cpu.threads.count());
    let parts = (4 * threads).div_ceil(count.max(1)).min(shape.heads);
    let parts = if threads == 1 { 1 } else { parts };
    cpu.threads.run(count * parts, &|task| {
        let (sequence, part) = (task / parts, task % parts);
        let heads = part * shape.heads / parts..(part + 1) * shape.heads / parts;
        body(Group { sequence, rows: heads::sequence(offsets, sequence), heads });
    });
}
