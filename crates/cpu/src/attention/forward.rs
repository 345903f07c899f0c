//! Attention of one head in f32 vectors, for any storage type and head width.

use super::compile::{Arithmetic, Kernel};
use super::heads::{Head, Shared};
use super::product::{LINE, Left, multiply, padded};
use super::scratch::cut;
use super::softmax::{drop, exponentials};
use super::storage::Storage;
use serin_ops::{AttentionShape, Dropout};

/// Queries handled together.
pub(super) const QUERIES: usize = 24;

/// The forward pass of one head.
pub(super) struct Forward<'a, T> {
    pub(super) head: Head,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[rows, 3 * width]`.
    pub(super) qkv: &'a [T],
    /// `[rows, width]`; this head's columns of its sequence's rows are written.
    pub(super) out: &'a Shared<'a, T>,
    /// `[heads, rows]`; this head's part of its row is written.
    pub(super) log_sum_exp: Option<&'a Shared<'a, f32>>,
    pub(super) memory: &'a mut [f32],
}

/// f32 of working memory that a head of a sequence of `len` needs.
pub(super) fn memory(shape: AttentionShape, len: usize) -> usize {
    let (keys, lanes) = (padded(len), padded(shape.head_dim));
    shape.head_dim * keys + len * lanes + QUERIES * (2 * lanes + keys)
}

impl<T: Storage> Kernel for Forward<'_, T> {
    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        let Head { head, first, len, .. } = self.head;
        let AttentionShape { heads, head_dim } = self.shape;
        let (keys, lanes) = (padded(len), padded(head_dim));
        let mut memory = std::mem::take(&mut self.memory);
        let keys_transposed = cut(&mut memory, head_dim * keys);
        let values = cut(&mut memory, len * lanes);
        let queries = cut(&mut memory, QUERIES * lanes);
        let scores = cut(&mut memory, QUERIES * keys);
        let outputs = cut(&mut memory, QUERIES * lanes);

        let qkv = Columns::of_qkv(self.qkv, self.shape);
        qkv.part(heads + head).load_transposed(first, len, keys_transposed, queries);
        qkv.part(2 * heads + head).load(first, len, values);
        for start in (0..len).step_by(QUERIES) {
            let rows = QUERIES.min(len - start);
            qkv.part(head).load(first + start, rows, queries);
            let a = Left { values: queries, row_stride: lanes, inner_stride: 1 };
            multiply::<A>(a, keys_transposed, scores, [rows, keys, head_dim], false);
            let mut factors = [0f32; QUERIES];
            for row in 0..rows {
                factors[row] = self.softmax::<A>(start + row, &mut scores[row * keys..][..keys]);
            }
            let a = Left { values: scores, row_stride: keys, inner_stride: 1 };
            multiply::<A>(a, values, outputs, [rows, lanes, len], false);
            for row in 0..rows {
                let output = &mut outputs[row * lanes..][..head_dim];
                output.iter_mut().for_each(|value| *value *= factors[row]);
                let columns = head * head_dim..(head + 1) * head_dim;
                // SAFETY: only this task writes this head's columns of this sequence's rows.
                T::narrow(output, unsafe { self.out.part(first + start + row, columns) });
            }
        }
    }
}

impl<T: Storage> Forward<'_, T> {
    /// Turns a query's scores into dropped exponentials; returns what the output must be multiplied by.
    #[inline(always)]
    fn softmax<A: Arithmetic>(&self, query: usize, scores: &mut [f32]) -> f32 {
        let Head { head, first, len, .. } = self.head;
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let (sum, log_sum_exp) = exponentials::<A>(scores, len, scale);
        if let Some(saved) = self.log_sum_exp {
            let row = first + query;
            // SAFETY: only this task writes this head's statistics of this sequence's rows.
            let slot = unsafe { saved.part(head, row..row + 1) };
            slot[0] = log_sum_exp;
        }
        let Some(dropout) = &self.dropout else { return 1.0 / sum };
        drop(scores, dropout, self.head.mask_row(self.shape.heads) + query as u64);
        dropout.scale / sum
    }
}

/// Some columns of a row-major matrix.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a, T> {
    values: &'a [T],
    stride: usize,
    first: usize,
    count: usize,
}

impl<'a, T: Storage> Columns<'a, T> {
    /// The first head's columns of `[rows, 3 * width]`.
    pub(super) fn of_qkv(values: &'a [T], shape: AttentionShape) -> Columns<'a, T> {
        Columns { values, stride: 3 * shape.width(), first: 0, count: shape.head_dim }
    }

    /// The first head's columns of `[rows, width]`.
    pub(super) fn of_width(values: &'a [T], shape: AttentionShape) -> Columns<'a, T> {
        Columns { values, stride: shape.width(), first: 0, count: shape.head_dim }
    }

    /// The same number of columns, `index` times as many further on.
    #[inline(always)]
    pub(super) fn part(self, index: usize) -> Columns<'a, T> {
        Columns { first: index * self.count, ..self }
    }

    /// The columns of a row.
    #[inline(always)]
    pub(super) fn row(self, row: usize) -> &'a [T] {
        &self.values[row * self.stride + self.first..][..self.count]
    }

    /// `to[r] = row first + r`, each padded with zeros to whole lines.
    #[inline(always)]
    pub(super) fn load(self, first: usize, rows: usize, to: &mut [f32]) {
        let lanes = padded(self.count);
        for (row, to) in to.chunks_exact_mut(lanes).take(rows).enumerate() {
            T::widen(self.row(first + row), &mut to[..self.count]);
            to[self.count..].fill(0.0);
        }
    }

    /// `to[column][r] = row first + r`, padded with zeros to whole lines; `line` is a row of working memory.
    #[inline(always)]
    pub(super) fn load_transposed(self, first: usize, rows: usize, to: &mut [f32], lines: &mut [f32]) {
        let (lanes, stride) = (padded(self.count), padded(rows));
        for start in (0..stride).step_by(LINE) {
            let valid = LINE.min(rows.saturating_sub(start));
            self.load(first + start, valid, lines);
            for column in 0..self.count {
                let to = &mut to[column * stride + start..][..LINE];
                for (row, to) in to.iter_mut().enumerate() {
                    *to = if row < valid { lines[row * lanes + column] } else { 0.0 };
                }
            }
        }
    }
}
