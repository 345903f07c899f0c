//! What rounding may change in attention of one head of one sequence.
//!
//! Scores, statistics and sums are in f32; probabilities and the gradients of scores may be rounded to the storage type
//! once, for matrix units that multiply nothing wider.

use crate::tolerance::{U, of_sum, size_of_products};
use serin_tensor::DType;

/// A head of a sequence: rows of `dim`.
pub(super) struct Head<'a> {
    pub(super) dtype: DType,
    pub(super) dim: usize,
    pub(super) q: &'a [f64],
    pub(super) k: &'a [f64],
    pub(super) v: &'a [f64],
    /// What a (query, key) probability is multiplied by.
    pub(super) mask: &'a dyn Fn(usize, usize) -> f64,
}

/// Errors of the output and of the log-sum-exp, of the queries.
pub(super) struct Forward {
    pub(super) out: Vec<f64>,
    pub(super) log_sum_exp: Vec<f64>,
}

/// Errors of the gradients.
pub(super) struct Backward {
    pub(super) d_q: Vec<f64>,
    pub(super) d_k: Vec<f64>,
    pub(super) d_v: Vec<f64>,
}

/// A query's probabilities, and what each may be off by relatively.
struct Probabilities {
    values: Vec<f64>,
    log_sum_exp: f64,
    log_error: f64,
    relative: Vec<f64>,
}

impl Head<'_> {
    fn row<'b>(&self, matrix: &'b [f64], row: usize) -> &'b [f64] {
        &matrix[row * self.dim..][..self.dim]
    }

    fn keys(&self) -> usize {
        self.k.len() / self.dim
    }

    fn queries(&self) -> usize {
        self.q.len() / self.dim
    }

    /// The roundoff of a product's operand.
    fn operand(&self) -> f64 {
        self.dtype.unit_roundoff()
    }

    fn probabilities(&self, query: usize) -> Probabilities {
        let (q, scale) = (self.row(self.q, query), 1.0 / (self.dim as f64).sqrt());
        let products = (0..self.keys()).map(|key| (q, self.row(self.k, key)));
        let scores: Vec<f64> = products.clone().map(|(q, k)| scale * dot(q, k)).collect();
        let errors: Vec<f64> = products.map(|(q, k)| of_sum(self.dim) * scale * size_of_products(q, k)).collect();
        let largest = scores.iter().fold(f64::NEG_INFINITY, |largest, score| largest.max(*score));
        let log_sum_exp = largest + scores.iter().map(|score| (score - largest).exp()).sum::<f64>().ln();
        let shares: Vec<f64> = scores.iter().map(|score| (score - log_sum_exp).exp()).collect();
        // To first order an error of the scores moves the log-sum-exp by its mean under the probabilities.
        let mean: f64 = shares.iter().zip(&errors).map(|(p, error)| p * (error + 4.0 * U)).sum();
        let log_error = mean + of_sum(self.keys()) + 4.0 * U * (largest.abs() + log_sum_exp.abs());
        let relative = scores.iter().zip(errors).map(|(score, error)| {
            error + log_error + 4.0 * U * (score.abs() + largest.abs() + log_sum_exp.abs() + 1.0)
        });
        Probabilities { relative: relative.collect(), values: shares, log_sum_exp, log_error }
    }

    pub(super) fn forward(&self) -> Forward {
        let mut errors = Forward { out: vec![0.0; self.q.len()], log_sum_exp: Vec::new() };
        for query in 0..self.queries() {
            let p = self.probabilities(query);
            errors.log_sum_exp.push(p.log_error + 2.0 * U * p.log_sum_exp.abs());
            for key in 0..self.keys() {
                let relative = p.relative[key] + self.operand() + of_sum(self.keys());
                let weight = p.values[key] * (self.mask)(query, key) * relative;
                let out = &mut errors.out[query * self.dim..][..self.dim];
                out.iter_mut().zip(self.row(self.v, key)).for_each(|(error, v)| *error += weight * v.abs());
            }
        }
        errors
    }

    /// For the gradient `d_out` of the queries' outputs; `out` is what the forward pass stored.
    pub(super) fn backward(&self, d_out: &[f64], out: &[f64]) -> Backward {
        let [mut d_q, mut d_k, mut d_v] = [self.q, self.k, self.v].map(|of| vec![0.0; of.len()]);
        let scale = 1.0 / (self.dim as f64).sqrt();
        for query in 0..self.queries() {
            let (p, d_o) = (self.probabilities(query), self.row(d_out, query));
            let (d, d_size) = (dot(d_o, self.row(out, query)), size_of_products(d_o, self.row(out, query)));
            // The stored output is rounded.
            let d_error = (self.operand() + of_sum(self.dim)) * d_size;
            for key in 0..self.keys() {
                let (k, v, mask) = (self.row(self.k, key), self.row(self.v, key), (self.mask)(query, key));
                let (probability, relative) = (p.values[key], p.relative[key]);
                let d_p_error = mask * (of_sum(self.dim) + 2.0 * U) * size_of_products(d_o, v);
                let d_p = mask * dot(d_o, v);
                let d_s = scale * probability * (d_p - d);
                let d_s_error = d_s.abs() * (relative + self.operand() + 4.0 * U)
                    + scale * probability * (1.0 + relative) * (d_error + d_p_error + 2.0 * U * (d_p.abs() + d.abs()));
                let d_v_relative = relative + self.operand() + of_sum(self.queries()) + 2.0 * U;
                for column in 0..self.dim {
                    let (at_query, at_key) = (query * self.dim + column, key * self.dim + column);
                    d_q[at_query] += (d_s_error + of_sum(self.keys()) * d_s.abs()) * k[column].abs();
                    d_k[at_key] += (d_s_error + of_sum(self.queries()) * d_s.abs()) * self.q[at_query].abs();
                    d_v[at_key] += d_v_relative * probability * mask * d_o[column].abs();
                }
            }
        }
        Backward { d_q, d_k, d_v }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
