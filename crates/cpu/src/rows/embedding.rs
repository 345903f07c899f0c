//! Table look-ups and their scatter-add backward.

use super::gather::{row_of, scatter_add_rows};
use super::split::for_row_blocks;
use crate::Cpu;
use crate::matrix::Shared;
use crate::simd::{Kernel, Simd, Storage, dispatch, for_dtype, for_vectors, read, write};
use serin_ops::EmbeddingTables;
use serin_tensor::AlignedBuffer;

/// The sum of the rows that a token's indices name: `[width]` each.
struct SumRows<'a, T, Out> {
    word: &'a [T],
    position: &'a [T],
    token_type: Option<&'a [T]>,
    out: &'a Shared<'a, Out>,
    row: usize,
}

impl<T: Storage, Out: Storage> Kernel for SumRows<'_, T, Out> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for_vectors!(S, self.word.len(), columns => {
            let word = read(simd, &self.word[columns.clone()]);
            let mut sum = simd.add(word, read(simd, &self.position[columns.clone()]));
            if let Some(token_type) = self.token_type {
                sum = simd.add(sum, read(simd, &token_type[columns.clone()]));
            }
            // SAFETY: every row is in one task, once.
            write(simd, unsafe { self.out.piece(self.row, columns) }, sum);
        });
    }
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn embed(
    cpu: &Cpu,
    tables: EmbeddingTables<'_, Cpu>,
    ids: &[u32],
    positions: &[u32],
    types: &[u32],
    rows: usize,
    width: usize,
    out: &mut AlignedBuffer,
) {
    for_dtype!(tables.word.dtype(), T => for_dtype!(out.dtype(), Out => {
        let word = tables.word.as_slice::<T>();
        let position = tables.position.as_slice::<T>();
        let token_type = tables.token_type.map(|table| table.as_slice::<T>());
        let out = &Shared::<Out>::of(out, rows, width);
        for_row_blocks(cpu, rows, width, &|block| {
            for row in block {
                dispatch(cpu.isa, SumRows {
                    word: row_of(word, ids[row], width),
                    position: row_of(position, positions[row], width),
                    token_type: token_type.map(|table| row_of(table, types[row], width)),
                    out,
                    row,
                });
            }
        });
    }));
}

pub(crate) fn embed_backward(
    cpu: &Cpu,
    d_out: &AlignedBuffer,
    indices: &[u32],
    rows: usize,
    width: usize,
    d_table: &mut AlignedBuffer,
) {
    scatter_add_rows(cpu, d_out, &indices[..rows], width, d_table);
}
