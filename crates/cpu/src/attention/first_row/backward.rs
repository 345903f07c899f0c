//! The backward pass of attention of a sequence's first row; the formulas are those of [`crate::attention::backward`].

use super::Group;
use crate::attention::forward::{Columns, convert_row};
use crate::attention::product::padded;
use crate::attention::scratch::cut;
use crate::attention::softmax::{self, Statistics};
use crate::matrix::{Matrix, Shared};
use crate::simd::{Kernel, Simd, Storage};
use serin_ops::{AttentionShape, Dropout};
use std::ops::Range;

/// The backward pass of a group of heads.
pub(super) struct Backward<'a, T> {
    pub(super) group: Group,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[sequences, width]`.
    pub(super) d_out: Matrix<'a, T>,
    /// `[sequences, width]`.
    pub(super) q: Matrix<'a, T>,
    /// `[rows, 2 * width]`.
    pub(super) kv: Matrix<'a, T>,
    /// `[sequences, width]`.
    pub(super) out: Matrix<'a, T>,
    /// `[heads, sequences]`.
    pub(super) log_sum_exp: &'a [f32],
    /// `[sequences, width]`; this group's columns of its sequence's row are written.
    pub(super) d_q: &'a Shared<'a, T>,
    /// `[rows, 2 * width]`; this group's columns of its sequence's rows are written.
    pub(super) d_kv: &'a Shared<'a, T>,
    pub(super) memory: &'a mut [f32],
}

/// f32 of working memory that a group needs.
pub(super) fn memory(shape: AttentionShape, group: &Group) -> usize {
    3 * group.span(shape) + 2 * group.heads.len() * padded(group.rows.len())
}

impl<T: Storage> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (head_dim, heads) = (self.shape.head_dim, self.group.heads.len());
        let keys = padded(self.group.rows.len());
        let mut memory = std::mem::take(&mut self.memory);
        let [query, d_out, d_query] = std::array::from_fn(|_| cut(&mut memory, self.group.span(self.shape)));
        let [p, d_s] = std::array::from_fn(|_| cut(&mut memory, heads * keys));

        let (first, sequence) = (self.group.heads.start, self.group.sequence);
        let k = |head: usize| Columns::of(self.kv, self.shape).part(first + head);
        let v = |head: usize| Columns::of(self.kv, self.shape).part(self.shape.heads + first + head);
        for head in 0..heads {
            let own = head * head_dim..(head + 1) * head_dim;
            Columns::of(self.q, self.shape).part(first + head).load_row(simd, sequence, &mut query[own.clone()]);
            Columns::of(self.d_out, self.shape).part(first + head).load_row(simd, sequence, &mut d_out[own]);
        }
        for (index, row) in self.group.rows.clone().enumerate() {
            for head in 0..heads {
                let own = head * head_dim..(head + 1) * head_dim;
                p[head * keys + index] = k(head).dot(simd, row, &query[own.clone()]);
                d_s[head * keys + index] = v(head).dot(simd, row, &d_out[own]);
            }
        }
        for head in 0..heads {
            let own = head * head_dim..(head + 1) * head_dim;
            self.through_softmax(
                simd,
                head,
                &d_out[own],
                &mut p[head * keys..][..keys],
                &mut d_s[head * keys..][..keys],
            );
        }
        d_query.fill(0.0);
        for (index, row) in self.group.rows.clone().enumerate() {
            for head in 0..heads {
                let own: Range<usize> = head * head_dim..(head + 1) * head_dim;
                let (d_s, p) = (d_s[head * keys + index], p[head * keys + index]);
                k(head).add_scaled(simd, row, d_s, &mut d_query[own.clone()]);
                let columns = |part: usize| {
                    let start = (part * self.shape.heads + first + head) * head_dim;
                    start..start + head_dim
                };
                // SAFETY: only this task writes these heads' columns of its sequence's rows.
                unsafe {
                    convert_row(simd, self.d_kv, row, columns(0), d_s, &query[own.clone()]);
                    convert_row(simd, self.d_kv, row, columns(1), p, &d_out[own]);
                }
            }
        }
        // SAFETY: only this task writes these columns of this sequence's row.
        unsafe { convert_row(simd, self.d_q, sequence, self.group.columns(head_dim), 1.0, d_query) };
    }
}

impl<T: Storage> Backward<'_, T> {
    /// Turns scores in `p` into `P ⊙ M` and `dO Vᵀ` in `d_s` into dS. `head` counts from the group's first.
    #[inline(always)]
    fn through_softmax<S: Simd>(&self, simd: S, head: usize, d_out: &[f32], p: &mut [f32], d_s: &mut [f32]) {
        let (sequence, head_dim) = (self.group.sequence, self.shape.head_dim);
        let (head, sequences) = (self.group.heads.start + head, self.log_sum_exp.len() / self.shape.heads);
        let statistics = Statistics {
            scale: 1.0 / (head_dim as f32).sqrt(),
            log_sum_exp: self.log_sum_exp[head * sequences + sequence],
            d: Columns::of(self.out, self.shape).part(head).dot(simd, sequence, d_out),
        };
        let row = self.group.mask_row(self.shape, head);
        let dropout = self.dropout.map(|dropout| (dropout, row));
        softmax::backward(simd, p, d_s, self.group.rows.len(), statistics, dropout);
    }
}
