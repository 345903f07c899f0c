//! Packed multi-head self-attention, forward and backward.

mod backward;
pub(crate) mod first_row;
mod forward;
mod heads;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod product;
mod scratch;
mod softmax;
#[cfg(test)]
mod tests;

use crate::Cpu;
use crate::matrix::{Matrix, Shared};
use crate::simd::{Storage, dispatch};
use backward::Backward;
use forward::Forward;
use half::{bf16, f16};
use heads::Head;
use serin_ops::{AttentionShape, Dropout};
use serin_tensor::{AlignedBuffer, DType};

pub(crate) fn attention(
    cpu: &Cpu,
    qkv: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    log_sum_exp: Option<&mut AlignedBuffer>,
    out: &mut AlignedBuffer,
) {
    #[cfg(target_arch = "x86_64")]
    if qkv.dtype() == DType::BF16 && pairs::fits(cpu, shape) {
        return pairs::forward(cpu, qkv, sequences, shape, dropout, log_sum_exp, out);
    }
    let forward = match qkv.dtype() {
        DType::F32 => forward::<f32>,
        DType::BF16 => forward::<bf16>,
        DType::F16 => forward::<f16>,
    };
    forward(cpu, qkv, sequences, shape, dropout, log_sum_exp, out);
}

fn forward<T: Storage>(
    cpu: &Cpu,
    qkv: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    log_sum_exp: Option<&mut AlignedBuffer>,
    out: &mut AlignedBuffer,
) {
    let rows = heads::rows(sequences);
    let qkv = Matrix::<T>::of(qkv, rows, 3 * shape.width());
    let out = Shared::<T>::of(out, rows, shape.width());
    let log_sum_exp = log_sum_exp.map(|saved| Shared::<f32>::of(saved, shape.heads, rows));
    heads::for_each(cpu, sequences, shape, &|head| {
        scratch::with(forward::memory(shape, head.len), |memory| {
            let log_sum_exp = log_sum_exp.as_ref();
            dispatch(cpu.isa, Forward { head, shape, dropout, qkv, out: &out, log_sum_exp, memory });
        });
    });
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn attention_backward(
    cpu: &Cpu,
    d_out: &AlignedBuffer,
    qkv: &AlignedBuffer,
    out: &AlignedBuffer,
    log_sum_exp: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    d_qkv: &mut AlignedBuffer,
) {
    #[cfg(target_arch = "x86_64")]
    if qkv.dtype() == DType::BF16 && pairs::fits(cpu, shape) {
        return pairs::backward(cpu, d_out, qkv, out, log_sum_exp, sequences, shape, dropout, d_qkv);
    }
    let backward = match qkv.dtype() {
        DType::F32 => backward::<f32>,
        DType::BF16 => backward::<bf16>,
        DType::F16 => backward::<f16>,
    };
    backward(cpu, d_out, qkv, out, log_sum_exp, sequences, shape, dropout, d_qkv);
}

#[allow(clippy::too_many_arguments)]
fn backward<T: Storage>(
    cpu: &Cpu,
    d_out: &AlignedBuffer,
    qkv: &AlignedBuffer,
    out: &AlignedBuffer,
    log_sum_exp: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    d_qkv: &mut AlignedBuffer,
) {
    let rows = heads::rows(sequences);
    let qkv = Matrix::<T>::of(qkv, rows, 3 * shape.width());
    let [d_out, out] = [d_out, out].map(|buffer| Matrix::<T>::of(buffer, rows, shape.width()));
    let log_sum_exp = &log_sum_exp.as_slice::<f32>()[..rows * shape.heads];
    let d_qkv = Shared::<T>::of(d_qkv, rows, 3 * shape.width());
    heads::for_each(cpu, sequences, shape, &|head| {
        let Head { first, len, .. } = head;
        let log_sum_exp = &log_sum_exp[head.head * rows + first..][..len];
        scratch::with(backward::memory(shape, len), |memory| {
            let d_qkv = &d_qkv;
            dispatch(cpu.isa, Backward { head, shape, dropout, d_out, qkv, out, log_sum_exp, d_qkv, memory });
        });
    });
}
