//! Rows picked out of a buffer, and added back.

use crate::Cpu;
use serin_tensor::AlignedBuffer;

pub(crate) fn gather_rows(_cpu: &Cpu, _x: &AlignedBuffer, _indices: &[u32], _width: usize, _out: &mut AlignedBuffer) {
    unimplemented!()
}

pub(crate) fn scatter_add_rows(
    _cpu: &Cpu,
    _d_out: &AlignedBuffer,
    _indices: &[u32],
    _width: usize,
    _d_x: &mut AlignedBuffer,
) {
    unimplemented!()
}
