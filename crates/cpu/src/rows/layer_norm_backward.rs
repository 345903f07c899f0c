//! The backward of residual, dropout and layer norm.
//!
//! With `n = (s - mean) / √(var + ε)` and `g = γ dy`: `ds = (g - mean(g) - n mean(g n)) / √(var + ε)`, `dγ = Σ_rows dy n`,
//! `dβ = Σ_rows dy` (Ba, Kiros, Hinton 2016).

use super::split::{for_row_blocks, rows_per_block, with_partial_sums};
use crate::Cpu;
use crate::matrix::{Matrix, Shared};
use crate::simd::{
    Kernel, Simd, Storage, dispatch, drop_pair, for_dtype, for_pairs, for_vectors, keep_pair, read, read_pair, write,
    write_pair,
};
use serin_ops::Dropout;
use serin_tensor::AlignedBuffer;
use std::ops::Range;

/// The backward on some rows.
struct LayerNormBackward<'a, T> {
    rows: Range<usize>,
    call: &'a Backward<'a, T>,
    /// This block's share of dγ and dβ, `[width]` each; overwritten.
    d_weight: &'a mut [f32],
    d_bias: &'a mut [f32],
}

impl<T: Storage> Kernel for LayerNormBackward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward { dy, sum, statistics, weight, .. } = self.call;
        self.d_weight.fill(0.0);
        self.d_bias.fill(0.0);
        for row in self.rows {
            let (mean, inverse) = (statistics[2 * row], statistics[2 * row + 1]);
            let forward = Row { row, dy: *dy, sum: *sum, weight, mean, inverse };
            let means = forward.means(simd);
            forward.backward(simd, means, self.call, self.d_weight, self.d_bias);
        }
    }
}

/// A row of the forward pass and the gradient that comes to it.
struct Row<'a, T> {
    row: usize,
    dy: Matrix<'a, T>,
    sum: Matrix<'a, T>,
    weight: &'a [f32],
    mean: f32,
    inverse: f32,
}

impl<T: Storage> Row<'_, T> {
    /// dy, n and g at `columns`.
    #[inline(always)]
    fn load<S: Simd>(&self, simd: S, columns: Range<usize>) -> [[S::F32; 2]; 3] {
        let dy = read_pair(simd, self.dy.piece(self.row, columns.clone()));
        let sum = read_pair(simd, self.sum.piece(self.row, columns.clone()));
        let weight = read_pair(simd, &self.weight[columns]);
        let (mean, inverse) = (simd.splat(self.mean), simd.splat(self.inverse));
        let n = [simd.mul(simd.sub(sum[0], mean), inverse), simd.mul(simd.sub(sum[1], mean), inverse)];
        [dy, n, [simd.mul(dy[0], weight[0]), simd.mul(dy[1], weight[1])]]
    }

    /// The means of g and of g n. Absent lanes have g = 0.
    #[inline(always)]
    fn means<S: Simd>(&self, simd: S) -> [f32; 2] {
        let mut g_totals = [simd.zero(); 2];
        let mut gn_totals = [simd.zero(); 2];
        for_pairs!(S, self.weight.len(), columns => {
            let [_, n, g] = self.load(simd, columns);
            g_totals = [simd.add(g_totals[0], g[0]), simd.add(g_totals[1], g[1])];
            gn_totals = [simd.fma(g[0], n[0], gn_totals[0]), simd.fma(g[1], n[1], gn_totals[1])];
        });
        [g_totals, gn_totals].map(|[a, b]| simd.sum(simd.add(a, b)) / self.weight.len() as f32)
    }

    #[inline(always)]
    fn backward<S: Simd>(
        &self,
        simd: S,
        means: [f32; 2],
        call: &Backward<'_, T>,
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        let (mean_g, mean_gn) = (simd.splat(means[0]), simd.splat(means[1]));
        let inverse = simd.splat(self.inverse);
        let key = call.d_x.as_ref().map_or(0, |(dropout, _)| dropout.row_key(self.row as u64));
        for_pairs!(S, self.weight.len(), columns => {
            let [dy, n, g] = self.load(simd, columns.clone());
            let first = simd.mul(simd.neg_fma(n[0], mean_gn, simd.sub(g[0], mean_g)), inverse);
            let second = simd.mul(simd.neg_fma(n[1], mean_gn, simd.sub(g[1], mean_g)), inverse);
            // SAFETY: this task has these rows alone.
            write_pair(simd, unsafe { call.d_sum.piece(self.row, columns.clone()) }, [first, second]);
            if let Some((dropout, d_x)) = &call.d_x {
                let keep = keep_pair(simd, key, columns.start as u32, dropout.threshold);
                let dropped = drop_pair(simd, keep, simd.splat(dropout.scale), [first, second]);
                // SAFETY: as above.
                write_pair(simd, unsafe { d_x.piece(self.row, columns.clone()) }, dropped);
            }
            let d_weight = &mut d_weight[columns.clone()];
            let so_far = read_pair(simd, d_weight);
            write_pair(simd, d_weight, [simd.fma(dy[0], n[0], so_far[0]), simd.fma(dy[1], n[1], so_far[1])]);
            let d_bias = &mut d_bias[columns];
            let so_far = read_pair(simd, d_bias);
            write_pair(simd, d_bias, [simd.add(so_far[0], dy[0]), simd.add(so_far[1], dy[1])]);
        });
    }
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn add_layer_norm_backward(
    cpu: &Cpu,
    dy: &AlignedBuffer,
    sum: &AlignedBuffer,
    statistics: &AlignedBuffer,
    weight: &AlignedBuffer,
    rows: usize,
    width: usize,
    d_sum: &mut AlignedBuffer,
    d_x: Option<(Dropout, &mut AlignedBuffer)>,
    d_weight: &mut AlignedBuffer,
    d_bias: &mut AlignedBuffer,
) {
    if width == 0 {
        return;
    }
    let blocks = rows.div_ceil(rows_per_block(width));
    with_partial_sums(blocks * 2 * width, |partial_sums| {
        let (statistics, weight) = (&statistics.as_slice()[..2 * rows], &weight.as_slice()[..width]);
        for_dtype!(dy.dtype(), T => {
            let call = Backward::<T> {
                dy: Matrix::of(dy, rows, width),
                sum: Matrix::of(sum, rows, width),
                statistics,
                weight,
                d_sum: Shared::of(d_sum, rows, width),
                d_x: d_x.map(|(dropout, d_x)| (dropout, Shared::of(d_x, rows, width))),
                partial_sums: Shared::of_slice(partial_sums),
            };
            call.run(cpu, rows);
        });
        let (d_weight, d_bias) = (d_weight.as_mut_slice::<f32>(), d_bias.as_mut_slice::<f32>());
        for partial in partial_sums.chunks_exact(2 * width) {
            dispatch(cpu.isa, AddTo { value: &partial[..width], sum: &mut d_weight[..width] });
            dispatch(cpu.isa, AddTo { value: &partial[width..], sum: &mut d_bias[..width] });
        }
    });
}

/// The buffers of a call, typed.
struct Backward<'a, T> {
    /// `[rows, width]` each.
    dy: Matrix<'a, T>,
    sum: Matrix<'a, T>,
    /// `[rows, 2]`.
    statistics: &'a [f32],
    /// `[width]`.
    weight: &'a [f32],
    /// `[rows, width]`, as is what is in `d_x`.
    d_sum: Shared<'a, T>,
    d_x: Option<(Dropout, Shared<'a, T>)>,
    /// `[blocks, 2, width]`.
    partial_sums: Shared<'a, f32>,
}

impl<T: Storage> Backward<'_, T> {
    fn run(&self, cpu: &Cpu, rows: usize) {
        let width = self.weight.len();
        for_row_blocks(cpu, rows, width, &|rows| {
            let partial = rows.start / rows_per_block(width) * 2 * width;
            // SAFETY: blocks are disjoint, and so are their partial sums.
            let partial_sums = unsafe { self.partial_sums.piece(0, partial..partial + 2 * width) };
            let (d_weight, d_bias) = partial_sums.split_at_mut(width);
            dispatch(cpu.isa, LayerNormBackward { rows, call: self, d_weight, d_bias });
        });
    }
}

/// `sum += value`.
struct AddTo<'a> {
    value: &'a [f32],
    sum: &'a mut [f32],
}

impl Kernel for AddTo<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for_vectors!(S, self.sum.len(), columns => {
            let sum = &mut self.sum[columns.clone()];
            write(simd, sum, simd.add(read(simd, sum), read(simd, &self.value[columns])));
        });
    }
}
