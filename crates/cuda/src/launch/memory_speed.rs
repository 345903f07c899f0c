//! `kernels/memory_speed.cu`.

#![allow(unsafe_code)] // launches

use super::{Argument, line, run, untyped};
use crate::device::Device;
use crate::error::CudaError;
use crate::memory::Buffer;
use serin_tensor::DType;

/// Threads of a block.
const THREADS: usize = 256;
/// Bytes that a thread reads at once.
const PIECE: usize = 16;

/// Threads of a grid.
pub(crate) const fn threads(blocks: u32) -> usize {
    blocks as usize * THREADS
}

/// Reads `from` `passes` times; the sum of the words that each thread read goes to `sums`.
pub(crate) fn read(
    device: &dyn Device,
    from: &Buffer,
    passes: u32,
    blocks: u32,
    sums: &mut Buffer,
) -> Result<(), CudaError> {
    let arguments = [
        Argument::Pointer(from.at(from.dtype(), from.len())),
        Argument::Long(pieces(from)),
        passes.into(),
        Argument::Pointer(sums.at(DType::F32, threads(blocks))),
    ];
    // SAFETY: `from` holds that many pieces, `sums` four bytes a thread.
    unsafe { run(device, untyped("memory_speed.cu", "read_memory"), line(blocks, THREADS as u32), arguments) }
}

/// `to = from`.
pub(crate) fn copy(device: &dyn Device, from: &Buffer, blocks: u32, to: &mut Buffer) -> Result<(), CudaError> {
    let arguments = [
        Argument::Pointer(from.at(from.dtype(), from.len())),
        Argument::Long(pieces(from)),
        Argument::Pointer(to.at(from.dtype(), from.len())),
    ];
    // SAFETY: both hold that many pieces.
    unsafe { run(device, untyped("memory_speed.cu", "copy_memory"), line(blocks, THREADS as u32), arguments) }
}

/// What a buffer holds, in the pieces that threads read; a rest is left out.
fn pieces(buffer: &Buffer) -> u64 {
    (buffer.len() * buffer.dtype().size() / PIECE) as u64
}
