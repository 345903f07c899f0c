//! The forward pass of one head in pairs of bf16.
//!
//! Queries go in blocks of 32. While vectors turn their scores into probabilities, the unit multiplies the scores of the
//! next queries. (Multiplying the values beside them too, a few blocks of keys at a time, gained nothing.)

mod softmax;

use super::pack::Rows;
use super::vectors::transposed_rows;
use super::{BLOCK, CHUNK, PANEL, PairKernel, Products, Work, cut_blocks, cut_chunks, words};
use crate::attention::forward::Columns;
use crate::attention::heads::Head;
use crate::matrix::{Matrix, Shared};
use half::bf16;
use serin_ops::{AttentionShape, Dropout};
use softmax::Softmax;
use std::arch::x86_64::*;

/// The forward pass of one head.
pub(super) struct Forward<'a> {
    pub(super) head: Head,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[rows, 3 * width]`.
    pub(super) qkv: Matrix<'a, bf16>,
    /// `[rows, width]`; this head's columns of its sequence's rows are written.
    pub(super) out: &'a Shared<'a, bf16>,
    /// `[heads, rows]`; this head's part of its row is written.
    pub(super) log_sum_exp: Option<&'a Shared<'a, f32>>,
}

/// What stays the same from one block of queries to the next, and working memory.
struct Panels<'a> {
    /// Left panels of the keys, depth along the width.
    k: &'a mut [bf16],
    /// Left panels of the values' columns, depth along the sequence.
    v: &'a mut [bf16],
    /// The right panel of a block of queries, depth along the width.
    q: &'a mut [bf16],
    /// The right panel of its probabilities, depth along the sequence.
    p: &'a mut [bf16],
    /// Its output, transposed.
    out: &'a mut [[f32; BLOCK]],
}

impl Work for Forward<'_> {
    fn run<K: PairKernel>(self, kernel: K) {
        crate::attention::scratch::with(self.memory(), |memory| {
            // SAFETY: a kernel of pairs exists only where `avx512bf16` and all of AVX-512 named there do.
            unsafe { self.compute(kernel, memory) }
        });
    }
}

impl Forward<'_> {
    /// Blocks of 32 along the sequence and along the head's width.
    fn blocks(&self) -> [usize; 2] {
        [self.head.len.div_ceil(PANEL), self.shape.head_dim / PANEL]
    }

    /// f32 of working memory.
    fn memory(&self) -> usize {
        let [long, wide] = self.blocks();
        words(2 * long * wide + wide + long, 2 * long + wide)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn compute<K: PairKernel>(&self, kernel: K, mut memory: &mut [f32]) {
        let [long, wide] = self.blocks();
        let mut panels = Panels {
            k: cut_chunks(&mut memory, long * wide),
            v: cut_chunks(&mut memory, long * wide),
            q: cut_chunks(&mut memory, wide),
            p: cut_chunks(&mut memory, long),
            out: cut_blocks(&mut memory, wide),
        };
        let mut scores = cut_blocks(&mut memory, long);
        let mut next_scores = cut_blocks(&mut memory, long);

        let products = Products::begin(kernel);
        self.rows(1, 0, self.head.len).left_by_width(panels.k);
        self.rows(2, 0, self.head.len).left_by_length(panels.v);
        self.rows(0, 0, PANEL.min(self.head.len)).right_by_width(panels.q);
        for (keys, scores) in panels.k.chunks_exact(wide * CHUNK).zip(&mut *scores) {
            products.block(keys, panels.q, wide, scores, false);
        }
        for start in (0..self.head.len).step_by(PANEL) {
            let following = self.head.len.saturating_sub(start + PANEL).min(PANEL);
            if following > 0 {
                self.rows(0, start + PANEL, following).right_by_width(panels.q);
            }
            let next = (following > 0).then_some(&mut *next_scores);
            self.queries(start, &products, &mut panels, scores, next);
            std::mem::swap(&mut scores, &mut next_scores);
        }
    }

    /// Rows of this head's queries (0), keys (1) or values (2).
    fn rows(&self, part: usize, start: usize, rows: usize) -> Rows<'_> {
        let columns = Columns::of(self.qkv, self.shape).part(part * self.shape.heads + self.head.head);
        Rows { columns, first: self.head.first + start, rows, head_dim: self.shape.head_dim }
    }

    /// From scores to output for the queries from `start` on; computes the next queries' scores along the way.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn queries<K: PairKernel>(
        &self,
        start: usize,
        products: &Products<K>,
        panels: &mut Panels<'_>,
        scores: &[[f32; BLOCK]],
        mut next_scores: Option<&mut [[f32; BLOCK]]>,
    ) {
        let [long, wide] = self.blocks();
        let mut softmax = Softmax::begin(self, start, scores);
        for (block, scores) in scores.iter().enumerate() {
            if let Some(next_scores) = &mut next_scores {
                products.block(&panels.k[block * wide * CHUNK..], panels.q, wide, &mut next_scores[block], false);
            }
            softmax.exponentials(block, scores, &mut panels.p[block * CHUNK..][..CHUNK]);
        }
        for (v, out) in panels.v.chunks_exact(long * CHUNK).zip(&mut *panels.out) {
            products.block(v, panels.p, long, out, false);
        }
        let rows = PANEL.min(self.head.len - start);
        if let Some(saved) = self.log_sum_exp {
            let row = self.head.first + start;
            // SAFETY: only this task writes this head's statistics of this sequence's rows.
            softmax.save(unsafe { saved.piece(self.head.head, row..row + rows) });
        }
        self.store(start, rows, panels.out, softmax.factors());
    }

    /// Writes output, each row of it times a factor.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn store(&self, start: usize, rows: usize, out: &[[f32; BLOCK]], factors: [__m512; 2]) {
        for (index, out) in out.iter().enumerate() {
            let first = self.head.head * self.shape.head_dim + index * PANEL;
            transposed_rows(out, factors, |row, column, values| {
                if row < rows {
                    let columns = first + column..first + column + values.len();
                    // SAFETY: only this task writes this head's columns of this sequence's rows.
                    unsafe { self.out.piece(self.head.first + start + row, columns) }.copy_from_slice(&values);
                }
            });
        }
    }
}
