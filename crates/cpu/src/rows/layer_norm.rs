//! Residual, dropout and layer norm in one pass over a row.

pub(crate) use super::layer_norm_backward::add_layer_norm_backward;

use super::split::{Parts, for_row_blocks, with_scratch_row};
use crate::Cpu;
use crate::simd::{
    Kernel, Simd, Storage, dispatch, drop_pair, for_dtype, for_vector_pairs, for_vectors, keep_pair, read, write,
};
use serin_ops::{Dropout, Norm};
use serin_tensor::AlignedBuffer;

/// The forward on a block of rows, of which the first is `first_row` of the buffer.
struct AddLayerNorm<'a, T> {
    /// `[rows, width]`; receives the sum where `statistics` are wanted.
    x: &'a mut [T],
    /// `[rows, width]`.
    residual: Option<&'a [T]>,
    dropout: Option<Dropout>,
    first_row: usize,
    /// `[width]` each.
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
    /// `[rows, 2]`.
    statistics: Option<&'a mut [f32]>,
    /// `[rows, width]`.
    y: &'a mut [T],
    /// The sum of a row in full precision, `[width]`.
    sum: &'a mut [f32],
}

impl<T: Storage> Kernel for AddLayerNorm<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = self.sum.len();
        for row in 0..self.x.len() / width {
            let elements = row * width..(row + 1) * width;
            let x = &mut self.x[elements.clone()];
            let residual = self.residual.map(|residual| &residual[elements.clone()]);
            let total = match self.dropout {
                Some(dropout) => {
                    let key = dropout.row_key((self.first_row + row) as u64);
                    add_dropped(simd, x, residual, key, dropout, self.sum)
                }
                None => add(simd, x, residual, self.sum),
            };
            let mean = total / width as f32;
            let variance = squared_deviations(simd, self.sum, mean) / width as f32;
            let inverse = 1.0 / (variance + self.epsilon).sqrt();
            normalize(simd, self.sum, mean, inverse, self.weight, self.bias, &mut self.y[elements]);
            if let Some(statistics) = &mut self.statistics {
                statistics[2 * row..2 * row + 2].copy_from_slice(&[mean, inverse]);
                for_vectors!(S, width, columns => {
                    write(simd, &mut x[columns.clone()], read(simd, &self.sum[columns]));
                });
            }
        }
    }
}

/// `sum = x + residual`; returns its total.
#[inline(always)]
fn add<S: Simd, T: Storage>(simd: S, x: &[T], residual: Option<&[T]>, sum: &mut [f32]) -> f32 {
    let mut totals = [simd.zero(); 2];
    for_vector_pairs!(S, sum.len(), [first, second] => {
        let mut values = [read(simd, &x[first.clone()]), read(simd, &x[second.clone()])];
        if let Some(residual) = residual {
            values[0] = simd.add(values[0], read(simd, &residual[first.clone()]));
            values[1] = simd.add(values[1], read(simd, &residual[second.clone()]));
        }
        totals = [simd.add(totals[0], values[0]), simd.add(totals[1], values[1])];
        write(simd, &mut sum[first], values[0]);
        write(simd, &mut sum[second], values[1]);
    });
    simd.sum(simd.add(totals[0], totals[1]))
}

/// `sum = dropout(x) + residual`; returns its total.
#[inline(always)]
fn add_dropped<S: Simd, T: Storage>(
    simd: S,
    x: &[T],
    residual: Option<&[T]>,
    key: u32,
    dropout: Dropout,
    sum: &mut [f32],
) -> f32 {
    let scale = simd.splat(dropout.scale);
    let mut totals = [simd.zero(); 2];
    for_vector_pairs!(S, sum.len(), [first, second] => {
        let keep = keep_pair(simd, key, first.start as u32, dropout.threshold);
        let values = [read(simd, &x[first.clone()]), read(simd, &x[second.clone()])];
        let mut values = drop_pair(simd, keep, scale, values);
        if let Some(residual) = residual {
            values[0] = simd.add(values[0], read(simd, &residual[first.clone()]));
            values[1] = simd.add(values[1], read(simd, &residual[second.clone()]));
        }
        totals = [simd.add(totals[0], values[0]), simd.add(totals[1], values[1])];
        write(simd, &mut sum[first], values[0]);
        write(simd, &mut sum[second], values[1]);
    });
    simd.sum(simd.add(totals[0], totals[1]))
}

/// `Σ (sum - mean)²`.
#[inline(always)]
fn squared_deviations<S: Simd>(simd: S, sum: &[f32], mean: f32) -> f32 {
    let center = simd.splat(mean);
    // Absent lanes would count as deviations of 0 - mean.
    let whole = sum.len() - sum.len() % S::LANES;
    let rest: f32 = sum[whole..].iter().map(|&sum| (sum - mean) * (sum - mean)).sum();
    let mut totals = [simd.zero(); 2];
    for_vector_pairs!(S, whole, [first, second] => {
        let a = simd.sub(read(simd, &sum[first]), center);
        totals[0] = simd.fma(a, a, totals[0]);
        if !second.is_empty() {
            let b = simd.sub(read(simd, &sum[second]), center);
            totals[1] = simd.fma(b, b, totals[1]);
        }
    });
    simd.sum(simd.add(totals[0], totals[1])) + rest
}

/// `y = γ (sum - mean) inverse + β`.
#[inline(always)]
fn normalize<S: Simd, T: Storage>(
    simd: S,
    sum: &[f32],
    mean: f32,
    inverse: f32,
    weight: &[f32],
    bias: &[f32],
    y: &mut [T],
) {
    let (mean, inverse) = (simd.splat(mean), simd.splat(inverse));
    for_vectors!(S, y.len(), columns => {
        let normal = simd.mul(simd.sub(read(simd, &sum[columns.clone()]), mean), inverse);
        let weight = read(simd, &weight[columns.clone()]);
        let value = simd.fma(normal, weight, read(simd, &bias[columns.clone()]));
        write(simd, &mut y[columns], value);
    });
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
    let statistics = statistics.map(|statistics| Parts::new(&mut statistics.as_mut_slice::<f32>()[..2 * rows]));
    for_dtype!(x.dtype(), T => {
        let residual = residual.map(|residual| &residual.as_slice::<T>()[..rows * width]);
        let x = Parts::new(&mut x.as_mut_slice::<T>()[..rows * width]);
        let y = Parts::new(&mut y.as_mut_slice::<T>()[..rows * width]);
        for_row_blocks(cpu, rows, width, &|block| with_scratch_row(width, |sum| {
            let elements = block.start * width..block.end * width;
            // SAFETY: blocks are disjoint, and so are their elements and statistics.
            let (x, y, statistics) = unsafe {
                let statistics = statistics.as_ref().map(|all| all.part(2 * block.start..2 * block.end));
                (x.part(elements.clone()), y.part(elements.clone()), statistics)
            };
            let residual = residual.map(|residual| &residual[elements]);
            let (first_row, epsilon) = (block.start, norm.epsilon);
            dispatch(cpu.isa, AddLayerNorm {
                x, residual, dropout, first_row, weight, bias, epsilon, statistics, y, sum,
            });
        }));
    });
}
