//! `kernels/embedding.cu`.

#![allow(unsafe_code)] // launches

use super::{Argument, blocks, line, optional, run, tag, untyped, vectors};
use crate::Cuda;
use crate::device::{Device, Grid};
use crate::error::CudaError;
use crate::memory::{Buffer, ByIndex, Indices, Scratch};
use serin_ops::EmbeddingTables;
use serin_tensor::DType;

const FILE: &str = "embedding.cu";

/// Sums of rows of the three tables.
#[allow(clippy::too_many_arguments)]
pub(crate) fn embed(
    device: &dyn Device,
    tables: &EmbeddingTables<'_, Cuda>,
    ids: &Indices,
    positions: &Indices,
    types: &Indices,
    rows: usize,
    width: usize,
    out: &mut Buffer,
) -> Result<(), CudaError> {
    if rows * width == 0 {
        return Ok(());
    }
    let dtype = tables.word.dtype();
    let table = |table: &Buffer, indices: &Indices| table.at(dtype, indices.reached(rows) * width);
    let arguments = [
        Argument::Pointer(table(tables.word, ids)),
        Argument::Pointer(table(tables.position, positions)),
        optional(tables.token_type.map(|token_type| table(token_type, types))),
        tag(dtype),
        Argument::Pointer(ids.at(rows)),
        Argument::Pointer(positions.at(rows)),
        // Not read without a table of types.
        optional(tables.token_type.map(|_| types.at(rows))),
        rows.into(),
        width.into(),
        Argument::Pointer(out.at(out.dtype(), rows * width)),
        tag(out.dtype()),
    ];
    let grid = line(blocks(rows * vectors(width), 256), 256);
    // SAFETY: every table reaches to the largest index into it; lists and `out` hold `rows`.
    unsafe { run(device, untyped(FILE, "embed"), grid, arguments) }
}

/// Adds rows of a gradient to those of a table, in the order of rows.
pub(crate) fn embed_backward(
    device: &dyn Device,
    scratch: &mut Scratch,
    d_out: &Buffer,
    indices: &Indices,
    rows: usize,
    width: usize,
    d_table: &mut Buffer,
) -> Result<(), CudaError> {
    if rows * width == 0 {
        return Ok(());
    }
    let ByIndex { mut order, segments } = ByIndex::of(indices.host(rows));
    let segment_count = segments.len() - 1;
    order.extend(segments);
    let lists: &[u8] = bytemuck::cast_slice(&order);
    let order = scratch.holding(lists, lists.len())?;
    let arguments = [
        Argument::Pointer(d_out.at(d_out.dtype(), rows * width)),
        tag(d_out.dtype()),
        Argument::Pointer(indices.at(rows)),
        Argument::Pointer(order),
        Argument::Pointer(order + 4 * rows as u64),
        width.into(),
        Argument::Pointer(d_table.at(DType::F32, indices.reached(rows) * width)),
    ];
    let grid = Grid { blocks: [blocks(segment_count, 1), blocks(width, 256), 1], threads: 256, shared: 0 };
    // SAFETY: the table reaches to the largest index; `order` and the segments behind it were made of these indices.
    unsafe { run(device, untyped(FILE, "embed_backward"), grid, arguments) }
}
