//! `kernels/dropout.cu` and `rows.cu`.

#![allow(unsafe_code)] // launches

use super::{Argument, blocks, line, run, tag, typed, untyped, vectors};
use crate::device::Device;
use crate::error::CudaError;
use crate::memory::{Buffer, Indices};
use serin_ops::Dropout;

/// Drops elements in place and scales the rest.
pub(crate) fn dropout(
    device: &dyn Device,
    x: &mut Buffer,
    dropout: Dropout,
    rows: usize,
    width: usize,
) -> Result<(), CudaError> {
    if rows * width == 0 {
        return Ok(());
    }
    let arguments = [Argument::Pointer(x.at(x.dtype(), rows * width)), Some(dropout).into(), rows.into(), width.into()];
    let grid = line(blocks(rows * vectors(width), 256), 256);
    // SAFETY: x holds `rows * width` elements.
    unsafe { run(device, typed("dropout.cu", x.dtype(), "dropout"), grid, arguments) }
}

/// `out[i] = x[indices[i]]`.
pub(crate) fn gather_rows(
    device: &dyn Device,
    x: &Buffer,
    indices: &Indices,
    width: usize,
    out: &mut Buffer,
) -> Result<(), CudaError> {
    move_rows(device, "gather_rows", x, indices, width, out, true)
}

/// `d_x[indices[i]] += d_out[i]`, the indices all different.
pub(crate) fn scatter_add_rows(
    device: &dyn Device,
    d_out: &Buffer,
    indices: &Indices,
    width: usize,
    d_x: &mut Buffer,
) -> Result<(), CudaError> {
    move_rows(device, "scatter_add_rows", d_out, indices, width, d_x, false)
}

/// One of both: `indexed_source` says on which side the indices are.
fn move_rows(
    device: &dyn Device,
    name: &'static str,
    from: &Buffer,
    indices: &Indices,
    width: usize,
    to: &mut Buffer,
    indexed_source: bool,
) -> Result<(), CudaError> {
    let count = indices.count();
    if count * width == 0 {
        return Ok(());
    }
    let reached = indices.reached(count);
    let (from_rows, to_rows) = if indexed_source { (reached, count) } else { (count, reached) };
    let arguments = [
        Argument::Pointer(from.at(from.dtype(), from_rows * width)),
        tag(from.dtype()),
        Argument::Pointer(indices.at(count)),
        count.into(),
        width.into(),
        Argument::Pointer(to.at(to.dtype(), to_rows * width)),
        tag(to.dtype()),
    ];
    let grid = line(blocks(count * vectors(width), 256), 256);
    // SAFETY: the side with indices reaches to the largest, the other has a row for each.
    unsafe { run(device, untyped("rows.cu", name), grid, arguments) }
}
