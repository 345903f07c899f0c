//! `kernels/convert.cu`, `activation.cu` and `column_sums.cu`: what surrounds a matrix product.

#![allow(unsafe_code)] // launches

use super::{Argument, activation_tag, blocks, line, optional, run, size, tag, typed, untyped};
use crate::device::{Address, Device, Grid};
use crate::error::CudaError;
use crate::memory::{Buffer, Scratch};
use serin_ops::Activation;
use serin_tensor::DType;

const ACTIVATION: &str = "activation.cu";

/// Copies the first `count` elements, rounding to the type of `target`.
pub(crate) fn convert(
    device: &dyn Device,
    source: &Buffer,
    target: &mut Buffer,
    count: usize,
) -> Result<(), CudaError> {
    if count == 0 {
        return Ok(());
    }
    let dtype = target.dtype();
    // SAFETY: the target holds `count` elements of the type.
    unsafe { convert_to(device, source, target.at(dtype, count), dtype, count) }
}

/// Where the first `count` elements are in another type: in the buffer itself if that is its own, else rounded into scratch.
pub(crate) fn rounded(
    device: &dyn Device,
    scratch: &mut Scratch,
    source: &Buffer,
    dtype: DType,
    count: usize,
) -> Result<Address, CudaError> {
    if source.dtype() == dtype {
        return Ok(source.at(dtype, count));
    }
    let target = scratch.room(dtype.size() * count)?;
    // SAFETY: the scratch has room for `count` elements of the type.
    unsafe { convert_to(device, source, target, dtype, count)? };
    Ok(target)
}

/// # Safety
/// There is room for `count` elements of `dtype` at `target`.
unsafe fn convert_to(
    device: &dyn Device,
    source: &Buffer,
    target: Address,
    dtype: DType,
    count: usize,
) -> Result<(), CudaError> {
    let arguments = [
        Argument::Pointer(source.at(source.dtype(), count)),
        tag(source.dtype()),
        Argument::Pointer(target),
        tag(dtype),
        Argument::Long(count as u64),
    ];
    // SAFETY: the source holds `count` elements of its tagged type; the target is the caller's.
    unsafe { run(device, untyped("convert.cu", "convert"), line(blocks(count, 2048), 256), arguments) }
}

/// `y = f(x)` on the first `count` elements; in place without an x.
pub(crate) fn apply_activation(
    device: &dyn Device,
    x: Option<&Buffer>,
    activation: Activation,
    count: usize,
    y: &mut Buffer,
) -> Result<(), CudaError> {
    let storage = y.dtype();
    let arguments = [
        Argument::Pointer(x.unwrap_or(&*y).at(storage, count)),
        activation_tag(activation),
        Argument::Long(count as u64),
        Argument::Pointer(y.at(storage, count)),
    ];
    // SAFETY: x and y hold `count` elements.
    unsafe { run(device, typed(ACTIVATION, storage, "apply_activation"), line(blocks(count, 2048), 256), arguments) }
}

/// `d ⊙= f'(saved)` on the first `count` elements.
pub(crate) fn through_activation(
    device: &dyn Device,
    activation: Activation,
    saved: &Buffer,
    count: usize,
    d: &mut Buffer,
) -> Result<(), CudaError> {
    if count == 0 || activation == Activation::Identity {
        return Ok(());
    }
    let storage = d.dtype();
    let arguments = [
        Argument::Pointer(saved.at(storage, count)),
        activation_tag(activation),
        Argument::Long(count as u64),
        Argument::Pointer(d.at(storage, count)),
    ];
    // SAFETY: `saved` and d hold `count` elements.
    unsafe { run(device, typed(ACTIVATION, storage, "through_activation"), line(blocks(count, 2048), 256), arguments) }
}

/// `sums += Σ_rows dy`, `[width]`.
pub(crate) fn add_column_sums(
    device: &dyn Device,
    scratch: &mut Scratch,
    dy: &Buffer,
    rows: usize,
    width: usize,
    sums: &mut Buffer,
) -> Result<(), CudaError> {
    let parts = rows.div_ceil(64).min(128);
    let partials = scratch.room(4 * parts * width)?;
    let arguments =
        [Argument::Pointer(dy.at(dy.dtype(), rows * width)), rows.into(), width.into(), Argument::Pointer(partials)];
    let grid = Grid { blocks: [blocks(width, 256), size(parts), 1], threads: 256, shared: 0 };
    // SAFETY: dy holds `rows * width` elements, the scratch `[parts, width]`.
    unsafe { run(device, typed("column_sums.cu", dy.dtype(), "column_sums"), grid, arguments)? };
    add_partial_sums(device, partials, parts, width, sums, None)
}

/// `first += Σ_parts partials`, `[parts, width]`; with a second, that of columns `width..2 * width` of `[parts, 2 * width]`.
pub(super) fn add_partial_sums(
    device: &dyn Device,
    partials: Address,
    parts: usize,
    width: usize,
    first: &mut Buffer,
    second: Option<&mut Buffer>,
) -> Result<(), CudaError> {
    let columns = if second.is_some() { 2 * width } else { width };
    let arguments = [
        Argument::Pointer(partials),
        parts.into(),
        width.into(),
        Argument::Pointer(first.at(DType::F32, width)),
        optional(second.map(|second| second.at(DType::F32, width))),
    ];
    // SAFETY: the callers' scratch holds `[parts, columns]` floats, the sums `width` each.
    unsafe { run(device, untyped("column_sums.cu", "add_partial_sums"), line(blocks(columns, 32), 256), arguments) }
}
