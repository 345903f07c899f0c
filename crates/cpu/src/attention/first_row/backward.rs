//! The backward pass of attention of a sequence's first row; the formulas are those of [`crate::attention::backward`].

use super::{Group, line};
use crate::attention::compile::{Arithmetic, Kernel};
use crate::attention::heads::Shared;
use crate::attention::product::padded;
use crate::attention::scratch::cut;
use crate::attention::softmax::{dot, drop, probabilities};
use crate::attention::storage::Storage;
use serin_ops::{AttentionShape, Dropout};

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
    6 * line(shape, group) + 2 * group.heads.len() * padded(group.rows.len())
}

impl<T: Storage> Kernel for Backward<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let (width, head_dim) = (self.shape.width(), self.shape.head_dim);
        let (columns, rows) = (self.group.columns(head_dim), self.group.rows.clone());
        let (span, keys) = (columns.len(), padded(rows.len()));
        let mut memory = std::mem::take(&mut self.memory);
        let [query, d_out, d_query, first, second, third] =
            std::array::from_fn(|_| &mut cut(&mut memory, line(self.shape, &self.group))[..span]);
        let p = cut(&mut memory, self.group.heads.len() * keys);
        let d_s = cut(&mut memory, self.group.heads.len() * keys);

        let own = self.group.sequence * width..(self.group.sequence + 1) * width;
        T::widen(&self.q[own.clone()][columns.clone()], query);
        T::widen(&self.d_out[own.clone()][columns.clone()], d_out);
        for (index, row) in rows.clone().enumerate() {
            let kv = &self.kv[row * 2 * width..][..2 * width];
            T::widen(&kv[columns.clone()], first);
            T::widen(&kv[width..][columns.clone()], second);
            for head in 0..self.group.heads.len() {
                let own = head * head_dim..(head + 1) * head_dim;
                p[head * keys + index] = dot::<A>(&query[own.clone()], &first[own.clone()]);
                d_s[head * keys + index] = dot::<A>(&d_out[own.clone()], &second[own]);
            }
        }
        T::widen(&self.out[own][columns.clone()], first);
        for head in 0..self.group.heads.len() {
            let own = head * head_dim..(head + 1) * head_dim;
            let d = dot::<A>(&d_out[own.clone()], &first[own]);
            self.through_softmax::<A>(head, d, &mut p[head * keys..][..keys], &mut d_s[head * keys..][..keys]);
        }
        d_query.fill(0.0);
        for (index, row) in rows.enumerate() {
            T::widen(&self.kv[row * 2 * width..][columns.clone()], first);
            for head in 0..self.group.heads.len() {
                let (d_s, p) = (d_s[head * keys + index], p[head * keys + index]);
                for column in head * head_dim..(head + 1) * head_dim {
                    d_query[column] = A::multiply_add(d_s, first[column], d_query[column]);
                    second[column] = d_s * query[column];
                    third[column] = p * d_out[column];
                }
            }
            let value_columns = width + columns.start..width + columns.end;
            // SAFETY: only this task writes these columns of its sequence's rows.
            T::narrow(second, unsafe { self.d_kv.part(row, columns.clone()) });
            // SAFETY: as above.
            T::narrow(third, unsafe { self.d_kv.part(row, value_columns) });
        }
        // SAFETY: only this task writes these columns of this sequence's row.
        T::narrow(d_query, unsafe { self.d_q.part(self.group.sequence, columns) });
    }
}

impl<T: Storage> Backward<'_, T> {
    /// Turns scores in `p` into `P ⊙ M` and `dO Vᵀ` in `d_s` into dS. `head` counts from the group's first.
    #[inline(always)]
    fn through_softmax<A: Arithmetic>(&self, head: usize, d: f32, p: &mut [f32], d_s: &mut [f32]) {
        let head = self.group.heads.start + head;
        let sequences = self.d_out.len() / self.shape.width();
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let log_sum_exp = self.log_sum_exp[head * sequences + self.group.sequence];
        probabilities::<A>(p, self.group.rows.len(), scale, log_sum_exp);
        let mask_row = self.group.mask_row(self.shape, head);
        let kept_scale = self.dropout.map_or(1.0, |dropout| dropout.scale);
        if let Some(dropout) = &self.dropout {
            drop(d_s, dropout, mask_row);
        }
        for (d_s, p) in d_s.iter_mut().zip(&*p) {
            *d_s = scale * *p * A::multiply_add(kept_scale, *d_s, -d);
        }
        if let Some(dropout) = &self.dropout {
            drop(p, dropout, mask_row);
            p.iter_mut().for_each(|p| *p *= kept_scale);
        }
    }
}
