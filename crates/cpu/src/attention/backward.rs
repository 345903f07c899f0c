//! The backward pass of attention of one head in f32 vectors, for any storage type and head width.
//!
//! FlashAttention-2 (Dao 2023, appendix B): with `P = exp(scale S - log_sum_exp)`, mask M (0 or the dropout's scale) and
//! `D = rowsum(dO ⊙ O)`: `dV = (P ⊙ M)ᵀ dO`, `dS = scale P ⊙ (M ⊙ dO Vᵀ - D)`, `dQ = dS K`, `dK = dSᵀ Q`.

use super::compile::{Arithmetic, Kernel};
use super::forward::{Columns, QUERIES};
use super::heads::{Head, Shared};
use super::product::{LINE, Left, multiply, padded};
use super::scratch::cut;
use super::softmax::{dot, drop, probabilities};
use super::storage::Storage;
use serin_ops::{AttentionShape, Dropout};

/// The backward pass of one head.
pub(super) struct Backward<'a, T> {
    pub(super) head: Head,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[rows, width]`.
    pub(super) d_out: &'a [T],
    /// `[rows, 3 * width]`.
    pub(super) qkv: &'a [T],
    /// `[rows, width]`.
    pub(super) out: &'a [T],
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
    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
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

        let qkv = Columns::of_qkv(self.qkv, self.shape);
        qkv.part(heads + head).load_transposed(first, len, k_transposed, q);
        qkv.part(2 * heads + head).load_transposed(first, len, v_transposed, q);
        qkv.part(heads + head).load(first, len, k);
        d_k.fill(0.0);
        d_v.fill(0.0);
        for start in (0..len).step_by(QUERIES) {
            let rows = QUERIES.min(len - start);
            qkv.part(head).load(first + start, rows, q);
            Columns::of_width(self.d_out, self.shape).part(head).load(first + start, rows, d_o);
            multiply::<A>(dense(q, lanes), k_transposed, p, [rows, keys, head_dim], false);
            multiply::<A>(dense(d_o, lanes), v_transposed, d_s, [rows, keys, head_dim], false);
            for row in 0..rows {
                let (p, d_s) = (&mut p[row * keys..][..keys], &mut d_s[row * keys..][..keys]);
                self.through_softmax::<A>(start + row, &d_o[row * lanes..][..head_dim], p, d_s, d_q);
            }
            multiply::<A>(dense(d_s, keys), k, d_q, [rows, lanes, len], false);
            multiply::<A>(transposed(d_s, keys), q, d_k, [len, lanes, rows], true);
            multiply::<A>(transposed(p, keys), d_o, d_v, [len, lanes, rows], true);
            self.store(d_q, 0, start, rows);
        }
        self.store(d_k, 1, 0, len);
        self.store(d_v, 2, 0, len);
    }
}

fn dense(values: &[f32], row_stride: usize) -> Left<'_> {
    Left { values, row_stride, inner_stride: 1 }
}

fn transposed(values: &[f32], inner_stride: usize) -> Left<'_> {
    Left { values, row_stride: 1, inner_stride }
}

impl<T: Storage> Backward<'_, T> {
    /// Turns a query's scores in `p` into `P ⊙ M`, and `dO Vᵀ` in `d_s` into dS (both but for scale, which `store` gives
    /// or this does); `line` is working memory.
    #[inline(always)]
    fn through_softmax<A: Arithmetic>(
        &self,
        query: usize,
        d_o: &[f32],
        p: &mut [f32],
        d_s: &mut [f32],
        line: &mut [f32],
    ) {
        let Head { head, first, len, .. } = self.head;
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let output = &mut line[..self.shape.head_dim];
        T::widen(Columns::of_width(self.out, self.shape).part(head).row(first + query), output);
        let d = dot::<A>(d_o, output);
        probabilities::<A>(p, len, scale, self.log_sum_exp[query]);
        let mut kept_scale = 1.0;
        if let Some(dropout) = &self.dropout {
            drop(d_s, dropout, self.mask_row(query));
            kept_scale = dropout.scale;
        }
        for (d_s, p) in d_s.iter_mut().zip(&*p) {
            *d_s = scale * *p * A::multiply_add(kept_scale, *d_s, -d);
        }
        if let Some(dropout) = &self.dropout {
            drop(p, dropout, self.mask_row(query));
            p.iter_mut().for_each(|p| *p *= kept_scale);
        }
    }

    fn mask_row(&self, query: usize) -> u64 {
        self.head.mask_row(self.shape.heads) + query as u64
    }

    /// Writes rows of this head's gradient of queries (0), keys (1) or values (2).
    #[inline(always)]
    fn store(&self, gradient: &[f32], part: usize, start: usize, rows: usize) {
        let AttentionShape { heads, head_dim } = self.shape;
        let column = (part * heads + self.head.head) * head_dim;
        for (row, gradient) in gradient.chunks_exact(padded(head_dim)).take(rows).enumerate() {
            // SAFETY: only this task writes this head's columns of this sequence's rows.
            let to = unsafe { self.d_qkv.part(self.head.first + start + row, column..column + head_dim) };
            T::narrow(&gradient[..head_dim], to);
        }
    }
}

const _: () = assert!(QUERIES >= LINE, "load_transposed works on a block of lines");
