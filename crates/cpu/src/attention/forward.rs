//! Attention of one head in f32 vectors, for any storage type and head width.

use super::heads::{Head, Shared};
use super::product::{Left, ROWS, multiply, padded};
use super::scratch::cut;
use super::softmax::{convert, drop, exponentials};
use crate::simd::{Kernel, Simd, Storage};
use serin_ops::{AttentionShape, Dropout};

/// Queries handled together.
pub(super) const QUERIES: usize = 4 * ROWS;
/// Rows transposed together.
const TRANSPOSED: usize = 16;
const _: () = assert!(TRANSPOSED <= QUERIES, "a block of queries' memory holds them");

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
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
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
        qkv.part(heads + head).load_transposed(simd, first, len, keys_transposed, queries);
        qkv.part(2 * heads + head).load(simd, first, len, values);
        for start in (0..len).step_by(QUERIES) {
            let rows = QUERIES.min(len - start);
            qkv.part(head).load(simd, first + start, rows, queries);
            multiply(simd, Left::dense(queries, lanes), keys_transposed, scores, [rows, keys, head_dim], false);
            let mut factors = [0f32; QUERIES];
            for row in 0..rows {
                factors[row] = self.softmax(simd, start + row, &mut scores[row * keys..][..keys]);
            }
            multiply(simd, Left::dense(scores, keys), values, outputs, [rows, lanes, len], false);
            for row in 0..rows {
                let output = &outputs[row * lanes..][..head_dim];
                let columns = head * head_dim..(head + 1) * head_dim;
                // SAFETY: only this task writes this head's columns of this sequence's rows.
                let to = unsafe { self.out.part(first + start + row, columns) };
                convert(simd, to, factors[row], output);
            }
        }
    }
}

impl<T: Storage> Forward<'_, T> {
    /// Turns a query's scores into dropped exponentials; returns what the output must be multiplied by.
    #[inline(always)]
    fn softmax<S: Simd>(&self, simd: S, query: usize, scores: &mut [f32]) -> f32 {
        let Head { head, first, len, .. } = self.head;
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let (sum, log_sum_exp) = exponentials(simd, scores, len, scale);
        if let Some(saved) = self.log_sum_exp {
            let row = first + query;
            // SAFETY: only this task writes this head's statistics of this sequence's rows.
            let slot = unsafe { saved.part(head, row..row + 1) };
            slot[0] = log_sum_exp;
        }
        let Some(dropout) = &self.dropout else { return 1.0 / sum };
        drop(simd, scores, dropout, self.head.mask_row(self.shape.heads) + query as u64, 1.0);
        1.0 / sum
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
    pub(super) fn load<S: Simd>(self, simd: S, first: usize, rows: usize, to: &mut [f32]) {
        let lanes = padded(self.count);
        for (row, to) in to.chunks_exact_mut(lanes).take(rows).enumerate() {
            convert(simd, &mut to[..self.count], 1.0, self.row(first + row));
            to[self.count..].fill(0.0);
        }
    }

    /// `to[column][r] = row first + r`, padded with zeros to whole lines; `lines` is working memory of 16 rows.
    #[inline(always)]
    pub(super) fn load_transposed<S: Simd>(
        self,
        simd: S,
        first: usize,
        rows: usize,
        to: &mut [f32],
        lines: &mut [f32],
    ) {
        let (lanes, stride) = (padded(self.count), padded(rows));
        for start in (0..stride).step_by(TRANSPOSED) {
            let valid = TRANSPOSED.min(rows.saturating_sub(start));
            self.load(simd, first + start, valid, lines);
            for column in 0..self.count {
                let to = &mut to[column * stride + start..][..TRANSPOSED];
                for (row, to) in to.iter_mut().enumerate() {
                    *to = if row < valid { lines[row * lanes + column] } else { 0.0 };
                }
            }
        }
    }
}
