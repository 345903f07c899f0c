//! One head's rows laid out as panels: on either side of a product, along the head's width or along the sequence.

use super::CHUNK;
use super::vectors::write;
use crate::attention::forward::Columns;
use crate::gemm::pack_pairs::{interleave, transpose};
use crate::gemm::tiles::{PANEL, TILE};
use half::bf16;
use std::arch::x86_64::*;

/// Rows `first..first + rows` of one head, padded with zeros to whole panels.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) columns: Columns<'a, bf16>,
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) head_dim: usize,
}

impl Rows<'_> {
    /// Chunks along the head's width.
    fn wide(self) -> usize {
        self.head_dim / PANEL
    }

    /// Chunks along the sequence.
    fn long(self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// 32 columns of a row, or zeros after the last.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn load(self, row: usize, chunk: usize) -> __m512i {
        if row >= self.rows {
            return _mm512_setzero_si512();
        }
        let values: &[bf16; PANEL] =
            self.columns.piece(self.first + row, chunk * PANEL, PANEL).first_chunk().expect("whole chunks");
        // SAFETY: 64 bytes are there.
        unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
    }

    /// The product of a row with the same row of `other`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn dot(self, other: Rows<'_>, row: usize) -> f32 {
        let mut sums = [_mm512_setzero_ps(); 2];
        for chunk in 0..self.wide() {
            let (a, b) = (self.load(row, chunk), other.load(row, chunk));
            let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            for (sum, [a, b]) in sums.iter_mut().zip([
                [a, b].map(|lanes| _mm512_slli_epi32::<16>(lanes)),
                [a, b].map(|lanes| _mm512_and_si512(lanes, high)),
            ]) {
                *sum = _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), *sum);
            }
        }
        _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
    }

    /// Left panels of the rows, depth along the width.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn left_by_width(self, to: &mut [bf16]) {
        for (index, to) in to.chunks_exact_mut(CHUNK).take(self.long() * self.wide()).enumerate() {
            let (panel, chunk) = (index / self.wide(), index % self.wide());
            for (row, to) in to.chunks_exact_mut(PANEL).enumerate() {
                write(to, self.load(panel * PANEL + row, chunk));
            }
        }
    }

    /// Right panels of the rows, depth along the width.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn right_by_width(self, to: &mut [bf16]) {
        for (index, to) in to.chunks_exact_mut(CHUNK / 2).take(2 * self.long() * self.wide()).enumerate() {
            let (panel, chunk, half) = (index / 2 / self.wide(), index / 2 % self.wide(), index % 2);
            let mut tile = [_mm512_setzero_si512(); TILE];
            for (row, tile) in tile.iter_mut().enumerate() {
                *tile = self.load(panel * PANEL + half * TILE + row, chunk);
            }
            for (to, units) in to.chunks_exact_mut(PANEL).zip(transpose(tile)) {
                write(to, units);
            }
        }
    }

    /// Right panels of the columns, depth along the sequence.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn right_by_length(self, to: &mut [bf16]) {
        for (index, to) in to.chunks_exact_mut(CHUNK).take(self.wide() * self.long()).enumerate() {
            let (first, second) = self.interleaved(index / self.long(), index % self.long());
            let (first_tile, second_tile) = to.split_at_mut(CHUNK / 2);
            for (tile, units) in [(first_tile, first), (second_tile, second)] {
                for (to, units) in tile.chunks_exact_mut(PANEL).zip(units) {
                    write(to, units);
                }
            }
        }
    }

    /// Left panels of the columns, depth along the sequence.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn left_by_length(self, to: &mut [bf16]) {
        for (index, to) in to.chunks_exact_mut(CHUNK).take(self.wide() * self.long()).enumerate() {
            let (first, second) = self.interleaved(index / self.long(), index % self.long());
            let (first_tile, second_tile) = to.split_at_mut(CHUNK / 2);
            for (tile, units) in [(first_tile, first), (second_tile, second)] {
                for (to, row) in tile.chunks_exact_mut(PANEL).zip(transpose(units)) {
                    write(to, row);
                }
            }
        }
    }

    /// Pairs of rows of chunk `long` of the sequence, of the first and the last 16 columns of chunk `wide`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn interleaved(self, wide: usize, long: usize) -> ([__m512i; TILE], [__m512i; TILE]) {
        let mut tiles = ([_mm512_setzero_si512(); TILE], [_mm512_setzero_si512(); TILE]);
        for unit in 0..TILE {
            let row = long * PANEL + 2 * unit;
            [tiles.0[unit], tiles.1[unit]] = interleave(self.load(row, wide), self.load(row + 1, wide));
        }
        tiles
    }
}
