//! The forward pass of one head in pairs of bf16.
//!
//! Queries go in blocks of 32, and for each the keys in blocks of 32, whose scores become probabilities while they are in the
//! L1 cache. That asks for what to subtract from scores before they are known: nothing, where norms bound them, and the
//! largest otherwise, for which they are multiplied twice. A query is a row of its scores, as of its output, so only the keys
//! are transposed. (Vectors beside AMX products gain nothing: while tiles multiply, floating-point instructions of 512 bits
//! have one port of two.)

mod ahead;
mod bound;
mod softmax;

use super::pack::Rows;
use super::vectors::{load, side_by_side, write};
use super::{BLOCK, CHUNK, PANEL, PairKernel, Products, Work, cut_blocks, cut_chunks, words};
use crate::attention::forward::Columns;
use crate::attention::heads::Head;
use crate::matrix::{Matrix, Shared};
use half::bf16;
use serin_ops::{AttentionShape, Dropout};
use softmax::{Largest, Softmax};
use std::arch::x86_64::*;

/// The forward pass of one head.
pub(super) struct Forward<'a> {
    pub(super) head: Head,
    /// How many heads further on this thread's next one probably is.
    pub(super) next: usize,
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
    /// Right panels of the keys, depth along the width.
    k: &'a mut [bf16],
    /// Right panels of the values' columns, depth along the sequence.
    v: &'a mut [bf16],
    /// The left panel of a block of queries, depth along the width.
    q: &'a mut [bf16],
    /// Its scores with two blocks of keys: the unit multiplies the next one early.
    scores: &'a mut [[f32; BLOCK]; 2],
    /// The left panel of its probabilities, depth along the sequence.
    p: &'a mut [bf16],
    /// Its output.
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
        words(2 * long * wide + wide + long, 2 + wide)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn compute<K: PairKernel>(&self, kernel: K, mut memory: &mut [f32]) {
        let [long, wide] = self.blocks();
        let mut panels = Panels {
            k: cut_chunks(&mut memory, long * wide),
            v: cut_chunks(&mut memory, long * wide),
            q: cut_chunks(&mut memory, wide),
            scores: cut_blocks(&mut memory, 2).first_chunk_mut().expect("two blocks"),
            p: cut_chunks(&mut memory, long),
            out: cut_blocks(&mut memory, wide),
        };
        let products = Products::begin(kernel);
        self.rows(1, 0, self.head.len).right_by_width(panels.k);
        self.rows(2, 0, self.head.len).right_by_length(panels.v);
        let longest_key = bound::longest_column(panels.k, wide);
        for start in (0..self.head.len).step_by(PANEL) {
            self.queries(start, &products, &mut panels, longest_key);
        }
    }

    /// Rows of this head's queries (0), keys (1) or values (2).
    fn rows(&self, part: usize, start: usize, rows: usize) -> Rows<'_> {
        let columns = Columns::of(self.qkv, self.shape).part(part * self.shape.heads + self.head.head);
        Rows { columns, first: self.head.first + start, rows, head_dim: self.shape.head_dim }
    }

    /// The output of the queries from `start` on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn queries<K: PairKernel>(&self, start: usize, products: &Products<K>, panels: &mut Panels<'_>, longest_key: f32) {
        let [long, _] = self.blocks();
        let rows = PANEL.min(self.head.len - start);
        self.rows(0, start, rows).left_by_width(panels.q);
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let reference = match bound::holds(scale * longest_key * bound::longest_row(panels.q)) {
            true => [0.0; PANEL],
            false => {
                let mut largest = Largest::new();
                self.for_each_score(products, panels, |block, scores, _| largest.meet(scores, self.keys(block)));
                largest.of_rows()
            }
        };
        let mut softmax = Softmax::begin(self, start, reference);
        self.for_each_score(products, panels, |block, scores, p| {
            (PANEL * block / long..PANEL * (block + 1) / long).for_each(|row| self.fetch_ahead(start + row));
            softmax.exponentials(block, scores, p);
        });
        for (v, out) in panels.v.chunks_exact(long * CHUNK).zip(&mut *panels.out) {
            products.block(panels.p, v, long, out, false);
        }
        let sums = softmax.sums();
        for (row, sum) in sums.into_iter().enumerate().take(rows) {
            let position = self.head.first + start + row;
            self.store(position, row, panels.out, softmax.factor(sum));
            if let Some(saved) = self.log_sum_exp {
                // SAFETY: only this task writes this head's statistics of this sequence's rows.
                let saved = unsafe { saved.piece(self.head.head, position..position + 1) };
                saved[0] = softmax.log_sum_exp(row, sum);
            }
        }
    }

    /// Keys of block `block`.
    fn keys(&self, block: usize) -> usize {
        PANEL.min(self.head.len - block * PANEL)
    }

    /// Calls `with` with each block of keys, its scores and its chunk of the probabilities.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn for_each_score<K: PairKernel>(
        &self,
        products: &Products<K>,
        panels: &mut Panels<'_>,
        mut with: impl FnMut(usize, &[f32; BLOCK], &mut [bf16]),
    ) {
        let [long, wide] = self.blocks();
        let Panels { k, q, scores, p, .. } = panels;
        let multiply = |block: usize, scores: &mut [[f32; BLOCK]; 2]| {
            products.block(q, &k[block * wide * CHUNK..], wide, &mut scores[block % 2], false);
        };
        multiply(0, scores);
        for block in 0..long {
            if block + 1 < long {
                multiply(block + 1, scores);
            }
            with(block, &scores[block % 2], &mut p[block * CHUNK..][..CHUNK]);
        }
    }

    /// Writes a row of the output times a factor.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn store(&self, position: usize, row: usize, out: &[[f32; BLOCK]], factor: f32) {
        for (index, out) in out.iter().enumerate() {
            let first = self.head.head * self.shape.head_dim + index * PANEL;
            let [left, right] = [0, 1].map(|half| _mm512_mul_ps(load(out, row, half), _mm512_set1_ps(factor)));
            // SAFETY: only this task writes this head's columns of this sequence's rows.
            write(unsafe { self.out.piece(position, first..first + PANEL) }, side_by_side(left, right));
        }
    }
}
