//! The softmax of a row of scores and its dropout, in f32.

use super::compile::Arithmetic;
use super::exponential::power_of_two;
use super::product::LINE;
use serin_ops::{Dropout, draws};
use std::f32::consts::{LN_2, LOG2_E};

/// Replaces `scores` (whole lines, the first `len` valid) by `exp(scale (score - max))`, 0 from `len` on.
///
/// Returns the sum and `ln Σ exp(scale score)`.
#[inline(always)]
pub(super) fn exponentials<A: Arithmetic>(scores: &mut [f32], len: usize, scale: f32) -> (f32, f32) {
    scores[len..].fill(f32::NEG_INFINITY);
    let factor = scale * LOG2_E;
    let largest = largest(scores);
    let shift = -largest * factor;
    let mut sums = [0f32; LINE];
    for line in lines(scores) {
        for (value, sum) in line.iter_mut().zip(&mut sums) {
            *value = power_of_two::<A>(A::multiply_add(*value, factor, shift));
            *sum += *value;
        }
    }
    let sum = tree_sum(sums);
    (sum, largest * scale + sum.log2() * LN_2)
}

/// Replaces `scores` (whole lines, the first `len` valid) by `exp(scale score - log_sum_exp)`, 0 from `len` on.
#[inline(always)]
pub(super) fn probabilities<A: Arithmetic>(scores: &mut [f32], len: usize, scale: f32, log_sum_exp: f32) {
    scores[len..].fill(f32::NEG_INFINITY);
    let shift = -log_sum_exp * LOG2_E;
    for value in scores {
        *value = power_of_two::<A>(A::multiply_add(*value, scale * LOG2_E, shift));
    }
}

/// Sets the dropped columns of the mask's row `row` to 0.
#[inline(always)]
pub(super) fn drop(values: &mut [f32], dropout: &Dropout, row: u64) {
    let key = dropout.row_key(row);
    for (column, value) in values.iter_mut().enumerate() {
        let column = column as u32;
        let draw = (draws(key, column / 2) >> (column % 2 * 16)) & 0xffff;
        *value = if draw < dropout.threshold { 0.0 } else { *value };
    }
}

/// `Σ a b` over slices of one length, in whole lines and a rest.
#[inline(always)]
pub(super) fn dot<A: Arithmetic>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LINE];
    let (a_lines, a_rest) = a.as_chunks::<LINE>();
    let (b_lines, b_rest) = b.as_chunks::<LINE>();
    for (a, b) in a_lines.iter().zip(b_lines) {
        for lane in 0..LINE {
            sums[lane] = A::multiply_add(a[lane], b[lane], sums[lane]);
        }
    }
    for ((a, b), sum) in a_rest.iter().zip(b_rest).zip(&mut sums) {
        *sum = A::multiply_add(*a, *b, *sum);
    }
    tree_sum(sums)
}

/// The largest element; NaN is ignored here and comes out of the exponential.
#[inline(always)]
fn largest(scores: &mut [f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LINE];
    for line in lines(scores) {
        for (value, largest) in line.iter().zip(&mut largest) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
    largest.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn lines(values: &mut [f32]) -> std::slice::IterMut<'_, [f32; LINE]> {
    values.as_chunks_mut::<LINE>().0.iter_mut()
}

/// Halves the lanes four times: a fixed order that vectorises.
#[inline(always)]
fn tree_sum(mut sums: [f32; LINE]) -> f32 {
    let mut half = LINE / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}
