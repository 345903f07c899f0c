//! The softmax of 32 queries, block of keys by block of keys, and its dropout.

use super::super::vectors::{RowDraws, load, power_of_two, side_by_side, write};
use super::{BLOCK, Forward, PANEL};
use crate::gemm::tiles::TILE;
use half::bf16;
use std::arch::x86_64::*;
use std::f32::consts::{LN_2, LOG2_E};

/// The state of 32 queries.
pub(super) struct Softmax {
    keys: usize,
    /// `1/√head_dim`.
    scale: f32,
    /// What is subtracted from scores.
    reference: [f32; PANEL],
    /// `score * factor + shift` is the base-2 logarithm of a probability, but for normalisation.
    factor: f32,
    shift: [f32; PANEL],
    draws: Option<RowDraws>,
    /// What kept probabilities are multiplied by.
    kept_scale: f32,
    /// Of exponentials, undropped, over every 16th key.
    sums: [__m512; PANEL],
}

impl Softmax {
    /// Of the queries from `start` on. No score may exceed the reference by so much that its exponential is too large for f32,
    /// nor all of a query's be so far below it that theirs are too small.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn begin(head: &Forward<'_>, start: usize, reference: [f32; PANEL]) -> Softmax {
        let scale = 1.0 / (head.shape.head_dim as f32).sqrt();
        let mask_row = head.head.mask_row(head.shape.heads) + start as u64;
        Softmax {
            keys: head.head.len,
            scale,
            reference,
            factor: scale * LOG2_E,
            shift: reference.map(|reference| -reference * scale * LOG2_E),
            draws: head.dropout.map(|dropout| RowDraws::new(dropout, mask_row)),
            kept_scale: head.dropout.map_or(1.0, |dropout| dropout.scale),
            sums: [_mm512_setzero_ps(); PANEL],
        }
    }

    /// The dropped exponentials of block `index` of the keys as a chunk of a left panel, zeros beyond the last key.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    pub(super) fn exponentials(&mut self, index: usize, scores: &[f32; BLOCK], chunk: &mut [bf16]) {
        let keys = self.keys - index * PANEL;
        match self.draws {
            _ if keys < PANEL => self.last_exponentials(index, keys, scores, chunk),
            None => self.rows(scores, chunk, [!0; 2], |_| !0),
            Some(draws) => {
                let draws = draws.of_keys(index);
                self.rows(scores, chunk, [!0; 2], |row| draws.keep(row));
            }
        }
    }

    /// [`Softmax::exponentials`] of fewer keys.
    #[cold]
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn last_exponentials(&mut self, index: usize, keys: usize, scores: &[f32; BLOCK], chunk: &mut [bf16]) {
        let draws = self.draws;
        let draws = draws.as_ref().map(|draws| draws.of_keys(index));
        let keep = |row| draws.as_ref().map_or(!0, |draws| draws.keep(row));
        self.rows(scores, chunk, first_lanes(keys), keep);
    }

    /// Rows of 32 keys, of which some `exist` and `keep` tells which are kept.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn rows(
        &mut self,
        scores: &[f32; BLOCK],
        chunk: &mut [bf16],
        exist: [__mmask16; 2],
        keep: impl Fn(usize) -> __mmask32,
    ) {
        let factor = _mm512_set1_ps(self.factor);
        for (row, to) in chunk.as_chunks_mut::<PANEL>().0.iter_mut().enumerate().take(PANEL) {
            let shift = _mm512_set1_ps(self.shift[row]);
            let [left, right] =
                [0, 1].map(|half| power_of_two(_mm512_fmadd_ps(load(scores, row, half), factor, shift), exist[half]));
            self.sums[row] = _mm512_add_ps(self.sums[row], _mm512_add_ps(left, right));
            write(to, _mm512_maskz_mov_epi16(keep(row), side_by_side(left, right)));
        }
    }

    /// The sum of each query's exponentials.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn sums(&self) -> [f32; PANEL] {
        self.sums.map(|sums| _mm512_reduce_add_ps(sums))
    }

    /// What a query's output must be multiplied by.
    pub(super) fn factor(&self, sum: f32) -> f32 {
        self.kept_scale / sum
    }

    /// The logarithm of the sum of exponentials of query `row`'s scores.
    pub(super) fn log_sum_exp(&self, row: usize, sum: f32) -> f32 {
        self.reference[row] * self.scale + sum.log2() * LN_2
    }
}

/// Masks of the first `count` of 32 lanes.
fn first_lanes(count: usize) -> [__mmask16; 2] {
    let lanes = (1u64 << count) - 1;
    [lanes as __mmask16, (lanes >> TILE) as __mmask16]
}

/// Each query's largest score so far; NaN is ignored and comes out of the exponential.
pub(super) struct Largest([__m512; PANEL]);

impl Largest {
    /// Before any score.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new() -> Largest {
        Largest([_mm512_set1_ps(f32::NEG_INFINITY); PANEL])
    }

    /// Takes the scores of the first `keys` of a block.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn meet(&mut self, scores: &[f32; BLOCK], keys: usize) {
        let exist = first_lanes(keys);
        for (row, largest) in self.0.iter_mut().enumerate() {
            for (half, exist) in exist.into_iter().enumerate() {
                *largest = _mm512_mask_max_ps(*largest, exist, load(scores, row, half), *largest);
            }
        }
    }

    /// Each query's.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn of_rows(&self) -> [f32; PANEL] {
        self.0.map(|largest| _mm512_reduce_max_ps(largest))
    }
}
