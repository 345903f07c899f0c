//! Table look-ups and their scatter-add backward.

use crate::Cpu;
use serin_ops::EmbeddingTables;
use serin_tensor::AlignedBuffer;

#[allow(clippy::too_many_arguments)]
pub(crate) fn embed(
    _cpu: &Cpu,
    _tables: EmbeddingTables<'_, Cpu>,
    _ids: &[u32],
    _positions: &[u32],
    _types: &[u32],
    _rows: usize,
    _width: usize,
    _out: &mut AlignedBuffer,
) {
    unimplemented!()
}

pub(crate) fn embed_backward(
    _cpu: &Cpu,
    _d_out: &AlignedBuffer,
    _indices: &[u32],
    _rows: usize,
    _width: usize,
    _d_table: &mut AlignedBuffer,
) {
    unimplemented!()
}
