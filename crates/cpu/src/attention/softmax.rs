//! The softmax of a row of scores and its dropout, in f32.

use super::product::LINE;
use crate::simd::{
    MAX_LANES, Simd, Storage, drop_pair, exp, for_pairs, for_vectors, keep_pair, read, read_pair, write, write_pair,
};
use serin_ops::Dropout;

const _: () = assert!(LINE.is_multiple_of(2 * MAX_LANES), "a line is whole pairs of vectors");

/// Replaces `scores` (whole lines, the first `len` valid) by `exp(scale (score - max))`, 0 from `len` on.
///
/// Returns the sum and `ln Σ exp(scale score)`. NaN is ignored by the maximum and comes out of the exponential.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(simd: S, scores: &mut [f32], len: usize, scale: f32) -> (f32, f32) {
    scores[len..].fill(f32::NEG_INFINITY);
    let mut largest = [simd.splat(f32::NEG_INFINITY); 2];
    for_pairs!(S, scores.len(), columns => {
        let [first, second] = read_pair(simd, &scores[columns]);
        largest = [simd.max(first, largest[0]), simd.max(second, largest[1])];
    });
    let largest = simd.max_lane(simd.max(largest[0], largest[1]));
    let (factor, shift) = (simd.splat(scale), simd.splat(-largest * scale));
    let mut sums = [simd.zero(); 2];
    for_pairs!(S, scores.len(), columns => {
        let scores = &mut scores[columns];
        let [first, second] = read_pair(simd, scores);
        let first = exp(simd, simd.fma(first, factor, shift));
        let second = exp(simd, simd.fma(second, factor, shift));
        sums = [simd.add(sums[0], first), simd.add(sums[1], second)];
        write_pair(simd, scores, [first, second]);
    });
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
    let (scale, shift, d) = (simd.splat(query.scale), simd.splat(-query.log_sum_exp), simd.splat(query.d));
    let key = dropout.map(|(dropout, row)| (dropout.row_key(row), dropout.threshold, simd.splat(dropout.scale)));
    for_pairs!(S, p.len(), columns => {
        let first_key = columns.start as u32;
        let (p, d_s) = (&mut p[columns.clone()], &mut d_s[columns]);
        let [first, second] = read_pair(simd, p);
        let (first, second) = (simd.fma(first, scale, shift), simd.fma(second, scale, shift));
        let probabilities = [exp(simd, first), exp(simd, second)];
        let (mut dropped, mut d_p) = (probabilities, read_pair(simd, d_s));
        if let Some((key, threshold, kept)) = key {
            let keep = keep_pair(simd, key, first_key, threshold);
            dropped = drop_pair(simd, keep, kept, dropped);
            d_p = drop_pair(simd, keep, kept, d_p);
        }
        let first = simd.mul(simd.mul(scale, probabilities[0]), simd.sub(d_p[0], d));
        let second = simd.mul(simd.mul(scale, probabilities[1]), simd.sub(d_p[1], d));
        write_pair(simd, d_s, [first, second]);
        write_pair(simd, p, dropped);
    });
}

/// Multiplies `values` (whole lines) by `factor` times the row `row` of the mask.
#[inline(always)]
pub(super) fn drop<S: Simd>(simd: S, values: &mut [f32], dropout: &Dropout, row: u64, factor: f32) {
    let (key, scale) = (dropout.row_key(row), simd.splat(dropout.scale * factor));
    for_pairs!(S, values.len(), columns => {
        let keep = keep_pair(simd, key, columns.start as u32, dropout.threshold);
        let values = &mut values[columns];
        write_pair(simd, values, drop_pair(simd, keep, scale, read_pair(simd, values)));
    });
}

/// `Σ a b` over slices of one length, in an order that the length alone decides.
#[inline(always)]
pub(super) fn dot<S: Simd, T: Storage>(simd: S, a: &[f32], b: &[T]) -> f32 {
    let mut sums = [simd.zero(); 2];
    for_pairs!(S, a.len(), columns => {
        let (a, b) = (read_pair(simd, &a[columns.clone()]), read_pair(simd, &b[columns]));
        sums = [simd.fma(a[0], b[0], sums[0]), simd.fma(a[1], b[1], sums[1])];
    });
    simd.sum(simd.add(sums[0], sums[1]))
}

/// `sum += factor * values`, of one length.
#[inline(always)]
pub(super) fn add_scaled<S: Simd, T: Storage>(simd: S, sum: &mut [f32], factor: f32, values: &[T]) {
    let factor = simd.splat(factor);
    for_vectors!(S, sum.len(), columns => {
        let (sum, values) = (&mut sum[columns.clone()], &values[columns]);
        write(simd, sum, simd.fma(factor, read(simd, values), read(simd, sum)));
    });
}

/// `to = factor * values`, of one length, in another storage type.
#[inline(always)]
pub(super) fn convert<S: Simd, T: Storage, U: Storage>(simd: S, to: &mut [T], factor: f32, values: &[U]) {
    let factor = simd.splat(factor);
    for_vectors!(S, to.len(), columns => {
        let (to, values) = (&mut to[columns.clone()], &values[columns]);
        write(simd, to, simd.mul(factor, read(simd, values)));
    });
}
