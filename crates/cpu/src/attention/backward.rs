//! The backward pass of attention of one head in f32 vectors, for any storage type and head width.
//!
//! FlashAttention-2 (Dao 2023, appendix B): with `P = exp(scale S - log_sum_exp)`, mask M (0 or the dropout's scale) and
//! `D = rowsum(dO ⊙ O)`: `dV = (P ⊙ M)ᵀ dO`, `dS = scale P ⊙ (M ⊙ dO Vᵀ - D)`, `dQ = dS K`, `dK = dSᵀ Q`.

use super::forward::{Columns, QUERIES, convert_row};
use super::heads::Head;
use super::product::{Left, multiply, padded};
use super::scratch::cut;
use super::softmax::{self, Statistics};
use crate::matrix::{Matrix, Shared};
use crate::simd::{Kernel, Simd, Storage};
use serin_ops::{AttentionShape, Dropout};

/// The backward pass of one head.
pub(super) struct Backward<'a, T> {
    pub(super) head: Head,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[rows, width]`.
    pub(super) d_out: Matrix<'a, T>,
    /// `[rows, 3 * width]`.
    pub(super) qkv: Matrix<'a, T>,
    /// `[rows, width]`.
    pub(super) out: Matrix<'a, T>,
    /// This head's statistics of its sequence, `[len]`.
    pub(super) log_sum_exp: &'a [f32],
    /// `[rows, 3 * width]`; this head's columns of its sequence's rows are written.
    pub(super) d_qkv: &'a Shared<'a, T>,
    pub(super) memory: &'a mut [f32],
}

/// f32 of working memory that a head of a sequence of `len` needs.
pub(super) fn memory(shape: AttentionShape, len: usize) -> usize {
    let (keys, lanes) = (padded(len), padded(shape.head_dim));
    2 * shape.head_dim * keys + 3 * len * lanes + QUERIES * (3 * lanes + 2 * keys)
}

impl<T: Storage> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Head { head, first, len, .. } = self.head;
        let AttentionShape { heads, head_dim } = self.shape;
        let (keys, lanes) = (padded(len), padded(head_dim));
        let mut memory = std::mem::take(&mut self.memory);
        let k_transposed = cut(&mut memory, head_dim * keys);
        let v_transposed = cut(&mut memory, head_dim * keys);
        let k = cut(&mut memory, len * lanes);
        let d_k = cut(&mut memory, len * lanes);
        let d_v = cut(&mut memory, len * lanes);
        let q = cut(&mut memory, QUERIES * lanes);
        let d_o = cut(&mut memory, QUERIES * lanes);
        let d_q = cut(&mut memory, QUERIES * lanes);
        let p = cut(&mut memory, QUERIES * keys);
        let d_s = cut(&mut memory, QUERIES * keys);

        let qkv = Columns::of(self.qkv, self.shape);
        qkv.part(heads + head).load_transposed(simd, first, len, k_transposed, q);
        qkv.part(2 * heads + head).load_transposed(simd, first, len, v_transposed, q);
        qkv.part(heads + head).load(simd, first, len, k);
        d_k.fill(0.0);
        d_v.fill(0.0);
        for start in (0..len).step_by(QUERIES) {
            let rows = QUERIES.min(len - start);
            qkv.part(head).load(simd, first + start, rows, q);
            Columns::of(self.d_out, self.shape).part(head).load(simd, first + start, rows, d_o);
            multiply(simd, Left::dense(q, lanes), k_transposed, p, [rows, keys, head_dim], false);
            multiply(simd, Left::dense(d_o, lanes), v_transposed, d_s, [rows, keys, head_dim], false);
            for row in 0..rows {
                let (p, d_s) = (&mut p[row * keys..][..keys], &mut d_s[row * keys..][..keys]);
                self.through_softmax(simd, start + row, &d_o[row * lanes..][..head_dim], p, d_s);
            }
            multiply(simd, Left::dense(d_s, keys), k, d_q, [rows, lanes, len], false);
            multiply(simd, Left::transposed(d_s, keys), q, d_k, [len, lanes, rows], true);
            multiply(simd, Left::transposed(p, keys), d_o, d_v, [len, lanes, rows], true);
            self.store(simd, d_q, 0, start, rows);
        }
        self.store(simd, d_k, 1, 0, len);
        self.store(simd, d_v, 2, 0, len);
    }
}

impl<T: Storage> Backward<'_, T> {
    /// Turns a query's scores in `p` into `P ⊙ M`, and `dO Vᵀ` in `d_s` into dS.
    #[inline(always)]
    fn through_softmax<S: Simd>(&self, simd: S, query: usize, d_o: &[f32], p: &mut [f32], d_s: &mut [f32]) {
        let Head { head, first, len, .. } = self.head;
        let query_statistics = Statistics {
            scale: 1.0 / (self.shape.head_dim as f32).sqrt(),
            log_sum_exp: self.log_sum_exp[query],
            d: Columns::of(self.out, self.shape).part(head).dot(simd, first + query, d_o),
        };
        let row = self.head.mask_row(self.shape.heads) + query as u64;
        softmax::backward(simd, p, d_s, len, query_statistics, self.dropout.map(|dropout| (dropout, row)));
    }

    /// Writes rows of this head's gradient of queries (0), keys (1) or values (2).
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, gradient: &[f32], part: usize, start: usize, rows: usize) {
        let AttentionShape { heads, head_dim } = self.shape;
        let column = (part * heads + self.head.head) * head_dim;
        for (row, gradient) in gradient.chunks_exact(padded(head_dim)).take(rows).enumerate() {
            let (row, columns) = (self.head.first + start + row, column..column + head_dim);
            // SAFETY: only this task writes this head's columns of this sequence's rows.
            unsafe { convert_row(simd, self.d_qkv, row, columns, 1.0, gradient) };
        }
    }
}
