//! Copies between storage types.

use super::split::for_element_blocks;
use crate::Cpu;
use crate::matrix::Shared;
use crate::simd::{Kernel, Simd, Storage, dispatch, for_dtype, for_vectors, read as load, write as store};
use serin_tensor::{AlignedBuffer, Order};
use std::ops::Range;

/// `to = from`.
pub(super) struct Convert<'a, From, To> {
    pub(super) from: &'a [From],
    pub(super) to: &'a mut [To],
}

impl<From: Storage, To: Storage> Kernel for Convert<'_, From, To> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let to = &mut self.to[..self.from.len()];
        for_vectors!(S, self.from.len(), columns => {
            store(simd, &mut to[columns.clone()], load(simd, &self.from[columns]));
        });
    }
}

/// Copies host values into a buffer from `offset` on, rounding to its type.
pub(crate) fn write(cpu: &Cpu, buffer: &mut AlignedBuffer, offset: usize, values: &[f32]) {
    let pieces = pieces(buffer, offset..offset + values.len());
    for_dtype!(buffer.dtype(), T => {
        for (at, place) in pieces {
            convert::<f32, T>(cpu, &values[at], &mut buffer.elements_mut()[place]);
        }
    });
}

/// Copies a buffer's elements from `offset` on to the host, widening.
pub(crate) fn read(cpu: &Cpu, buffer: &AlignedBuffer, offset: usize, values: &mut [f32]) {
    let pieces = pieces(buffer, offset..offset + values.len());
    for_dtype!(buffer.dtype(), T => {
        for (at, place) in pieces {
            convert::<T, f32>(cpu, &buffer.elements()[place], &mut values[at]);
        }
    });
}

/// Copies the bytes of elements from `offset` on.
pub(crate) fn read_bytes(buffer: &AlignedBuffer, offset: usize, bytes: &mut [u8]) {
    let size = buffer.dtype().size();
    for (at, place) in pieces(buffer, offset..offset + bytes.len() / size) {
        bytes[at.start * size..at.end * size].copy_from_slice(&buffer.as_bytes()[place.start * size..place.end * size]);
    }
}

/// The inverse of [`read_bytes`].
pub(crate) fn write_bytes(buffer: &mut AlignedBuffer, offset: usize, bytes: &[u8]) {
    let size = buffer.dtype().size();
    for (at, place) in pieces(buffer, offset..offset + bytes.len() / size) {
        buffer.as_mut_bytes()[place.start * size..place.end * size]
            .copy_from_slice(&bytes[at.start * size..at.end * size]);
    }
}

/// Copies `len` elements from one buffer to another of the same type.
pub(crate) fn copy(from: &AlignedBuffer, from_offset: usize, to: &mut AlignedBuffer, to_offset: usize, len: usize) {
    let size = from.dtype().size();
    for (at, place) in pieces(from, from_offset..from_offset + len) {
        write_bytes(to, to_offset + at.start, &from.as_bytes()[place.start * size..place.end * size]);
    }
}

/// Elements `range` of a buffer, counted row by row where it holds a matrix: piece by piece which of them, and where they lie.
fn pieces(buffer: &AlignedBuffer, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<> {
    let order: Option<Order> = buffer.blocks().map(|width| buffer.order(width));
    let mut next = range.start;
    std::iter::from_fn(move || {
        let start = next;
        let (place, most) = match order {
            None => (start, range.len()),
            Some(order) => {
                let (row, column) = (start / order.width(), start % order.width());
                (order.at(row, column), order.run(column))
            }
        };
        let len = most.min(range.end - start);
        next += len;
        (len > 0).then_some((start - range.start..next - range.start, place..place + len))
    })
}

fn convert<From: Storage, To: Storage>(cpu: &Cpu, from: &[From], to: &mut [To]) {
    let to = Shared::of_slice(to);
    for_element_blocks(cpu, from.len(), &|block| {
        // SAFETY: blocks are disjoint.
        let to = unsafe { to.piece(0, block.clone()) };
        dispatch(cpu.isa, Convert { from: &from[block], to });
    });
}

/// Sets the first `len` elements to zero: gradients of a whole embedding table every step, so all threads write.
pub(crate) fn fill_zero(cpu: &Cpu, buffer: &mut AlignedBuffer, len: usize) {
    let size = buffer.dtype().size();
    for (_, place) in pieces(buffer, 0..len) {
        let bytes = Shared::of_slice(&mut buffer.as_mut_bytes()[place.start * size..place.end * size]);
        for_element_blocks(cpu, place.len(), &|block| {
            // SAFETY: blocks are disjoint.
            unsafe { bytes.piece(0, block.start * size..block.end * size) }.fill(0);
        });
    }
}
