//! The backward pass of one head in pairs of bf16; the formulas are those of [`crate::attention::backward`].
//!
//! Keys go in blocks of 32, whose dK and dV are sums over all queries in one product each. dQ sums over keys, so the
//! blocks leave their dS, in pairs, for a product at the end of a group of keys that bounds the memory. Dropout's scale
//! and the softmax's are applied to the finished gradients: in between `dS = P ⊙ (M ⊙ dO Vᵀ - D / scale)` with M 0 or 1.

mod operands;
mod scores;

use super::vectors::{load, side_by_side, transposed_rows, write};
use super::{BLOCK, CHUNK, PANEL, PairKernel, Products, Work, cut_blocks, cut_chunks, words};
use crate::attention::heads::Head;
use crate::matrix::{Matrix, Shared};
use half::bf16;
use operands::Operands;
use scores::BlockOfKeys;
use serin_ops::{AttentionShape, Dropout};
use std::arch::x86_64::*;

/// Blocks of keys whose dS is kept: 512 keys times 512 queries take 512 KiB.
const GROUP: usize = 16;

/// The backward pass of one head.
pub(super) struct Backward<'a> {
    pub(super) head: Head,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[rows, width]`.
    pub(super) d_out: Matrix<'a, bf16>,
    /// `[rows, 3 * width]`.
    pub(super) qkv: Matrix<'a, bf16>,
    /// `[rows, width]`.
    pub(super) out: Matrix<'a, bf16>,
    /// This head's statistics of its sequence, `[len]`.
    pub(super) log_sum_exp: &'a [f32],
    /// `[rows, 3 * width]`; this head's columns of its sequence's rows are written.
    pub(super) d_qkv: &'a Shared<'a, bf16>,
}

/// The columns of `d_qkv` that a gradient goes to.
#[derive(Clone, Copy)]
enum Part {
    Query,
    Key,
    Value,
}

impl Work for Backward<'_> {
    fn run<K: PairKernel>(self, kernel: K) {
        crate::attention::scratch::with(self.memory(), |memory| {
            // SAFETY: a kernel of pairs exists only where `avx512bf16` and all of AVX-512 named there do.
            unsafe { self.compute(kernel, memory) }
        });
    }
}

impl Backward<'_> {
    /// Blocks of 32 along the sequence and along the head's width.
    fn blocks(&self) -> [usize; 2] {
        [self.head.len.div_ceil(PANEL), self.shape.head_dim / PANEL]
    }

    /// f32 of working memory.
    fn memory(&self) -> usize {
        let [long, wide] = self.blocks();
        operands::memory(long, wide) + words(2 * long + long * long.min(GROUP), 4 + 1 + long * wide)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn compute<K: PairKernel>(&self, kernel: K, mut memory: &mut [f32]) {
        let [long, wide] = self.blocks();
        let operands = Operands::pack(self, &mut memory);
        let p = cut_chunks(&mut memory, long);
        let d_s = cut_chunks(&mut memory, long);
        let kept = cut_chunks(&mut memory, long * long.min(GROUP));
        let scores = cut_blocks(&mut memory, 4).first_chunk_mut().expect("four blocks");
        let gradient = &mut cut_blocks(&mut memory, 1)[0];
        let d_q = cut_blocks(&mut memory, long * wide);

        let products = Products::begin(kernel);
        for first in (0..long).step_by(GROUP) {
            let blocks = GROUP.min(long - first);
            for block in 0..blocks {
                let keys = BlockOfKeys { index: first + block, p, d_s, kept, place: block, blocks };
                keys.compute(self, &products, &operands, scores);
                for index in 0..wide {
                    let along = index * long * CHUNK;
                    products.block(p, &operands.d_o_by_length[along..], long, gradient, false);
                    self.store_rows(Part::Value, first + block, index, gradient);
                    products.block(d_s, &operands.q_by_length[along..], long, gradient, false);
                    self.store_rows(Part::Key, first + block, index, gradient);
                }
            }
            for (index, d_q) in d_q.iter_mut().enumerate() {
                let (queries, index) = (index / wide, index % wide);
                let left = &operands.k_by_length[(index * long + first) * CHUNK..];
                products.block(left, &kept[queries * blocks * CHUNK..], blocks, d_q, first > 0);
            }
        }
        for (index, d_q) in d_q.iter().enumerate() {
            self.store_columns(index / wide, index % wide, d_q);
        }
    }

    /// What finished gradients are multiplied by.
    fn factor(&self, part: Part) -> f32 {
        let kept = self.dropout.map_or(1.0, |dropout| dropout.scale);
        match part {
            Part::Value => kept,
            Part::Query | Part::Key => kept / (self.shape.head_dim as f32).sqrt(),
        }
    }

    /// 32 columns of a row of this head's gradient; `None` beyond the sequence.
    ///
    /// # Safety
    /// As [`Shared::piece`].
    #[inline]
    #[allow(clippy::mut_from_ref)]
    unsafe fn place(&self, part: Part, row: usize, index: usize) -> Option<&mut [bf16]> {
        let AttentionShape { heads, head_dim } = self.shape;
        let column = (part as usize * heads + self.head.head) * head_dim + index * PANEL;
        // SAFETY: the caller's promise; other tasks have other heads' columns or other sequences' rows.
        (row < self.head.len).then(|| unsafe { self.d_qkv.piece(self.head.first + row, column..column + PANEL) })
    }

    /// Stores a block of which rows are rows of the sequence.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn store_rows(&self, part: Part, block: usize, index: usize, gradient: &[f32; BLOCK]) {
        let factor = _mm512_set1_ps(self.factor(part));
        for row in 0..PANEL {
            // SAFETY: the only place held.
            if let Some(to) = unsafe { self.place(part, block * PANEL + row, index) } {
                let [left, right] = [0, 1].map(|half| _mm512_mul_ps(load(gradient, row, half), factor));
                write(to, side_by_side(left, right));
            }
        }
    }

    /// Stores a block of dQ, of which columns are rows of the sequence.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn store_columns(&self, block: usize, index: usize, gradient: &[f32; BLOCK]) {
        let factor = _mm512_set1_ps(self.factor(Part::Query));
        transposed_rows(gradient, [factor; 2], |row, column, values| {
            // SAFETY: the only place held.
            if let Some(to) = unsafe { self.place(Part::Query, block * PANEL + row, index) } {
                to[column..][..values.len()].copy_from_slice(&values);
            }
        });
    }
}
