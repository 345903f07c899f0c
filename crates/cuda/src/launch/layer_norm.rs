//! `kernels/layer_norm.cu` and `layer_norm_backward.cu`.

#![allow(unsafe_code)] // launches

use super::product::add_partial_sums;
use super::{Argument, blocks, line, optional, run, size, typed};
use crate::Cuda;
use crate::device::{Device, Grid};
use crate::error::CudaError;
use crate::memory::{Buffer, Scratch};
use serin_ops::{Dropout, Norm};
use serin_tensor::DType;

/// Whether rows of a width are for the kernels that keep one in the registers of a warp.
fn narrow(width: usize) -> bool {
    width.is_multiple_of(8) && width <= 1024
}

/// `s = residual + dropout(x)`, `y = γ (s - mean) / √(var + ε) + β`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn add_layer_norm(
    device: &dyn Device,
    x: &mut Buffer,
    residual: Option<&Buffer>,
    dropout: Option<Dropout>,
    norm: &Norm<'_, Cuda>,
    rows: usize,
    width: usize,
    statistics: Option<&mut Buffer>,
    y: &mut Buffer,
) -> Result<(), CudaError> {
    if rows * width == 0 {
        return Ok(());
    }
    let (storage, count) = (x.dtype(), rows * width);
    let arguments = [
        Argument::Pointer(x.at(storage, count)),
        optional(residual.map(|residual| residual.at(storage, count))),
        dropout.into(),
        Argument::Pointer(norm.weight.at(DType::F32, width)),
        Argument::Pointer(norm.bias.at(DType::F32, width)),
        norm.epsilon.into(),
        rows.into(),
        width.into(),
        optional(statistics.map(|statistics| statistics.at(DType::F32, 2 * rows))),
        Argument::Pointer(y.at(storage, count)),
    ];
    let (name, grid) = if narrow(width) {
        ("add_layer_norm", line(blocks(rows, 4), 128))
    } else {
        ("add_layer_norm_wide", Grid { blocks: [size(rows), 1, 1], threads: 256, shared: size(4 * width) })
    };
    // SAFETY: matrices hold `rows * width` elements, parameters `width`, statistics two a row.
    unsafe { run(device, typed("layer_norm.cu", storage, name), grid, arguments) }
}

/// The gradients of [`add_layer_norm`]; those of γ and β are added.
#[allow(clippy::too_many_arguments)]
pub(crate) fn add_layer_norm_backward(
    device: &dyn Device,
    scratch: &mut Scratch,
    dy: &Buffer,
    sum: &Buffer,
    statistics: &Buffer,
    weight: &Buffer,
    rows: usize,
    width: usize,
    d_sum: &mut Buffer,
    d_x: Option<(Dropout, &mut Buffer)>,
    d_weight: &mut Buffer,
    d_bias: &mut Buffer,
) -> Result<(), CudaError> {
    if rows * width == 0 {
        return Ok(());
    }
    let (storage, count) = (dy.dtype(), rows * width);
    let parts = rows.div_ceil(8).min(384);
    let partials = scratch.room(8 * parts * width)?;
    let dropout = d_x.as_ref().map(|(dropout, _)| *dropout);
    let arguments = [
        Argument::Pointer(dy.at(storage, count)),
        Argument::Pointer(sum.at(storage, count)),
        Argument::Pointer(statistics.at(DType::F32, 2 * rows)),
        Argument::Pointer(weight.at(DType::F32, width)),
        rows.into(),
        width.into(),
        dropout.into(),
        Argument::Pointer(d_sum.at(storage, count)),
        optional(d_x.map(|(_, d_x)| d_x.at(storage, count))),
        Argument::Pointer(partials),
    ];
    let (name, threads) =
        if narrow(width) { ("add_layer_norm_backward", 128) } else { ("add_layer_norm_backward_wide", 256) };
    let grid = Grid { blocks: [size(parts), 1, 1], threads, shared: size(8 * width) };
    // SAFETY: matrices hold `rows * width` elements, statistics two a row, the scratch `[parts, 2 * width]` floats.
    unsafe { run(device, typed("layer_norm_backward.cu", storage, name), grid, arguments)? };
    add_partial_sums(device, partials, parts, width, d_weight, Some(d_bias))
}
