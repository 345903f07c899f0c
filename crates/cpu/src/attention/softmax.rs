//! The softmax of a row of scores and its dropout, in f32.

use super::product::LINE;
use crate::simd::{MAX_LANES, Simd, Storage, drop_pair, exp, keep_pair, read, write};
use serin_ops::Dropout;

const _: () = assert!(LINE.is_multiple_of(2 * MAX_LANES), "a line is whole pairs of vectors");

/// Replaces `scores` (whole lines, the first `len` valid) by `exp(scale (score - max))`, 0 from `len` on.
///
/// Returns the sum and `ln Σ exp(scale score)`. NaN is ignored by the maximum and comes out of the exponential.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(simd: S, scores: &mut [f32], len: usize, scale: f32) -> (f32, f32) {
    scores[len..].fill(f32::NEG_INFINITY);
    let mut largest = [simd.splat(f32::NEG_INFINITY); 2];
    for pair in scores.chunks_exact(2 * S::LANES) {
        for (largest, values) in largest.iter_mut().zip(pair.chunks_exact(S::LANES)) {
            *largest = simd.max(read(simd, values), *largest);
        }
    }
    let largest = simd.max_lane(simd.max(largest[0], largest[1]));
    let (factor, shift) = (simd.splat(scale), simd.splat(-largest * scale));
    let mut sums = [simd.zero(); 2];
    for pair in scores.chunks_exact_mut(2 * S::LANES) {
        for (sum, values) in sums.iter_mut().zip(pair.chunks_exact_mut(S::LANES)) {
            let value = exp(simd, simd.fma(read(simd, values), factor, shift));
            *sum = simd.add(*sum, value);
            write(simd, values, value);
        }
    }
    let sum = simd.sum(simd.add(sums[0], sums[1]));
    (sum, largest * scale + sum.ln())
}

/// A query's statistics in the backward pass.
#[derive(Clone, Copy)]
pub(super) struct Statistics {
    /// `1/√head_dim`.
    pub(super) scale: f32,
    /// As the forward pass saved it.
    pub(super) log_sum_exp: f32,
    /// `Σ dO ⊙ O`.
    pub(super) d: f32,
}

/// Turns a query's scores in `p` into `P ⊙ M`, and `dO Vᵀ` in `d_s` into dS; both whole lines, p 0 from `len` on.
#[inline(always)]
pub(super) fn backward<S: Simd>(
    simd: S,
    p: &mut [f32],
    d_s: &mut [f32],
    len: usize,
    query: Statistics,
    dropout: Option<(Dropout, u64)>,
) {
    p[len..].fill(f32::NEG_INFINITY);
    let [scale, shift, d] = [query.scale, -query.log_sum_exp, query.d].map(|value| simd.splat(value));
    let key = dropout.map(|(dropout, row)| (dropout.row_key(row), dropout.threshold, simd.splat(dropout.scale)));
    let pairs = p.chunks_exact_mut(2 * S::LANES).zip(d_s.chunks_exact_mut(2 * S::LANES));
    for (index, (p, d_s)) in pairs.enumerate() {
        let (p, d_s) = (p.split_at_mut(S::LANES), d_s.split_at_mut(S::LANES));
        let exponents = [simd.fma(read(simd, p.0), scale, shift), simd.fma(read(simd, p.1), scale, shift)];
        let probabilities = [exp(simd, exponents[0]), exp(simd, exponents[1])];
        let (mut dropped, mut d_p) = (probabilities, [read(simd, d_s.0), read(simd, d_s.1)]);
        if let Some((key, threshold, kept)) = key {
            let keep = keep_pair(simd, key, (index * 2 * S::LANES) as u32, threshold);
            dropped = drop_pair(simd, keep, kept, dropped);
            d_p = drop_pair(simd, keep, kept, d_p);
        }
        write(simd, d_s.0, simd.mul(simd.mul(scale, probabilities[0]), simd.sub(d_p[0], d)));
        write(simd, d_s.1, simd.mul(simd.mul(scale, probabilities[1]), simd.sub(d_p[1], d)));
        write(simd, p.0, dropped[0]);
        write(simd, p.1, dropped[1]);
    }
}

/// Multiplies `values` (whole lines) by `factor` times the row `row` of the mask.
#[inline(always)]
pub(super) fn drop<S: Simd>(simd: S, values: &mut [f32], dropout: &Dropout, row: u64, factor: f32) {
    let (key, scale) = (dropout.row_key(row), simd.splat(dropout.scale * factor));
    for (index, pair) in values.chunks_exact_mut(2 * S::LANES).enumerate() {
        let (first, second) = pair.split_at_mut(S::LANES);
        let keep = keep_pair(simd, key, (index * 2 * S::LANES) as u32, dropout.threshold);
        let [a, b] = drop_pair(simd, keep, scale, [read(simd, first), read(simd, second)]);
        write(simd, first, a);
        write(simd, second, b);
    }
}

/// `Σ a b` over slices of one length, in an order that the length alone decides.
#[inline(always)]
pub(super) fn dot<S: Simd, T: Storage>(simd: S, a: &[f32], b: &[T]) -> f32 {
    let mut sums = [simd.zero(); 2];
    for (a, b) in a.chunks(2 * S::LANES).zip(b.chunks(2 * S::LANES)) {
        for ((a, b), sum) in a.chunks(S::LANES).zip(b.chunks(S::LANES)).zip(&mut sums) {
            *sum = simd.fma(read(simd, a), read(simd, b), *sum);
        }
    }
    simd.sum(simd.add(sums[0], sums[1]))
}

/// `sum += factor * values`, of one length.
#[inline(always)]
pub(super) fn add_scaled<S: Simd, T: Storage>(simd: S, sum: &mut [f32], factor: f32, values: &[T]) {
    let factor = simd.splat(factor);
    for (sum, values) in sum.chunks_mut(S::LANES).zip(values.chunks(S::LANES)) {
        let value = simd.fma(factor, read(simd, values), read(simd, sum));
        write(simd, sum, value);
    }
}

/// `to = factor * values`, of one length, in another storage type.
#[inline(always)]
pub(super) fn convert<S: Simd, T: Storage, U: Storage>(simd: S, to: &mut [T], factor: f32, values: &[U]) {
    let factor = simd.splat(factor);
    for (to, values) in to.chunks_mut(S::LANES).zip(values.chunks(S::LANES)) {
        write(simd, to, simd.mul(factor, read(simd, values)));
    }
}
