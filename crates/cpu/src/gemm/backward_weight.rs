//! `dW += dyᵀ x` and `db += Σ_rows dy`.

use super::cut::Place;
use super::epilogue::{prefetch_row, row_of};
use super::kernel::BlockKernel;
use super::pack::pack_right;
use super::product::{Epilogue, multiply};
use super::scratch::{self, Purpose};
use super::tiles::{Layout, PANEL, View, chunks};
use crate::Cpu;
use crate::isa::Isa;
use crate::matrix::{Matrix, Shared};
use crate::simd::{self, Simd, Storage, read, write};
use std::ops::Range;

/// Rows summed over before C is touched. Fewer leave more left panels in the cache for each right panel that is fetched;
/// more touch C less often. (At 512, 768 and 2048 rows RoBERTa-base's products are 7 to 18 % slower.)
const DEPTH: usize = 1024;

/// The gradients of a weight `[out, in]` and its bias `[out]` from dy `[rows, out]` and x `[rows, in]`.
pub(super) struct WeightGradient<'a, T> {
    pub(super) dy: Matrix<'a, T>,
    pub(super) x: Matrix<'a, T>,
    pub(super) rows: usize,
}

impl<T: Storage> WeightGradient<'_, T> {
    pub(super) fn add<K: BlockKernel>(&self, cpu: &Cpu, kernel: K, d_weight: &mut [f32], d_bias: &mut [f32]) {
        let dy = View::transposed(self.dy, self.rows);
        let x = View::transposed(self.x, self.rows);
        let (rows, columns) = (dy.rows, x.rows);
        let len = columns.div_ceil(PANEL) * chunks::<K::Right>(self.rows.min(DEPTH)) * K::Right::CHUNK;
        scratch::with(Purpose::SharedRight, len, |right: &mut [<K::Right as Layout>::Element]| {
            for start in (0..self.rows).step_by(DEPTH) {
                let depth = DEPTH.min(self.rows - start);
                pack_right::<K::Right, T>(cpu, x.part_of_depth(start, depth), right);
                let dy = dy.part_of_depth(start, depth);
                let d_weight = Shared::of_rows(&mut d_weight[..rows * columns], columns);
                let d_bias = Shared::of_rows(&mut d_bias[..rows], rows);
                multiply(cpu, kernel, dy, right, columns, &AddTo { dy, d_weight, d_bias });
            }
        });
    }
}

/// `d_weight += c`, and to `d_bias` the sums of dy, which is read from memory once for both.
struct AddTo<'a, T> {
    dy: View<'a, T>,
    d_weight: Shared<'a, f32>,
    d_bias: Shared<'a, f32>,
}

impl<T: Storage> Epilogue for AddTo<'_, T> {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &[f32; PANEL], place: Place, row: usize) {
        // SAFETY: the product hands every place to one task.
        let d_weight = unsafe { row_of(&self.d_weight, place, row) };
        for (d_weight, sums) in d_weight.chunks_mut(S::LANES).zip(sums.chunks(S::LANES)) {
            let value = simd.add(read(simd, d_weight), read(simd, sums));
            write(simd, d_weight, value);
        }
    }

    #[inline(always)]
    fn prefetch_row(&self, place: Place, row: usize) {
        prefetch_row(&self.d_weight, place, row);
    }

    fn packed(&self, isa: Isa, rows: Range<usize>, depth: Range<usize>) {
        let at_once = if self.dy.is_blocks() { PANEL } else { COLUMNS };
        for first in rows.clone().step_by(at_once) {
            // SAFETY: the product tells one task of every row of its left operand, which is a column of dy.
            let d_bias = unsafe { self.d_bias.piece(0, first..rows.end.min(first + at_once)) };
            simd::dispatch(isa, ColumnSums { dy: self.dy, rows: depth.clone(), first, d_bias });
        }
    }
}

/// Columns that are summed side by side at most.
const COLUMNS: usize = 64;

/// `d_bias += Σ dy` over some rows, for at most 64 columns from `first` on: the sum of these rows first, as shorter chains
/// lose less.
struct ColumnSums<'a, T> {
    /// dyᵀ.
    dy: View<'a, T>,
    rows: Range<usize>,
    first: usize,
    d_bias: &'a mut [f32],
}

impl<T: Storage> simd::Kernel for ColumnSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut sums = [simd.zero(); COLUMNS / 4];
        for row in self.rows {
            let line = self.dy.line(row, self.first, self.d_bias.len());
            for (sum, values) in sums.iter_mut().zip(line.chunks(S::LANES)) {
                *sum = simd.add(*sum, read(simd, values));
            }
        }
        for (sum, total) in sums.into_iter().zip(self.d_bias.chunks_mut(S::LANES)) {
            let value = simd.add(read(simd, total), sum);
            write(simd, total, value);
        }
    }
}
