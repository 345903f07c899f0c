//! Residual, dropout and layer norm in one pass over a row.

pub(crate) use super::layer_norm_backward::add_layer_norm_backward;

use super::split::{for_row_blocks, with_scratch_row};
use crate::Cpu;
use crate::matrix::{Matrix, Shared};
use crate::simd::{Kernel, Simd, Storage, dispatch, drop_pair, for_dtype, for_pairs, keep_pair, read_pair, write_pair};
use serin_ops::{Dropout, Norm};
use serin_tensor::AlignedBuffer;
use std::ops::Range;

/// The forward on some rows.
struct AddLayerNorm<'a, T> {
    rows: Range<usize>,
    /// `[rows, width]`; receives the sum where `statistics` are wanted.
    x: &'a Shared<'a, T>,
    /// `[rows, width]`.
    residual: Option<Matrix<'a, T>>,
    dropout: Option<Dropout>,
    /// `[width]` each.
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
    /// `[rows, 2]`, of these rows alone.
    statistics: Option<&'a mut [f32]>,
    /// `[rows, width]`.
    y: &'a Shared<'a, T>,
    /// The sum of a row in full precision, `[width]`.
    sum: &'a mut [f32],
}

impl<T: Storage> Kernel for AddLayerNorm<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = self.sum.len();
        for (index, row) in self.rows.clone().enumerate() {
            let total = match self.dropout {
                Some(dropout) => self.add_dropped(simd, row, dropout),
                None => self.add(simd, row),
            };
            let mean = total / width as f32;
            let variance = squared_deviations(simd, self.sum, mean) / width as f32;
            let inverse = 1.0 / (variance + self.epsilon).sqrt();
            self.normalize(simd, row, mean, inverse);
            if let Some(statistics) = &mut self.statistics {
                statistics[2 * index..2 * index + 2].copy_from_slice(&[mean, inverse]);
                for_pairs!(S, width, columns => {
                    // SAFETY: this task has these rows alone.
                    let x = unsafe { self.x.piece(row, columns.clone()) };
                    write_pair(simd, x, read_pair(simd, &self.sum[columns]));
                });
            }
        }
    }
}

impl<T: Storage> AddLayerNorm<'_, T> {
    /// `sum = x + residual` in a row; returns its total.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, row: usize) -> f32 {
        let mut totals = [simd.zero(); 2];
        for_pairs!(S, self.sum.len(), columns => {
            let values = self.x(simd, row, columns.clone());
            self.add_residual(simd, row, columns, values, &mut totals);
        });
        simd.sum(simd.add(totals[0], totals[1]))
    }

    /// `sum = dropout(x) + residual` in a row; returns its total.
    #[inline(always)]
    fn add_dropped<S: Simd>(&mut self, simd: S, row: usize, dropout: Dropout) -> f32 {
        let (key, scale) = (dropout.row_key(row as u64), simd.splat(dropout.scale));
        let mut totals = [simd.zero(); 2];
        for_pairs!(S, self.sum.len(), columns => {
            let keep = keep_pair(simd, key, columns.start as u32, dropout.threshold);
            let values = drop_pair(simd, keep, scale, self.x(simd, row, columns.clone()));
            self.add_residual(simd, row, columns, values, &mut totals);
        });
        simd.sum(simd.add(totals[0], totals[1]))
    }

    #[inline(always)]
    fn x<S: Simd>(&self, simd: S, row: usize, columns: Range<usize>) -> [S::F32; 2] {
        // SAFETY: this task has these rows alone, and holds no piece of them.
        read_pair(simd, unsafe { self.x.piece(row, columns) })
    }

    /// `sum = values + residual` at two vectors' columns, and to the totals.
    #[inline(always)]
    fn add_residual<S: Simd>(
        &mut self,
        simd: S,
        row: usize,
        columns: Range<usize>,
        mut values: [S::F32; 2],
        totals: &mut [S::F32; 2],
    ) {
        if let Some(residual) = self.residual {
            let residual = read_pair(simd, residual.piece(row, columns.clone()));
            values = [simd.add(values[0], residual[0]), simd.add(values[1], residual[1])];
        }
        *totals = [simd.add(totals[0], values[0]), simd.add(totals[1], values[1])];
        write_pair(simd, &mut self.sum[columns], values);
    }

    /// `y = γ (sum - mean) inverse + β` in a row.
    #[inline(always)]
    fn normalize<S: Simd>(&self, simd: S, row: usize, mean: f32, inverse: f32) {
        let (mean, inverse) = (simd.splat(mean), simd.splat(inverse));
        for_pairs!(S, self.sum.len(), columns => {
            let sum = read_pair(simd, &self.sum[columns.clone()]);
            let weight = read_pair(simd, &self.weight[columns.clone()]);
            let bias = read_pair(simd, &self.bias[columns.clone()]);
            let first = simd.fma(simd.mul(simd.sub(sum[0], mean), inverse), weight[0], bias[0]);
            let second = simd.fma(simd.mul(simd.sub(sum[1], mean), inverse), weight[1], bias[1]);
            // SAFETY: this task has these rows alone.
            write_pair(simd, unsafe { self.y.piece(row, columns) }, [first, second]);
        });
    }
}

/// `Σ (sum - mean)²`.
#[inline(always)]
fn squared_deviations<S: Simd>(simd: S, sum: &[f32], mean: f32) -> f32 {
    let center = simd.splat(mean);
    // Absent lanes would count as deviations of 0 - mean.
    let whole = sum.len() - sum.len() % (2 * S::LANES);
    let rest: f32 = sum[whole..].iter().map(|&sum| (sum - mean) * (sum - mean)).sum();
    let mut totals = [simd.zero(); 2];
    for_pairs!(S, whole, columns => {
        let sum = read_pair(simd, &sum[columns]);
        let (first, second) = (simd.sub(sum[0], center), simd.sub(sum[1], center));
        totals = [simd.fma(first, first, totals[0]), simd.fma(second, second, totals[1])];
    });
    simd.sum(simd.add(totals[0], totals[1])) + rest
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn add_layer_norm(
    cpu: &Cpu,
    x: &mut AlignedBuffer,
    residual: Option<&AlignedBuffer>,
    dropout: Option<Dropout>,
    norm: Norm<'_, Cpu>,
    rows: usize,
    width: usize,
    statistics: Option<&mut AlignedBuffer>,
    y: &mut AlignedBuffer,
) {
    if width == 0 {
        return;
    }
    let (weight, bias) = (&norm.weight.as_slice()[..width], &norm.bias.as_slice()[..width]);
    let statistics = statistics.map(|statistics| Shared::of_slice(&mut statistics.as_mut_slice::<f32>()[..2 * rows]));
    for_dtype!(x.dtype(), T => {
        let residual = residual.map(|residual| Matrix::<T>::of(residual, rows, width));
        let (x, y) = (&Shared::<T>::of(x, rows, width), &Shared::<T>::of(y, rows, width));
        for_row_blocks(cpu, rows, width, &|rows| with_scratch_row(width, |sum| {
            // SAFETY: blocks are disjoint, and so are their statistics.
            let statistics = unsafe { statistics.as_ref().map(|all| all.piece(0, 2 * rows.start..2 * rows.end)) };
            let epsilon = norm.epsilon;
            dispatch(cpu.isa, AddLayerNorm { rows, x, residual, dropout, weight, bias, epsilon, statistics, y, sum });
        }));
    });
}
