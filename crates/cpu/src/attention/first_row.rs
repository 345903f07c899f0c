//! Attention of each sequence's first row only, forward and backward.

use crate::Cpu;
use serin_ops::{AttentionShape, Dropout};
use serin_tensor::AlignedBuffer;

#[allow(clippy::too_many_arguments)]
pub(crate) fn attention(
    _cpu: &Cpu,
    _q: &AlignedBuffer,
    _kv: &AlignedBuffer,
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
    _q: &AlignedBuffer,
    _kv: &AlignedBuffer,
    _out: &AlignedBuffer,
    _log_sum_exp: &AlignedBuffer,
    _sequences: &[u32],
    _shape: AttentionShape,
    _dropout: Option<Dropout>,
    _d_q: &mut AlignedBuffer,
    _d_kv: &mut AlignedBuffer,
) {
    unimplemented!()
}
