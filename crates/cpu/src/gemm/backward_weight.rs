//! `dW += dyᵀ x` and `db += Σ_rows dy`.

use super::epilogue::{AddTo, Output};
use super::kernel::BlockKernel;
use super::pack::{Side, pack_all};
use super::product::{Left, multiply};
use super::scratch::{self, Parts, Purpose};
use super::tiles::{Layout, PANEL, View, chunks};
use crate::Cpu;
use crate::simd::{self, Simd, Storage, read, write};

/// Rows summed over before C is touched: bounds the memory of the packed operands.
const DEPTH: usize = 2048;

/// The gradients of a weight `[out, in]` and its bias `[out]` from dy `[rows, out]` and x `[rows, in]`.
pub(super) struct WeightGradient<'a, T> {
    pub(super) dy: &'a [T],
    pub(super) x: &'a [T],
    pub(super) rows: usize,
    pub(super) out_features: usize,
    pub(super) in_features: usize,
}

impl<T: Storage> WeightGradient<'_, T> {
    pub(super) fn add<K: BlockKernel>(&self, cpu: &Cpu, kernel: K, d_weight: &mut [f32], d_bias: &mut [f32]) {
        self.add_to_bias(cpu, d_bias);
        let dy = View::transposed(self.dy, self.rows, self.out_features);
        let x = View::transposed(self.x, self.rows, self.in_features);
        let (rows, columns) = (self.out_features, self.in_features);
        let longest = self.rows.min(DEPTH);
        let left_len = rows.div_ceil(PANEL) * chunks::<K::Left>(longest) * K::Left::CHUNK;
        let right_len = columns.div_ceil(PANEL) * chunks::<K::Right>(longest) * K::Right::CHUNK;
        scratch::with(Purpose::SharedLeft, left_len, |panels: &mut [<K::Left as Layout>::Element]| {
            scratch::with(Purpose::SharedRight, right_len, |right: &mut [<K::Right as Layout>::Element]| {
                for start in (0..self.rows).step_by(DEPTH) {
                    let depth = DEPTH.min(self.rows - start);
                    pack_all::<K::Left, T>(cpu, dy.part_of_depth(start, depth), Side::Left, panels);
                    pack_all::<K::Right, T>(cpu, x.part_of_depth(start, depth), Side::Right, right);
                    let left: Left<'_, T, _> = Left::Panels { rows, depth, panels };
                    let d_weight = Output::of(d_weight, rows, columns);
                    multiply(cpu, kernel, left, right, columns, &AddTo { d_weight });
                }
            });
        });
    }

    fn add_to_bias(&self, cpu: &Cpu, d_bias: &mut [f32]) {
        let d_bias = &mut d_bias[..self.out_features];
        let whole = d_bias.len() / COLUMNS;
        let (parts, last) = d_bias.split_at_mut(whole * COLUMNS);
        let parts = Parts::of(parts, COLUMNS);
        let add = |part: usize, d_bias: &mut [f32]| {
            let dy = &self.dy[..self.rows * self.out_features];
            simd::dispatch(cpu.isa, ColumnSums { dy, width: self.out_features, first: part * COLUMNS, d_bias });
        };
        // SAFETY: each task takes its own part.
        cpu.threads.run(whole, &|part| add(part, unsafe { parts.part(part) }));
        add(whole, last);
    }
}

/// Columns that are summed side by side.
const COLUMNS: usize = 64;

/// `d_bias += Σ_rows dy` for at most 64 columns from `first` on.
struct ColumnSums<'a, T> {
    dy: &'a [T],
    width: usize,
    first: usize,
    d_bias: &'a mut [f32],
}

impl<T: Storage> simd::Kernel for ColumnSums<'_, T> {
    type Output = ();

    /// Sums of 32 rows first, then of these sums: shorter chains lose less.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let columns = self.d_bias.len();
        for rows in self.dy.chunks(PANEL * self.width) {
            let mut sums = [simd.zero(); COLUMNS / 4];
            for row in rows.chunks_exact(self.width) {
                let row = &row[self.first..][..columns];
                for (sum, values) in sums.iter_mut().zip(row.chunks(S::LANES)) {
                    *sum = simd.add(*sum, read(simd, values));
                }
            }
            for (sum, total) in sums.into_iter().zip(self.d_bias.chunks_mut(S::LANES)) {
                let value = simd.add(read(simd, total), sum);
                write(simd, total, value);
            }
        }
    }
}
