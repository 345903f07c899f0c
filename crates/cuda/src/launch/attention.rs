//! `kernels/attention.cu`, `attention_backward.cu` and `first_row_attention.cu`.

#![allow(unsafe_code)] // launches

use super::{Argument, blocks, line, optional, run, size, typed};
use crate::device::{Device, Grid};
use crate::error::CudaError;
use crate::kernel::Kernel;
use crate::memory::{Buffer, Scratch, Sequences};
use serin_ops::{AttentionShape, Dropout};
use serin_tensor::DType;

const BACKWARD: &str = "attention_backward.cu";
const FIRST_ROW: &str = "first_row_attention.cu";
/// The widest head that a kernel takes.
const WIDEST: usize = 256;

/// The forms of one kernel.
struct Forms {
    file: &'static str,
    narrow: &'static str,
    wide: &'static str,
    plain: &'static str,
}

const ATTENTION: Forms =
    Forms { file: "attention.cu", narrow: "attention_32", wide: "attention_64", plain: "attention_plain" };
const QUERIES: Forms = Forms {
    file: BACKWARD,
    narrow: "attention_backward_queries_32",
    wide: "attention_backward_queries_64",
    plain: "attention_backward_queries_plain",
};
const KEYS: Forms = Forms {
    file: BACKWARD,
    narrow: "attention_backward_keys_32",
    wide: "attention_backward_keys_64",
    plain: "attention_backward_keys_plain",
};
const FIRST: Forms = Forms {
    file: FIRST_ROW,
    narrow: "first_row_attention_32",
    wide: "first_row_attention_64",
    plain: "first_row_attention_plain",
};
const FIRST_BACKWARD: Forms = Forms {
    file: FIRST_ROW,
    narrow: "first_row_attention_backward_32",
    wide: "first_row_attention_backward_64",
    plain: "first_row_attention_backward_plain",
};

impl Forms {
    /// The form for a width of heads.
    fn of_width(&self, storage: DType, head_dim: usize) -> Result<Kernel, CudaError> {
        match head_dim {
            32 => Ok(typed(self.file, storage, self.narrow)),
            64 => Ok(typed(self.file, storage, self.wide)),
            _ => self.of_any_width(storage, head_dim),
        }
    }

    fn of_any_width(&self, storage: DType, head_dim: usize) -> Result<Kernel, CudaError> {
        if head_dim > WIDEST {
            return Err(CudaError::WideHead { head_dim, widest: WIDEST });
        }
        Ok(typed(self.file, storage, self.plain))
    }

    /// The form on tensor cores where there is one, and how many blocks it wants for these tiles.
    fn of_tiles(&self, storage: DType, shape: AttentionShape, tiles: usize) -> Result<(Kernel, Grid), CudaError> {
        let AttentionShape { heads, head_dim } = shape;
        let on_tensor_cores = storage != DType::F32 && matches!(head_dim, 32 | 64);
        if on_tensor_cores {
            let grid = Grid { blocks: [size(tiles), size(heads), 1], threads: 128, shared: 0 };
            return Ok((self.of_width(storage, head_dim)?, grid));
        }
        let shared = size(1536 * head_dim.next_multiple_of(4) / 4 + 2304);
        let grid = Grid { blocks: [size(tiles), size(heads), 4], threads: 128, shared };
        Ok((self.of_any_width(storage, head_dim)?, grid))
    }
}

/// `1 / √head_dim`.
fn score_scale(shape: AttentionShape) -> f32 {
    1.0 / (shape.head_dim as f32).sqrt()
}

/// Attention of all rows.
pub(crate) fn attention(
    device: &dyn Device,
    qkv: &Buffer,
    sequences: &Sequences,
    shape: AttentionShape,
    dropout: Option<Dropout>,
    log_sum_exp: Option<&mut Buffer>,
    out: &mut Buffer,
) -> Result<(), CudaError> {
    let (storage, rows, width) = (qkv.dtype(), sequences.rows(), shape.width());
    if rows * width == 0 {
        return Ok(());
    }
    let (kernel, grid) = ATTENTION.of_tiles(storage, shape, sequences.tile_count())?;
    let arguments = [
        Argument::Pointer(qkv.at(storage, rows * 3 * width)),
        Argument::Pointer(sequences.offsets()),
        Argument::Pointer(sequences.tiles()),
        rows.into(),
        shape.heads.into(),
        shape.head_dim.into(),
        score_scale(shape).into(),
        dropout.into(),
        optional(log_sum_exp.map(|log_sum_exp| log_sum_exp.at(DType::F32, shape.heads * rows))),
        Argument::Pointer(out.at(storage, rows * width)),
    ];
    // SAFETY: matrices hold as many rows as the sequences have, `log_sum_exp` one number a head and row.
    unsafe { run(device, kernel, grid, arguments) }
}

/// The gradient of [`attention`] with respect to queries, keys and values.
#[allow(clippy::too_many_arguments)]
pub(crate) fn attention_backward(
    device: &dyn Device,
    scratch: &mut Scratch,
    d_out: &Buffer,
    qkv: &Buffer,
    out: &Buffer,
    log_sum_exp: &Buffer,
    sequences: &Sequences,
    shape: AttentionShape,
    dropout: Option<Dropout>,
    d_qkv: &mut Buffer,
) -> Result<(), CudaError> {
    let (storage, rows, width) = (qkv.dtype(), sequences.rows(), shape.width());
    if rows * width == 0 {
        return Ok(());
    }
    let delta = scratch.room(4 * shape.heads * rows)?;
    let arguments = [
        Argument::Pointer(d_out.at(storage, rows * width)),
        Argument::Pointer(out.at(storage, rows * width)),
        rows.into(),
        shape.heads.into(),
        shape.head_dim.into(),
        Argument::Pointer(delta),
    ];
    let grid = line(blocks(rows * shape.heads, 4), 128);
    // SAFETY: matrices hold as many rows as the sequences have, the scratch one number a head and row.
    unsafe { run(device, typed(BACKWARD, storage, "attention_delta"), grid, arguments)? };
    for pass in [QUERIES, KEYS] {
        let (kernel, grid) = pass.of_tiles(storage, shape, sequences.tile_count())?;
        let arguments = [
            Argument::Pointer(d_out.at(storage, rows * width)),
            Argument::Pointer(qkv.at(storage, rows * 3 * width)),
            Argument::Pointer(log_sum_exp.at(DType::F32, shape.heads * rows)),
            Argument::Pointer(delta),
            Argument::Pointer(sequences.offsets()),
            Argument::Pointer(sequences.tiles()),
            rows.into(),
            shape.heads.into(),
            shape.head_dim.into(),
            score_scale(shape).into(),
            dropout.into(),
            Argument::Pointer(d_qkv.at(storage, rows * 3 * width)),
        ];
        // SAFETY: as above.
        unsafe { run(device, kernel, grid, arguments)? };
    }
    Ok(())
}

/// Blocks of the kernels of first rows: one a sequence and head.
fn first_rows(sequences: &Sequences, shape: AttentionShape) -> Grid {
    Grid { blocks: [size(sequences.count()), size(shape.heads), 1], threads: 256, shared: 0 }
}

/// Attention of each sequence's first row.
#[allow(clippy::too_many_arguments)]
pub(crate) fn first_row_attention(
    device: &dyn Device,
    q: &Buffer,
    kv: &Buffer,
    sequences: &Sequences,
    shape: AttentionShape,
    dropout: Option<Dropout>,
    log_sum_exp: Option<&mut Buffer>,
    out: &mut Buffer,
) -> Result<(), CudaError> {
    let (storage, count, width) = (q.dtype(), sequences.count(), shape.width());
    if count * width == 0 {
        return Ok(());
    }
    let arguments = [
        Argument::Pointer(q.at(storage, count * width)),
        Argument::Pointer(kv.at(storage, sequences.rows() * 2 * width)),
        Argument::Pointer(sequences.offsets()),
        count.into(),
        shape.heads.into(),
        shape.head_dim.into(),
        score_scale(shape).into(),
        dropout.into(),
        optional(log_sum_exp.map(|log_sum_exp| log_sum_exp.at(DType::F32, shape.heads * count))),
        Argument::Pointer(out.at(storage, count * width)),
    ];
    let kernel = FIRST.of_width(storage, shape.head_dim)?;
    // SAFETY: q and `out` hold a row a sequence, kv a row a row, `log_sum_exp` one number a head and sequence.
    unsafe { run(device, kernel, first_rows(sequences, shape), arguments) }
}

/// The gradient of [`first_row_attention`].
#[allow(clippy::too_many_arguments)]
pub(crate) fn first_row_attention_backward(
    device: &dyn Device,
    d_out: &Buffer,
    q: &Buffer,
    kv: &Buffer,
    out: &Buffer,
    log_sum_exp: &Buffer,
    sequences: &Sequences,
    shape: AttentionShape,
    dropout: Option<Dropout>,
    d_q: &mut Buffer,
    d_kv: &mut Buffer,
) -> Result<(), CudaError> {
    let (storage, count, rows, width) = (q.dtype(), sequences.count(), sequences.rows(), shape.width());
    if count * width == 0 {
        return Ok(());
    }
    let arguments = [
        Argument::Pointer(d_out.at(storage, count * width)),
        Argument::Pointer(q.at(storage, count * width)),
        Argument::Pointer(kv.at(storage, rows * 2 * width)),
        Argument::Pointer(out.at(storage, count * width)),
        Argument::Pointer(log_sum_exp.at(DType::F32, shape.heads * count)),
        Argument::Pointer(sequences.offsets()),
        count.into(),
        shape.heads.into(),
        shape.head_dim.into(),
        score_scale(shape).into(),
        dropout.into(),
        Argument::Pointer(d_q.at(storage, count * width)),
        Argument::Pointer(d_kv.at(storage, rows * 2 * width)),
    ];
    let kernel = FIRST_BACKWARD.of_width(storage, shape.head_dim)?;
    // SAFETY: as in the forward pass.
    unsafe { run(device, kernel, first_rows(sequences, shape), arguments) }
}
