//! `dW += dyᵀ x` and `db += Σ_rows dy`.

use super::epilogue::{AddTo, Output};
use super::kernel::BlockKernel;
use super::product::multiply;
use super::scratch::{self, Parts, Purpose};
use super::tiles::{Layout, PANEL, View, chunks};
use super::weight::pack_right;
use crate::Cpu;
use serin_tensor::Element;

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

impl<T: Element> WeightGradient<'_, T> {
    pub(super) fn add<K: BlockKernel>(&self, cpu: &Cpu, kernel: K, d_weight: &mut [f32], d_bias: &mut [f32]) {
        self.add_to_bias(cpu, d_bias);
        let dy = View::transposed(self.dy, self.rows, self.out_features);
        let x = View::transposed(self.x, self.rows, self.in_features);
        let longest = chunks::<K::Right>(self.rows.min(DEPTH));
        let panels_len = self.in_features.div_ceil(PANEL) * longest * K::Right::CHUNK;
        scratch::with(Purpose::Right, panels_len, |panels: &mut [<K::Right as Layout>::Element]| {
            for start in (0..self.rows).step_by(DEPTH) {
                let depth = DEPTH.min(self.rows - start);
                pack_right::<K::Right, T>(cpu, x.along_depth(start, depth), panels);
                let d_weight = Output::of(d_weight, self.out_features, self.in_features);
                let left = dy.along_depth(start, depth);
                multiply(&cpu.threads, kernel, left, panels, self.in_features, &AddTo { isa: cpu.isa, d_weight });
            }
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
