//! Rows picked out of a buffer, and added back.

use super::convert::Convert;
use super::split::{BLOCK_ELEMENTS, Parts, for_blocks, for_row_blocks};
use crate::Cpu;
use crate::simd::{Kernel, Simd, Storage, dispatch, for_dtype, for_vectors, read, write};
use serin_tensor::AlignedBuffer;
use std::ops::Range;

/// Columns that a task of [`scatter_add_rows`] owns: some cache lines of every row.
const COLUMNS_PER_TASK: usize = 128;

pub(crate) fn gather_rows(cpu: &Cpu, x: &AlignedBuffer, indices: &[u32], width: usize, out: &mut AlignedBuffer) {
    for_dtype!(x.dtype(), From => for_dtype!(out.dtype(), To => {
        gather::<From, To>(cpu, x.as_slice(), indices, width, out.as_mut_slice());
    }));
}

fn gather<From: Storage, To: Storage>(cpu: &Cpu, x: &[From], indices: &[u32], width: usize, out: &mut [To]) {
    let out = Parts::new(&mut out[..indices.len() * width]);
    for_row_blocks(cpu, indices.len(), width, &|block| {
        for row in block {
            // SAFETY: every row is in one block, once.
            let to = unsafe { out.part(row * width..(row + 1) * width) };
            dispatch(cpu.isa, Convert { from: row_of(x, indices[row], width), to });
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
    values: &'a [From],
    indices: &'a [u32],
    width: usize,
    columns: Range<usize>,
    x: &'a Parts<'a, To>,
}

impl<From: Storage, To: Storage> Kernel for AddRows<'_, From, To> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, &index) in self.indices.iter().enumerate() {
            let values = &self.values[row * self.width..][self.columns.clone()];
            let start = index as usize * self.width;
            // SAFETY: this task alone has these columns, whatever the indices are.
            let x = unsafe { self.x.part(start + self.columns.start..start + self.columns.end) };
            for_vectors!(S, values.len(), columns => {
                let x = &mut x[columns.clone()];
                write(simd, x, simd.add(read(simd, x), read(simd, &values[columns])));
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
        scatter_add::<From, To>(cpu, d_out.as_slice(), indices, width, d_x.as_mut_slice());
    }));
}

fn scatter_add<From: Storage, To: Storage>(cpu: &Cpu, values: &[From], indices: &[u32], width: usize, x: &mut [To]) {
    let x = Parts::new(x);
    let small = indices.len() * width <= BLOCK_ELEMENTS;
    let columns_per_task = if small { width.max(1) } else { COLUMNS_PER_TASK };
    for_blocks(cpu, width, columns_per_task, &|columns| {
        dispatch(cpu.isa, AddRows { values, indices, width, columns, x: &x });
    });
}
