//! From scores to the gradient of scores, for a block of 32 keys and all queries.

use super::super::vectors::{Draws, load, pairs, power_of_two, side_by_side, write};
use super::operands::{Operands, Queries};
use super::{BLOCK, Backward, CHUNK, PANEL, PairKernel, Products};
use crate::gemm::tiles::TILE;
use half::bf16;
use std::arch::x86_64::*;
use std::f32::consts::LOG2_E;

/// A block of keys and what it leaves.
pub(super) struct BlockOfKeys<'a> {
    /// Which block of the sequence.
    pub(super) index: usize,
    /// `(P ⊙ M)ᵀ`: a left panel, depth along the queries.
    pub(super) p: &'a mut [bf16],
    /// dSᵀ: likewise.
    pub(super) d_s: &'a mut [bf16],
    /// dS of a group of keys: for each panel of queries a right panel, depth along the keys.
    pub(super) kept: &'a mut [bf16],
    /// Which block of the group.
    pub(super) place: usize,
    /// Blocks of the group.
    pub(super) blocks: usize,
}

impl BlockOfKeys<'_> {
    /// Computes the block. `scores` is working memory: two pairs of Sᵀ and dPᵀ, so that the unit multiplies the next pair
    /// while vectors work on this one.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    pub(super) fn compute<K: PairKernel>(
        self,
        head: &Backward<'_>,
        products: &Products<K>,
        operands: &Operands<'_>,
        scores: &mut [[f32; BLOCK]; 4],
    ) {
        let [long, wide] = head.blocks();
        let rows = PANEL.min(head.head.len - self.index * PANEL);
        let factor = LOG2_E / (head.shape.head_dim as f32).sqrt();
        let panel = wide * CHUNK;
        let multiply = |query: usize, scores: &mut [[f32; BLOCK]; 4]| {
            let (keys, queries) = (self.index * panel, query * panel);
            let [s, d_p] = scores.as_chunks_mut::<2>().0[query % 2].each_mut();
            products.block(&operands.k[keys..], &operands.q[queries..], wide, s, false);
            products.block(&operands.v[keys..], &operands.d_o[queries..], wide, d_p, false);
        };
        multiply(0, scores);
        for (query, queries) in operands.queries.iter().enumerate() {
            if query + 1 < long {
                multiply(query + 1, scores);
            }
            let [s, d_p] = &scores.as_chunks::<2>().0[query % 2];
            let block = BlockOfScores { s, d_p, rows, factor: _mm512_set1_ps(factor), first_pair: self.index * TILE };
            let draws = head.dropout.map(|dropout| Draws::new(&dropout, &queries.mask_keys));
            let kept = (query * self.blocks + self.place) * CHUNK;
            block.differentiate(
                queries,
                draws,
                &mut self.p[query * CHUNK..][..CHUNK],
                &mut self.d_s[query * CHUNK..][..CHUNK],
                &mut self.kept[kept..][..CHUNK],
            );
        }
    }
}

/// 32 keys by 32 queries.
struct BlockOfScores<'a> {
    /// `K Qᵀ`.
    s: &'a [f32; BLOCK],
    /// `V dOᵀ`.
    d_p: &'a [f32; BLOCK],
    /// Keys that exist.
    rows: usize,
    /// From a score to the base-2 logarithm of its exponential.
    factor: __m512,
    /// The number of the first pair of keys in the sequence.
    first_pair: usize,
}

impl BlockOfScores<'_> {
    /// Writes `(P ⊙ M)ᵀ` and dSᵀ as rows, and dS as pairs; pairs beyond the sequence are zeros.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn differentiate(
        &self,
        queries: &Queries,
        draws: Option<Draws>,
        p: &mut [bf16],
        d_s: &mut [bf16],
        kept: &mut [bf16],
    ) {
        // SAFETY: 16 values are there at either place.
        let halves = |of: &[f32; PANEL]| [0, TILE].map(|at| unsafe { _mm512_loadu_ps(of.as_ptr().add(at)) });
        let (shift, d) = (halves(&queries.shift), halves(&queries.d));
        let minus_d = d.map(|d| _mm512_sub_ps(_mm512_setzero_ps(), d));
        for pair in 0..self.rows.div_ceil(2) {
            let second = if 2 * pair + 1 < self.rows { !0 } else { 0 };
            let mut p_rows = [[_mm512_setzero_ps(); 2]; 2];
            let mut d_s_rows = p_rows;
            for half in 0..2 {
                let keep = draws.map_or([!0; 2], |draws| draws.keep(half, self.first_pair + pair));
                for (index, lanes) in [!0, second].into_iter().enumerate() {
                    let row = 2 * pair + index;
                    let exponent = _mm512_fmadd_ps(load(self.s, row, half), self.factor, shift[half]);
                    let p = power_of_two(exponent, lanes);
                    let d_p = load(self.d_p, row, half);
                    let centred = _mm512_mask_sub_ps(minus_d[half], keep[index], d_p, d[half]);
                    d_s_rows[index][half] = _mm512_mul_ps(p, centred);
                    p_rows[index][half] = _mm512_maskz_mov_ps(keep[index], p);
                }
                let [first, second] = d_s_rows;
                write(&mut kept[half * CHUNK / 2 + pair * PANEL..][..PANEL], pairs(first[half], second[half], !0));
            }
            for index in 0..2 {
                let row = (2 * pair + index) * PANEL;
                write(&mut p[row..][..PANEL], side_by_side(p_rows[index][0], p_rows[index][1]));
                write(&mut d_s[row..][..PANEL], side_by_side(d_s_rows[index][0], d_s_rows[index][1]));
            }
        }
        for half in kept.chunks_exact_mut(CHUNK / 2) {
            half[self.rows.div_ceil(2) * PANEL..].fill(bf16::ZERO);
        }
    }
}
