//! Dropout in place.

use super::split::for_row_blocks;
use crate::Cpu;
use crate::matrix::Shared;
use crate::simd::{Kernel, Simd, Storage, dispatch, drop_pair, for_dtype, for_pairs, keep_pair, read_pair, write_pair};
use serin_ops::Dropout;
use serin_tensor::AlignedBuffer;
use std::ops::Range;

/// Drops elements of some rows.
struct Drop<'a, T> {
    dropout: Dropout,
    rows: Range<usize>,
    x: &'a Shared<'a, T>,
}

impl<T: Storage> Kernel for Drop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let scale = simd.splat(self.dropout.scale);
        for row in self.rows {
            let key = self.dropout.row_key(row as u64);
            for_pairs!(S, self.x.order().width(), columns => {
                let keep = keep_pair(simd, key, columns.start as u32, self.dropout.threshold);
                // SAFETY: this task has these rows alone.
                let x = unsafe { self.x.piece(row, columns) };
                write_pair(simd, x, drop_pair(simd, keep, scale, read_pair(simd, x)));
            });
        }
    }
}

pub(crate) fn dropout(cpu: &Cpu, x: &mut AlignedBuffer, dropout: Dropout, rows: usize, width: usize) {
    if width == 0 {
        return;
    }
    for_dtype!(x.dtype(), T => {
        let x = &Shared::<T>::of(x, rows, width);
        for_row_blocks(cpu, rows, width, &|rows| dispatch(cpu.isa, Drop { dropout, rows, x }));
    });
}
