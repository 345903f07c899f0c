//! The softmax of 32 queries, block of keys by block of keys, and its dropout.

use super::super::vectors::{Draws, load, pairs, power_of_two, write};
use super::{BLOCK, CHUNK, Forward, PANEL};
use crate::gemm::tiles::TILE;
use half::bf16;
use std::arch::x86_64::*;
use std::f32::consts::{LN_2, LOG2_E};

/// The state of 32 queries, a lane each.
pub(super) struct Softmax {
    keys: usize,
    /// `1/√head_dim`.
    scale: f32,
    largest: [__m512; 2],
    /// `score * factor + shift` is the base-2 logarithm of a probability, but for normalisation.
    factor: __m512,
    shift: [__m512; 2],
    draws: Option<Draws>,
    /// What kept probabilities are multiplied by.
    kept_scale: f32,
    /// Of exponentials, undropped, over the even and the odd keys.
    sums: [[__m512; 2]; 2],
}

impl Softmax {
    /// Of the queries from `start` on with all their scores.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn begin(head: &Forward<'_>, start: usize, scores: &[[f32; BLOCK]]) -> Softmax {
        let scale = 1.0 / (head.shape.head_dim as f32).sqrt();
        let largest = largest(scores, head.head.len);
        let mask_row = head.head.mask_row(head.shape.heads) + start as u64;
        let draws = head.dropout.map(|dropout| {
            let keys = std::array::from_fn(|query| dropout.row_key(mask_row + query as u64));
            Draws::new(&dropout, &keys)
        });
        Softmax {
            keys: head.head.len,
            scale,
            largest,
            factor: _mm512_set1_ps(scale * LOG2_E),
            shift: largest.map(|largest| _mm512_mul_ps(largest, _mm512_set1_ps(-scale * LOG2_E))),
            draws,
            kept_scale: head.dropout.map_or(1.0, |dropout| dropout.scale),
            sums: [[_mm512_setzero_ps(); 2]; 2],
        }
    }

    /// The dropped exponentials of block `index` of the keys as a chunk of a right panel, zeros beyond the last key.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    pub(super) fn exponentials(&mut self, index: usize, scores: &[f32; BLOCK], chunk: &mut [bf16]) {
        let rows = PANEL.min(self.keys - index * PANEL);
        for half in 0..2 {
            let (shift, tile) = (self.shift[half], &mut chunk[half * CHUNK / 2..][..CHUNK / 2]);
            let mut sums = [self.sums[0][half], self.sums[1][half]];
            for (pair, to) in tile.chunks_exact_mut(PANEL).take(rows.div_ceil(2)).enumerate() {
                let second_lanes = if 2 * pair + 1 < rows { !0 } else { 0 };
                let exponents =
                    [0, 1].map(|row| _mm512_fmadd_ps(load(scores, 2 * pair + row, half), self.factor, shift));
                let first = power_of_two(exponents[0], !0);
                let second = power_of_two(exponents[1], second_lanes);
                sums = [_mm512_add_ps(sums[0], first), _mm512_add_ps(sums[1], second)];
                let keep = match &self.draws {
                    Some(draws) => draws.keep_interleaved(half, index * TILE + pair),
                    None => !0,
                };
                write(to, pairs(first, second, keep));
            }
            [self.sums[0][half], self.sums[1][half]] = sums;
            tile[rows.div_ceil(2) * PANEL..].fill(bf16::ZERO);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sums(&self) -> [__m512; 2] {
        [_mm512_add_ps(self.sums[0][0], self.sums[1][0]), _mm512_add_ps(self.sums[0][1], self.sums[1][1])]
    }

    /// What each query's output must be multiplied by.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn factors(&self) -> [__m512; 2] {
        self.sums().map(|sums| _mm512_div_ps(_mm512_set1_ps(self.kept_scale), sums))
    }

    /// Saves the log-sum-exp of the first queries.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn save(&self, saved: &mut [f32]) {
        let sums = self.sums();
        for half in 0..2 {
            let (largest, sums) = (lanes(self.largest[half]), lanes(sums[half]));
            for (query, saved) in saved.iter_mut().skip(half * TILE).take(TILE).enumerate() {
                *saved = largest[query] * self.scale + sums[query].log2() * LN_2;
            }
        }
    }
}

fn lanes(vector: __m512) -> [f32; TILE] {
    // SAFETY: both are 64 plain bytes.
    unsafe { std::mem::transmute(vector) }
}

/// Each query's largest score over the first `keys`; NaN is ignored and comes out of the exponential.
#[inline]
#[target_feature(enable = "avx512f")]
fn largest(scores: &[[f32; BLOCK]], keys: usize) -> [__m512; 2] {
    let mut largest = [[_mm512_set1_ps(f32::NEG_INFINITY); 2]; 4];
    for (index, block) in scores.iter().enumerate() {
        let rows = PANEL.min(keys - index * PANEL);
        for row in 0..rows {
            for (half, largest) in largest[row % 4].iter_mut().enumerate() {
                *largest = _mm512_max_ps(load(block, row, half), *largest);
            }
        }
    }
    let [a, b, c, d] = largest;
    [0, 1].map(|half| _mm512_max_ps(_mm512_max_ps(a[half], b[half]), _mm512_max_ps(c[half], d[half])))
}
