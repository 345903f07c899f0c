//! The forward pass of attention of a sequence's first row.

use super::{Group, line};
use crate::attention::compile::{Arithmetic, Kernel};
use crate::attention::heads::Shared;
use crate::attention::product::padded;
use crate::attention::scratch::cut;
use crate::attention::softmax::{dot, drop, exponentials};
use crate::attention::storage::Storage;
use serin_ops::{AttentionShape, Dropout};

/// The forward pass of a group of heads.
pub(super) struct Forward<'a, T> {
    pub(super) group: Group,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[sequences, width]`.
    pub(super) q: &'a [T],
    /// `[rows, 2 * width]`.
    pub(super) kv: &'a [T],
    /// `[sequences, width]`; this group's columns of its sequence's row are written.
    pub(super) out: &'a Shared<'a, T>,
    /// `[heads, sequences]`; one element a head is written.
    pub(super) log_sum_exp: Option<&'a Shared<'a, f32>>,
    pub(super) memory: &'a mut [f32],
}

/// f32 of working memory that a group needs.
pub(super) fn memory(shape: AttentionShape, group: &Group) -> usize {
    3 * line(shape, group) + group.heads.len() * padded(group.rows.len())
}

impl<T: Storage> Kernel for Forward<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let (width, head_dim) = (self.shape.width(), self.shape.head_dim);
        let columns = self.group.columns(head_dim);
        let (span, keys) = (columns.len(), padded(self.group.rows.len()));
        let mut memory = std::mem::take(&mut self.memory);
        let query = &mut cut(&mut memory, line(self.shape, &self.group))[..span];
        let row = &mut cut(&mut memory, line(self.shape, &self.group))[..span];
        let output = &mut cut(&mut memory, line(self.shape, &self.group))[..span];
        let scores = cut(&mut memory, self.group.heads.len() * keys);

        T::widen(&self.q[self.group.sequence * width..][columns.clone()], query);
        for (index, kv) in
            self.kv.chunks_exact(2 * width).take(self.group.rows.end).skip(self.group.rows.start).enumerate()
        {
            T::widen(&kv[columns.clone()], row);
            for (head, (q, k)) in query.chunks_exact(head_dim).zip(row.chunks_exact(head_dim)).enumerate() {
                scores[head * keys + index] = dot::<A>(q, k);
            }
        }
        output.fill(0.0);
        if keys > 0 {
            for (head, scores) in scores.chunks_exact_mut(keys).enumerate() {
                self.softmax::<A>(head, scores);
            }
        }
        for (index, kv) in
            self.kv.chunks_exact(2 * width).take(self.group.rows.end).skip(self.group.rows.start).enumerate()
        {
            T::widen(&kv[width..][columns.clone()], row);
            for (head, (sum, v)) in output.chunks_exact_mut(head_dim).zip(row.chunks_exact(head_dim)).enumerate() {
                let probability = scores[head * keys + index];
                for (sum, value) in sum.iter_mut().zip(v) {
                    *sum = A::multiply_add(probability, *value, *sum);
                }
            }
        }
        // SAFETY: only this task writes these columns of this sequence's row.
        T::narrow(output, unsafe { self.out.part(self.group.sequence, columns) });
    }
}

impl<T: Storage> Forward<'_, T> {
    /// Turns scores into dropped probabilities. `head` counts from the group's first.
    #[inline(always)]
    fn softmax<A: Arithmetic>(&self, head: usize, scores: &mut [f32]) {
        let head = self.group.heads.start + head;
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let (sum, log_sum_exp) = exponentials::<A>(scores, self.group.rows.len(), scale);
        if let Some(saved) = self.log_sum_exp {
            let sequence = self.group.sequence;
            // SAFETY: only this task writes this head's statistic of this sequence.
            let slot = unsafe { saved.part(head, sequence..sequence + 1) };
            slot[0] = log_sum_exp;
        }
        let mut factor = 1.0 / sum;
        if let Some(dropout) = &self.dropout {
            drop(scores, dropout, self.group.mask_row(self.shape, head));
            factor *= dropout.scale;
        }
        scores.iter_mut().for_each(|score| *score *= factor);
    }
}
