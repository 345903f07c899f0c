//! Attention of given query rows over the keys and values of their sequence, forward and backward.

use super::Real;
use crate::{AttentionShape, Dropout, keep};

/// Where a row's part of one head lies: `buffer[row * stride + offset ..][..head_dim]`.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) stride: usize,
    pub(super) offset: usize,
}

impl Layout {
    fn at(self, row: usize, head: usize, shape: AttentionShape) -> usize {
        row * self.stride + self.offset + head * shape.head_dim
    }
}

/// One query of one head: which rows it reads and which mask bits it draws.
pub(super) struct Query {
    /// Row of the query buffer (and of the output).
    pub(super) row: usize,
    /// Rows of keys and values: `first..end`.
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) head: usize,
    /// The row that mask bits are drawn for.
    pub(super) mask_row: u64,
}

/// Calls `each` for every (sequence, head, query).
pub(super) fn each_query(sequences: &[u32], heads: usize, first_only: bool, mut each: impl FnMut(Query)) {
    for (sequence, bounds) in sequences.windows(2).enumerate() {
        let (first, end) = (bounds[0] as usize, bounds[1] as usize);
        let queries = if first_only { (end - first).min(1) } else { end - first };
        for head in 0..heads {
            for query in 0..queries {
                let row = if first_only { sequence } else { first + query };
                let mask_row = (((sequence * heads + head) as u64) << 32) | query as u64;
                each(Query { row, first, end, head, mask_row });
            }
        }
    }
}

/// The buffers of keys and values, and of queries.
pub(super) struct Inputs<'a, T> {
    pub(super) q: &'a [T],
    pub(super) q_layout: Layout,
    pub(super) kv: &'a [T],
    pub(super) k_layout: Layout,
    pub(super) v_layout: Layout,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
}

impl<T: Real> Inputs<'_, T> {
    /// The scaled scores of a query against its keys.
    fn scores(&self, query: &Query) -> Vec<T> {
        let q = self.q_layout.at(query.row, query.head, self.shape);
        let scale = T::of(1.0) / T::of(self.shape.head_dim as f64).sqrt();
        let score = |row| {
            let k = self.k_layout.at(row, query.head, self.shape);
            let mut sum = T::of(0.0);
            for d in 0..self.shape.head_dim {
                sum += self.q[q + d] * self.kv[k + d];
            }
            sum * scale
        };
        (query.first..query.end).map(score).collect()
    }

    /// What the dropout multiplies the probability of the `column`-th key by.
    fn mask(&self, query: &Query, column: usize) -> T {
        match self.dropout {
            None => T::of(1.0),
            Some(dropout) if keep(&dropout, query.mask_row, column as u32) => T::of(f64::from(dropout.scale)),
            Some(_) => T::of(0.0),
        }
    }

    /// Writes the output of a query and returns the log of the sum of the exponentials of its scores.
    pub(super) fn forward(&self, query: &Query, out: &mut [T], out_layout: Layout) -> T {
        let scores = self.scores(query);
        let log_sum_exp = log_sum_exp(&scores);
        let o = out_layout.at(query.row, query.head, self.shape);
        out[o..o + self.shape.head_dim].fill(T::of(0.0));
        for (column, &score) in scores.iter().enumerate() {
            let weight = (score - log_sum_exp).exp() * self.mask(query, column);
            let v = self.v_layout.at(query.first + column, query.head, self.shape);
            for d in 0..self.shape.head_dim {
                out[o + d] += weight * self.kv[v + d];
            }
        }
        log_sum_exp
    }

    /// Writes the gradient of a query and adds to the gradients of its keys and values.
    pub(super) fn backward(&self, query: &Query, d_out: &[T], d_out_layout: Layout, d_q: &mut [T], d_kv: &mut [T]) {
        let width = self.shape.head_dim;
        let scores = self.scores(query);
        let log_sum_exp = log_sum_exp(&scores);
        let g = d_out_layout.at(query.row, query.head, self.shape);
        let q = self.q_layout.at(query.row, query.head, self.shape);
        let scale = T::of(1.0) / T::of(width as f64).sqrt();
        let probability: Vec<T> = scores.iter().map(|&score| (score - log_sum_exp).exp()).collect();
        // dP = mask ⊙ (dO Vᵀ), dS = P ⊙ (dP - Σ P dP).
        let mut d_probability = vec![T::of(0.0); scores.len()];
        let mut inner = T::of(0.0);
        for column in 0..scores.len() {
            let v = self.v_layout.at(query.first + column, query.head, self.shape);
            let mask = self.mask(query, column);
            for d in 0..width {
                d_probability[column] += mask * d_out[g + d] * self.kv[v + d];
                d_kv[v + d] += probability[column] * mask * d_out[g + d];
            }
            inner += probability[column] * d_probability[column];
        }
        d_q[q..q + width].fill(T::of(0.0));
        for column in 0..scores.len() {
            let k = self.k_layout.at(query.first + column, query.head, self.shape);
            let d_score = probability[column] * (d_probability[column] - inner) * scale;
            for d in 0..width {
                d_q[q + d] += d_score * self.kv[k + d];
                d_kv[k + d] += d_score * self.q[q + d];
            }
        }
    }
}

fn log_sum_exp<T: Real>(scores: &[T]) -> T {
    let largest = scores.iter().copied().fold(T::of(f64::NEG_INFINITY), T::max);
    let mut sum = T::of(0.0);
    for &score in scores {
        sum += (score - largest).exp();
    }
    largest + sum.ln()
}
