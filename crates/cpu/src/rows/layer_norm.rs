//! Residual, dropout and layer norm in one pass over a row.

pub(crate) use super::layer_norm_backward::add_layer_norm_backward;

use super::split::{Parts, for_row_blocks, with_scratch_row};
use crate::Cpu;
use crate::simd::{Kernel, Simd, Storage, dispatch, drop_pair, for_dtype, keep_pair, read, write};
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
                for (sum, x) in self.sum.chunks(S::LANES).zip(x.chunks_mut(S::LANES)) {
                    write(simd, x, read(simd, sum));
                }
            }
        }
    }
}

/// `sum = x + residual`; returns its total.
#[inline(always)]
fn add<S: Simd, T: Storage>(simd: S, x: &[T], residual: Option<&[T]>, sum: &mut [f32]) -> f32 {
    let mut totals = [simd.zero(); 2];
    for (chunk, sum) in sum.chunks_mut(S::LANES).enumerate() {
        let columns = chunk * S::LANES..chunk * S::LANES + sum.len();
        let mut value = read(simd, &x[columns.clone()]);
        if let Some(residual) = residual {
            value = simd.add(value, read(simd, &residual[columns]));
        }
        totals[chunk % 2] = simd.add(totals[chunk % 2], value);
        write(simd, sum, value);
    }
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
    for (pair, sum) in sum.chunks_mut(2 * S::LANES).enumerate() {
        let start = pair * 2 * S::LANES;
        let middle = start + sum.len().min(S::LANES);
        let halves = [start..middle, middle..start + sum.len()];
        let keep = keep_pair(simd, key, start as u32, dropout.threshold);
        let values = [read(simd, &x[halves[0].clone()]), read(simd, &x[halves[1].clone()])];
        let mut values = drop_pair(simd, keep, scale, values);
        if let Some(residual) = residual {
            values[0] = simd.add(values[0], read(simd, &residual[halves[0].clone()]));
            values[1] = simd.add(values[1], read(simd, &residual[halves[1].clone()]));
        }
        totals = [simd.add(totals[0], values[0]), simd.add(totals[1], values[1])];
        let (first, second) = sum.split_at_mut(middle - start);
        write(simd, first, values[0]);
        write(simd, second, values[1]);
    }
    simd.sum(simd.add(totals[0], totals[1]))
}

/// `Σ (sum - mean)²`.
#[inline(always)]
fn squared_deviations<S: Simd>(simd: S, sum: &[f32], mean: f32) -> f32 {
    let center = simd.splat(mean);
    let mut totals = [simd.zero(); 2];
    let mut chunks = sum.chunks_exact(S::LANES);
    for (chunk, sum) in chunks.by_ref().enumerate() {
        let deviation = simd.sub(read(simd, sum), center);
        totals[chunk % 2] = simd.fma(deviation, deviation, totals[chunk % 2]);
    }
    // Absent lanes would count as deviations of 0 - mean.
    let rest: f32 = chunks.remainder().iter().map(|&sum| (sum - mean) * (sum - mean)).sum();
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
    for (chunk, y) in y.chunks_mut(S::LANES).enumerate() {
        let columns = chunk * S::LANES..chunk * S::LANES + y.len();
        let normal = simd.mul(simd.sub(read(simd, &sum[columns.clone()]), mean), inverse);
        let weight = read(simd, &weight[columns.clone()]);
        write(simd, y, simd.fma(normal, weight, read(simd, &bias[columns])));
    }
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
