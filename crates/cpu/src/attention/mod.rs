//! Packed multi-head self-attention, forward and backward.

pub(crate) mod first_row;

use crate::Cpu;
use serin_ops::{AttentionShape, Dropout};
use serin_tensor::AlignedBuffer;

pub(crate) fn attention(
    _cpu: &Cpu,
    _qkv: &AlignedBuffer,
    _sequences: &[u32],
    _shape: AttentionShape,
    _dropout: Option<Dropout>,
    _log_sum_exp: Option<&mut AlignedBuffer>,
    _out: &mut AlignedBuffer,
) {
    unimplemented!()
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn attention_backward(
    _cpu: &Cpu,
    _d_out: &AlignedBuffer,
    _qkv: &AlignedBuffer,
    _out: &AlignedBuffer,
    _log_sum_exp: &AlignedBuffer,
    _sequences: &[u32],
    _shape: AttentionShape,
    _dropout: Option<Dropout>,
    _d_qkv: &mut AlignedBuffer,
) {
    unimplemented!()
}
