//! Residual, dropout and layer norm in one pass over a row, forward and backward.

use crate::Cpu;
use serin_ops::{Dropout, Norm};
use serin_tensor::AlignedBuffer;

#[allow(clippy::too_many_arguments)]
pub(crate) fn add_layer_norm(
    _cpu: &Cpu,
    _x: &mut AlignedBuffer,
    _residual: Option<&AlignedBuffer>,
    _dropout: Option<Dropout>,
    _norm: Norm<'_, Cpu>,
    _rows: usize,
    _width: usize,
    _statistics: Option<&mut AlignedBuffer>,
    _y: &mut AlignedBuffer,
) {
    unimplemented!()
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn add_layer_norm_backward(
    _cpu: &Cpu,
    _dy: &AlignedBuffer,
    _sum: &AlignedBuffer,
    _statistics: &AlignedBuffer,
    _weight: &AlignedBuffer,
    _rows: usize,
    _width: usize,
    _d_sum: &mut AlignedBuffer,
    _d_x: Option<(Dropout, &mut AlignedBuffer)>,
    _d_weight: &mut AlignedBuffer,
    _d_bias: &mut AlignedBuffer,
) {
    unimplemented!()
}
