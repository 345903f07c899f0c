//! Rows picked out of a buffer, and added back.

use super::convert::Convert;
use super::split::{BLOCK_ELEMENTS, for_blocks, for_row_blocks};
use crate::Cpu;
use crate::matrix::{Matrix, Shared};
use crate::simd::{Kernel, Simd, Storage, dispatch, for_dtype, for_vectors, read, write};
use serin_tensor::AlignedBuffer;
use std::ops::Range;

/// Columns that a task of [`scatter_add_rows`] owns: some cache lines of every row.
const COLUMNS_PER_TASK: usize = 128;

pub(crate) fn gather_rows(cpu: &Cpu, x: &AlignedBuffer, indices: &[u32], width: usize, out: &mut AlignedBuffer) {
    for_dtype!(x.dtype(), From => for_dtype!(out.dtype(), To => {
        let x = Matrix::<From>::all(x, width);
        gather::<From, To>(cpu, x, indices, &Shared::of(out, indices.len(), width));
    }));
}

fn gather<From: Storage, To: Storage>(cpu: &Cpu, x: Matrix<'_, From>, indices: &[u32], out: &Shared<'_, To>) {
    let width = x.order().width();
    for_row_blocks(cpu, indices.len(), width, &|block| {
        for row in block {
            for from in x.order().pieces(0..width) {
                for columns in out.order().pieces(from) {
                    // SAFETY: every row is in one block, once.
                    let to = unsafe { out.piece(row, columns.clone()) };
                    dispatch(cpu.isa, Convert { from: x.piece(indices[row] as usize, columns), to });
                }
            }
        }
    });
}

/// Row `index` of a matrix. Panics when there is no such row: a bug of the caller.
#[inline(always)]
pub(super) fn row_of<T>(matrix: &[T], index: u32, width: usize) -> &[T] {
    &matrix[index as usize * width..][..width]
}

/// `x[indices[i]] += values[i]` in the order of `i`, on the columns of one task.
struct AddRows<'a, From, To> {
    values: Matrix<'a, From>,
    indices: &'a [u32],
    columns: Range<usize>,
    x: &'a Shared<'a, To>,
}

impl<From: Storage, To: Storage> Kernel for AddRows<'_, From, To> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, &index) in self.indices.iter().enumerate() {
            for_vectors!(S, self.columns.len(), columns => {
                let columns = self.columns.start + columns.start..self.columns.start + columns.end;
                // SAFETY: this task alone has these columns, whatever the indices are.
                let x = unsafe { self.x.piece(index as usize, columns.clone()) };
                write(simd, x, simd.add(read(simd, x), read(simd, self.values.piece(row, columns))));
            });
        }
    }
}

/// Indices may repeat: a row's values are then added in their order.
pub(crate) fn scatter_add_rows(
    cpu: &Cpu,
    d_out: &AlignedBuffer,
    indices: &[u32],
    width: usize,
    d_x: &mut AlignedBuffer,
) {
    for_dtype!(d_out.dtype(), From => for_dtype!(d_x.dtype(), To => {
        let values = Matrix::<From>::of(d_out, indices.len(), width);
        scatter_add::<From, To>(cpu, values, indices, &Shared::all(d_x, width));
    }));
}

fn scatter_add<From: Storage, To: Storage>(cpu: &Cpu, values: Matrix<'_, From>, indices: &[u32], x: &Shared<'_, To>) {
    let width = x.order().width();
    let small = indices.len() * width <= BLOCK_ELEMENTS;
    let columns_per_task = if small { width.max(1) } else { COLUMNS_PER_TASK };
    for_blocks(cpu, width, columns_per_task, &|columns| {
        dispatch(cpu.isa, AddRows { values, indices, columns, x });
    });
}
