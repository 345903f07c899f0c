//! The backward pass of attention of a sequence's first row; the formulas are those of [`crate::attention::backward`].

use super::Group;
use crate::attention::heads::Shared;
use crate::attention::product::padded;
use crate::attention::scratch::cut;
use crate::attention::softmax::{self, Statistics, add_scaled, convert, dot};
use crate::simd::{Kernel, Simd, Storage};
use serin_ops::{AttentionShape, Dropout};
use std::ops::Range;

/// The backward pass of a group of heads.
pub(super) struct Backward<'a, T> {
    pub(super) group: Group,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[sequences, width]`.
    pub(super) d_out: &'a [T],
    /// `[sequences, width]`.
    pub(super) q: &'a [T],
    /// `[rows, 2 * width]`.
    pub(super) kv: &'a [T],
    /// `[sequences, width]`.
    pub(super) out: &'a [T],
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
        let (width, head_dim, heads) = (self.shape.width(), self.shape.head_dim, self.group.heads.len());
        let (columns, keys) = (self.group.columns(head_dim), padded(self.group.rows.len()));
        let mut memory = std::mem::take(&mut self.memory);
        let [query, d_out, d_query] = std::array::from_fn(|_| cut(&mut memory, self.group.span(self.shape)));
        let [p, d_s] = std::array::from_fn(|_| cut(&mut memory, heads * keys));

        let own = self.group.sequence * width..(self.group.sequence + 1) * width;
        convert(simd, query, 1.0, &self.q[own.clone()][columns.clone()]);
        convert(simd, d_out, 1.0, &self.d_out[own][columns.clone()]);
        for (index, row) in self.group.rows.clone().enumerate() {
            let (k, v) = self.kv[row * 2 * width..][..2 * width].split_at(width);
            let (k, v) = (&k[columns.clone()], &v[columns.clone()]);
            for head in 0..heads {
                let own = head * head_dim..(head + 1) * head_dim;
                p[head * keys + index] = dot(simd, &query[own.clone()], &k[own.clone()]);
                d_s[head * keys + index] = dot(simd, &d_out[own.clone()], &v[own]);
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
            let k = &self.kv[row * 2 * width..][columns.clone()];
            // SAFETY: only this task writes these columns of its sequence's rows; the two parts are disjoint.
            let d_k = unsafe { self.d_kv.part(row, columns.clone()) };
            // SAFETY: as above.
            let d_v = unsafe { self.d_kv.part(row, width + columns.start..width + columns.end) };
            for head in 0..heads {
                let own: Range<usize> = head * head_dim..(head + 1) * head_dim;
                let (d_s, p) = (d_s[head * keys + index], p[head * keys + index]);
                add_scaled(simd, &mut d_query[own.clone()], d_s, &k[own.clone()]);
                convert(simd, &mut d_k[own.clone()], d_s, &query[own.clone()]);
                convert(simd, &mut d_v[own.clone()], p, &d_out[own]);
            }
        }
        // SAFETY: only this task writes these columns of this sequence's row.
        convert(simd, unsafe { self.d_q.part(self.group.sequence, columns) }, 1.0, d_query);
    }
}

impl<T: Storage> Backward<'_, T> {
    /// Turns scores in `p` into `P ⊙ M` and `dO Vᵀ` in `d_s` into dS. `head` counts from the group's first.
    #[inline(always)]
    fn through_softmax<S: Simd>(&self, simd: S, head: usize, d_out: &[f32], p: &mut [f32], d_s: &mut [f32]) {
        let (width, head_dim) = (self.shape.width(), self.shape.head_dim);
        let (head, sequences) = (self.group.heads.start + head, self.d_out.len() / width);
        let out = &self.out[self.group.sequence * width + head * head_dim..][..head_dim];
        let statistics = Statistics {
            scale: 1.0 / (head_dim as f32).sqrt(),
            log_sum_exp: self.log_sum_exp[head * sequences + self.group.sequence],
            d: dot(simd, d_out, out),
        };
        let row = self.group.mask_row(self.shape, head);
        let dropout = self.dropout.map(|dropout| (dropout, row));
        softmax::backward(simd, p, d_s, self.group.rows.len(), statistics, dropout);
    }
}
