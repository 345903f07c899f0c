//! `kernels/convert.cu`, `product.cu` and `column_sums.cu`: what surrounds a matrix product.

#![allow(unsafe_code)] // launches

use super::{Argument, activation_tag, blocks, line, optional, run, size, tag, typed, untyped, vectors};
use crate::device::{Address, Device, Grid};
use crate::error::CudaError;
use crate::memory::{Buffer, Scratch};
use serin_ops::Activation;
use serin_tensor::DType;

/// Memory for a product on its way to a result.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    at: Address,
    dtype: DType,
    len: usize,
}

impl Raw {
    /// The first `len` elements of a buffer.
    pub(crate) fn of(buffer: &Buffer, len: usize) -> Raw {
        Raw { at: buffer.at(buffer.dtype(), len), dtype: buffer.dtype(), len }
    }

    /// Room for `len` elements in f32, until the scratch is used for something else.
    pub(crate) fn between(scratch: &mut Scratch, len: usize) -> Result<Raw, CudaError> {
        Ok(Raw { at: scratch.room(4 * len)?, dtype: DType::F32, len })
    }

    /// Where `len` elements of it are.
    pub(crate) fn at(&self, len: usize) -> Address {
        assert!(len <= self.len, "{len} elements of a product of {}", self.len);
        self.at
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }
}

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
    let arguments = [
        Argument::Pointer(source.at(source.dtype(), count)),
        tag(source.dtype()),
        Argument::Pointer(target.at(target.dtype(), count)),
        tag(target.dtype()),
        Argument::Long(count as u64),
    ];
    // SAFETY: both hold `count` elements of the tagged types.
    unsafe { run(device, untyped("convert.cu", "convert"), line(blocks(count, 2048), 256), arguments) }
}

/// `pre = product + bias`, `y = f(pre)`, `[rows, width]`; the product may be y itself.
#[allow(clippy::too_many_arguments)]
pub(crate) fn bias_activation(
    device: &dyn Device,
    product: Raw,
    bias: Option<&Buffer>,
    activation: Activation,
    rows: usize,
    width: usize,
    pre_activation: Option<&mut Buffer>,
    y: &mut Buffer,
) -> Result<(), CudaError> {
    let (storage, count) = (y.dtype(), rows * width);
    let arguments = [
        Argument::Pointer(product.at(count)),
        tag(product.dtype),
        optional(bias.map(|bias| bias.at(DType::F32, width))),
        activation_tag(activation),
        rows.into(),
        width.into(),
        optional(pre_activation.map(|pre| pre.at(storage, count))),
        Argument::Pointer(y.at(storage, count)),
    ];
    let grid = line(blocks(rows * vectors(width), 256), 256);
    // SAFETY: the product and the results hold `rows * width` elements, the bias `width`.
    unsafe { run(device, typed("product.cu", storage, "bias_activation"), grid, arguments) }
}

/// `d = gradient ⊙ f'(saved)`; the gradient may be d itself.
pub(crate) fn through_activation(
    device: &dyn Device,
    gradient: Raw,
    activation: Activation,
    saved: &Buffer,
    count: usize,
    d: &mut Buffer,
) -> Result<(), CudaError> {
    let storage = d.dtype();
    let arguments = [
        Argument::Pointer(gradient.at(count)),
        tag(gradient.dtype),
        activation_tag(activation),
        Argument::Pointer(saved.at(storage, count)),
        Argument::Long(count as u64),
        Argument::Pointer(d.at(storage, count)),
    ];
    let kernel = typed("product.cu", storage, "through_activation");
    // SAFETY: the gradient, `saved` and d hold `count` elements.
    unsafe { run(device, kernel, line(blocks(count, 2048), 256), arguments) }
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
