//! The forward pass of attention of a sequence's first row.

use super::Group;
use crate::attention::forward::{Columns, convert_row};
use crate::attention::product::padded;
use crate::attention::scratch::cut;
use crate::attention::softmax::{drop, exponentials};
use crate::matrix::{Matrix, Shared};
use crate::simd::{Kernel, Simd, Storage};
use serin_ops::{AttentionShape, Dropout};

/// The forward pass of a group of heads.
pub(super) struct Forward<'a, T> {
    pub(super) group: Group,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[sequences, width]`.
    pub(super) q: Matrix<'a, T>,
    /// `[rows, 2 * width]`.
    pub(super) kv: Matrix<'a, T>,
    /// `[sequences, width]`; this group's columns of its sequence's row are written.
    pub(super) out: &'a Shared<'a, T>,
    /// `[heads, sequences]`; one element a head is written.
    pub(super) log_sum_exp: Option<&'a Shared<'a, f32>>,
    pub(super) memory: &'a mut [f32],
}

/// f32 of working memory that a group needs.
pub(super) fn memory(shape: AttentionShape, group: &Group) -> usize {
    2 * group.span(shape) + group.heads.len() * padded(group.rows.len())
}

impl<T: Storage> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (heads, head_dim) = (self.group.heads.clone(), self.shape.head_dim);
        let (columns, keys) = (self.group.columns(head_dim), padded(self.group.rows.len()));
        let mut memory = std::mem::take(&mut self.memory);
        let query = cut(&mut memory, self.group.span(self.shape));
        let output = cut(&mut memory, self.group.span(self.shape));
        let scores = memory;

        let (q, kv) = (Columns::of(self.q, self.shape), Columns::of(self.kv, self.shape));
        for (head, query) in heads.clone().zip(query.chunks_exact_mut(head_dim)) {
            q.part(head).load_row(simd, self.group.sequence, query);
        }
        for (index, row) in self.group.rows.clone().enumerate() {
            for (head, query) in query.chunks_exact(head_dim).enumerate() {
                scores[head * keys + index] = kv.part(heads.start + head).dot(simd, row, query);
            }
        }
        for (head, scores) in scores.chunks_exact_mut(keys.max(1)).enumerate() {
            self.softmax(simd, self.group.heads.start + head, scores);
        }
        output.fill(0.0);
        for (index, row) in self.group.rows.clone().enumerate() {
            for (head, sum) in output.chunks_exact_mut(head_dim).enumerate() {
                let v = kv.part(self.shape.heads + heads.start + head);
                v.add_scaled(simd, row, scores[head * keys + index], sum);
            }
        }
        // SAFETY: only this task writes these columns of this sequence's row.
        unsafe { convert_row(simd, self.out, self.group.sequence, columns, 1.0, output) };
    }
}

impl<T: Storage> Forward<'_, T> {
    /// Turns a head's scores into dropped probabilities.
    #[inline(always)]
    fn softmax<S: Simd>(&self, simd: S, head: usize, scores: &mut [f32]) {
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let (sum, log_sum_exp) = exponentials(simd, scores, self.group.rows.len(), scale);
        if let Some(saved) = self.log_sum_exp {
            let sequence = self.group.sequence;
            // SAFETY: only this task writes this head's statistic of this sequence.
            let slot = unsafe { saved.piece(head, sequence..sequence + 1) };
            slot[0] = log_sum_exp;
        }
        match &self.dropout {
            None => scores.iter_mut().for_each(|score| *score /= sum),
            Some(dropout) => drop(simd, scores, dropout, self.group.mask_row(self.shape, head), 1.0 / sum),
        }
    }
}
