//! `dW += dyᵀ x` and `db += Σ_rows dy`.

use super::epilogue::{AddTo, Output};
use super::kernel::BlockKernel;
use super::pack::{Side, pack_all};
use super::product::{Left, multiply};
use super::scratch::{self, Parts, Purpose};
use super::tiles::{Layout, PANEL, View, chunks};
use crate::Cpu;
use crate::simd::Storage;

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
                    multiply(cpu, kernel, left, right, columns, &AddTo { isa: cpu.isa, d_weight });
                }
            });
        });
    }

    /// Sums of 32 rows first, then of these sums: shorter chains lose less.
    fn add_to_bias(&self, cpu: &Cpu, d_bias: &mut [f32]) {
        let out_features = self.out_features;
        let (whole, last) = d_bias[..out_features].split_at_mut(out_features / PANEL * PANEL);
        let parts = Parts::of(whole, PANEL);
        let add = |first: usize, d_bias: &mut [f32]| {
            for rows in self.dy[..self.rows * out_features].chunks(PANEL * out_features) {
                let mut sums = [0.0f32; PANEL];
                for row in rows.chunks_exact(out_features) {
                    let row = &row[first..][..d_bias.len()];
                    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.to_f32());
                }
                d_bias.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
        };
        // SAFETY: each task takes its own part.
        cpu.threads.run(out_features / PANEL, &|index| add(index * PANEL, unsafe { parts.part(index) }));
        add(out_features / PANEL * PANEL, last);
    }
}
