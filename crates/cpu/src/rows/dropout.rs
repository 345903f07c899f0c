//! Dropout in place.

use super::split::{Parts, for_row_blocks};
use crate::Cpu;
use crate::simd::{Kernel, Simd, Storage, dispatch, drop_pair, for_dtype, for_vector_pairs, keep_pair, read, write};
use serin_ops::Dropout;
use serin_tensor::AlignedBuffer;

/// Drops elements of whole rows, of which the first is `first_row` of the buffer.
struct Drop<'a, T> {
    dropout: Dropout,
    first_row: usize,
    width: usize,
    x: &'a mut [T],
}

impl<T: Storage> Kernel for Drop<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let scale = simd.splat(self.dropout.scale);
        for (index, row) in self.x.chunks_exact_mut(self.width).enumerate() {
            let key = self.dropout.row_key((self.first_row + index) as u64);
            for_vector_pairs!(S, row.len(), [first, second] => {
                let keep = keep_pair(simd, key, first.start as u32, self.dropout.threshold);
                let values = [read(simd, &row[first.clone()]), read(simd, &row[second.clone()])];
                let [a, b] = drop_pair(simd, keep, scale, values);
                write(simd, &mut row[first], a);
                write(simd, &mut row[second], b);
            });
        }
    }
}

pub(crate) fn dropout(cpu: &Cpu, x: &mut AlignedBuffer, dropout: Dropout, rows: usize, width: usize) {
    if width == 0 {
        return;
    }
    for_dtype!(x.dtype(), T => {
        let x = Parts::new(&mut x.as_mut_slice::<T>()[..rows * width]);
        for_row_blocks(cpu, rows, width, &|block| {
            // SAFETY: blocks are disjoint.
            let x = unsafe { x.part(block.start * width..block.end * width) };
            dispatch(cpu.isa, Drop { dropout, first_row: block.start, width, x });
        });
    });
}
