//! Attention of one head in f32 vectors, for any storage type and head width.

use super::heads::Head;
use super::product::{Left, ROWS, multiply, padded};
use super::scratch::cut;
use super::softmax::{add_scaled, convert, dot, drop, exponentials};
use crate::matrix::{Matrix, Shared};
use crate::simd::{Kernel, Simd, Storage};
use serin_ops::{AttentionShape, Dropout};
use serin_tensor::BLOCK;
use std::ops::Range;

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
    pub(super) qkv: Matrix<'a, T>,
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

        let qkv = Columns::of(self.qkv, self.shape);
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
                unsafe { convert_row(simd, self.out, first + start + row, columns, factors[row], output) };
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
            let slot = unsafe { saved.piece(head, row..row + 1) };
            slot[0] = log_sum_exp;
        }
        let Some(dropout) = &self.dropout else { return 1.0 / sum };
        drop(simd, scores, dropout, self.head.mask_row(self.shape.heads) + query as u64, 1.0);
        1.0 / sum
    }
}

/// `to[columns] = factor * values` in a row.
///
/// # Safety
/// As [`Shared::piece`], for all of the columns.
#[inline(always)]
pub(super) unsafe fn convert_row<S: Simd, T: Storage>(
    simd: S,
    to: &Shared<'_, T>,
    row: usize,
    columns: Range<usize>,
    factor: f32,
    values: &[f32],
) {
    let start = columns.start;
    for piece in to.order().pieces(columns) {
        let values = &values[piece.start - start..piece.end - start];
        // SAFETY: the caller's.
        convert(simd, unsafe { to.piece(row, piece) }, factor, values);
    }
}

/// Some columns of a matrix.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a, T> {
    matrix: Matrix<'a, T>,
    first: usize,
    count: usize,
}

impl<'a, T: Storage> Columns<'a, T> {
    /// The first head's.
    pub(super) fn of(matrix: Matrix<'a, T>, shape: AttentionShape) -> Columns<'a, T> {
        Columns { matrix, first: 0, count: shape.head_dim }
    }

    /// The same number of columns, `index` times as many further on.
    #[inline(always)]
    pub(super) fn part(self, index: usize) -> Columns<'a, T> {
        Columns { first: index * self.count, ..self }
    }

    /// `count` of the columns of a row, from `first` on, which lie in one piece.
    #[inline(always)]
    pub(super) fn piece(self, row: usize, first: usize, count: usize) -> &'a [T] {
        self.matrix.piece(row, self.first + first..self.first + first + count)
    }

    /// The columns of a row, piece by piece, each with its place among them.
    #[inline(always)]
    fn pieces(self, row: usize) -> impl Iterator<Item = (Range<usize>, &'a [T])> {
        self.matrix.pieces(row, self.first..self.first + self.count)
    }

    /// `Σ columns ⊙ values` of a row, in an order that is the same whatever the order in memory.
    #[inline(always)]
    pub(super) fn dot<S: Simd>(self, simd: S, row: usize, values: &[f32]) -> f32 {
        let (mut sum, mut next) = (0.0, 0);
        while next < self.count {
            let len = (BLOCK - (self.first + next) % BLOCK).min(self.count - next);
            sum += dot(simd, &values[next..next + len], self.piece(row, next, len));
            next += len;
        }
        sum
    }

    /// `sum += factor * columns` of a row.
    #[inline(always)]
    pub(super) fn add_scaled<S: Simd>(self, simd: S, row: usize, factor: f32, sum: &mut [f32]) {
        for (at, columns) in self.pieces(row) {
            add_scaled(simd, &mut sum[at], factor, columns);
        }
    }

    /// `to = columns` of a row.
    #[inline(always)]
    pub(super) fn load_row<S: Simd>(self, simd: S, row: usize, to: &mut [f32]) {
        for (at, columns) in self.pieces(row) {
            convert(simd, &mut to[at], 1.0, columns);
        }
    }

    /// `to[r] = row first + r`, each padded with zeros to whole lines.
    #[inline(always)]
    pub(super) fn load<S: Simd>(self, simd: S, first: usize, rows: usize, to: &mut [f32]) {
        let lanes = padded(self.count);
        for (row, to) in to.chunks_exact_mut(lanes).take(rows).enumerate() {
            self.load_row(simd, first + row, &mut to[..self.count]);
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
