//! `attention` and `first_row_attention` with their backward passes.

use super::attention_bounds::Head;
use super::{Case, DTYPES, dropout};
use crate::numbers::{numbers, rounded, wide};
use crate::op::Op;
use crate::tolerance::stored;
use crate::trial::Trial;
use crate::{Visitor, expect};
use serin_ops::{AttentionShape, Backend, Dropout, DropoutSite, keep};
use serin_tensor::DType;

/// Packed sequences with queries, keys and values.
#[derive(Clone)]
pub(crate) struct Sequences {
    pub(crate) dtype: DType,
    pub(crate) shape: AttentionShape,
    pub(crate) offsets: Vec<u32>,
    pub(crate) dropout: Option<Dropout>,
    /// Of all rows, side by side `[rows, 3 * width]`; or of each sequence's first row, `[sequences, width]`.
    pub(crate) q: Vec<f32>,
    /// The same values as the queries; or keys and values `[rows, 2 * width]`.
    pub(crate) kv: Vec<f32>,
    pub(crate) first_only: bool,
}

impl Sequences {
    pub(crate) fn of(
        dtype: DType,
        shape: AttentionShape,
        lengths: &[usize],
        dropout: bool,
        first_only: bool,
    ) -> Sequences {
        let ends = lengths.iter().scan(0, |end, &length| {
            *end += length as u32;
            Some(*end)
        });
        let offsets: Vec<u32> = std::iter::once(0).chain(ends).collect();
        let (rows, width) = (lengths.iter().sum::<usize>(), shape.width());
        let dropout = dropout::some(0.1, DropoutSite::AttentionProbabilities)
            .filter(|_| dropout)
            .map(|dropout| dropout.starting_at((3 * shape.heads as u64) << 32));
        let (q, kv) = if first_only {
            (numbers(dtype, lengths.len() * width, 1), numbers(dtype, rows * 2 * width, 2))
        } else {
            let qkv = numbers(dtype, rows * 3 * width, 1);
            (qkv.clone(), qkv)
        };
        Sequences { dtype, shape, offsets, dropout, q, kv, first_only }
    }

    pub(crate) fn rows(&self) -> usize {
        self.offsets.last().map_or(0, |&end| end as usize)
    }

    pub(crate) fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Rows of queries and outputs.
    pub(crate) fn queries(&self) -> usize {
        if self.first_only { self.count() } else { self.rows() }
    }

    fn label(&self) -> String {
        let lengths: Vec<String> = self.offsets.windows(2).map(|ends| (ends[1] - ends[0]).to_string()).collect();
        let dropout = if self.dropout.is_some() { " dropout" } else { "" };
        format!(
            "{} {} heads of {}, lengths {}{dropout}",
            self.dtype,
            self.shape.heads,
            self.shape.head_dim,
            lengths.join(" ")
        )
    }

    /// Calls `each` with every head of every sequence that is not empty: its first query's row, its keys' rows, itself.
    fn each_head(&self, mut each: impl FnMut(usize, std::ops::Range<usize>, usize, Head<'_>)) {
        let (width, dim) = (self.shape.width(), self.shape.head_dim);
        let [q_stride, kv_stride, first_key] =
            if self.first_only { [width, 2 * width, 0] } else { [3 * width, 3 * width, width] };
        for (sequence, ends) in self.offsets.windows(2).enumerate() {
            let rows = ends[0] as usize..ends[1] as usize;
            if rows.is_empty() {
                continue;
            }
            let queries = if self.first_only { sequence..sequence + 1 } else { rows.clone() };
            for head in 0..self.shape.heads {
                let columns = |matrix: &[f32], rows: std::ops::Range<usize>, stride: usize, first: usize| -> Vec<f64> {
                    rows.flat_map(|row| wide(&matrix[row * stride + first + head * dim..][..dim])).collect()
                };
                let q = columns(&self.q, queries.clone(), q_stride, 0);
                let k = columns(&self.kv, rows.clone(), kv_stride, first_key);
                let v = columns(&self.kv, rows.clone(), kv_stride, first_key + width);
                let mask = |query: usize, key: usize| {
                    let row = (((sequence * self.shape.heads + head) as u64) << 32) | query as u64;
                    self.dropout.map_or(1.0, |dropout| {
                        if keep(&dropout, row, key as u32) { f64::from(dropout.scale) } else { 0.0 }
                    })
                };
                let problem = Head { dtype: self.dtype, dim, q: &q, k: &k, v: &v, mask: &mask };
                each(queries.start, rows.clone(), head, problem);
            }
        }
    }
}

/// The forward pass; with the log-sum-exp for training.
pub(crate) struct Attention {
    pub(crate) sequences: Sequences,
    pub(crate) training: bool,
}

impl Case for Attention {
    fn op(&self) -> Op {
        if self.sequences.first_only { Op::FirstRowAttention } else { Op::Attention }
    }

    fn label(&self) -> String {
        let training = if self.training { " log_sum_exp" } else { "" };
        format!("{}{training}", self.sequences.label())
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let Sequences { dtype, shape, dropout, .. } = self.sequences;
        let queries = self.sequences.queries();
        let width = shape.width();
        let q_width = if self.sequences.first_only { width } else { 3 * width };
        let q = trial.input_rows(dtype, &self.sequences.q, q_width);
        let sequences = trial.sequences(&self.sequences.offsets);
        let mut out = trial.updated_rows(dtype, &vec![0.0; queries * width], width);
        let mut saved = self.training.then(|| trial.updated(DType::F32, &vec![0.0; queries * shape.heads]));
        if self.sequences.first_only {
            let kv = trial.input_rows(dtype, &self.sequences.kv, 2 * width);
            let saved = saved.as_mut();
            trial.call(|backend| backend.first_row_attention(&q, &kv, &sequences, shape, dropout, saved, &mut out));
        } else {
            let saved = saved.as_mut();
            trial.call(|backend| backend.attention(&q, &sequences, shape, dropout, saved, &mut out));
        }
        trial.keep("out", &out, queries * shape.width());
        if let Some(saved) = &saved {
            trial.keep("log_sum_exp", saved, queries * shape.heads);
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let Sequences { dtype, shape, .. } = self.sequences;
        let mut all: Vec<Vec<f64>> = expected.iter().map(|expected| vec![f64::MIN_POSITIVE; expected.len()]).collect();
        let queries = self.sequences.queries();
        self.sequences.each_head(|first, _, head, problem| {
            let errors = problem.forward();
            for (query, errors) in errors.out.chunks(shape.head_dim).enumerate() {
                for (column, &error) in errors.iter().enumerate() {
                    let at = (first + query) * shape.width() + head * shape.head_dim + column;
                    all[0][at] = stored(dtype, expected[0][at], error);
                }
            }
            if self.training {
                for (query, &error) in errors.log_sum_exp.iter().enumerate() {
                    let at = head * queries + first + query;
                    all[1][at] = stored(DType::F32, expected[1][at], error);
                }
            }
        });
        all
    }
}

/// The backward pass of what [`Attention`] gives.
pub(crate) struct AttentionBackward {
    sequences: Sequences,
    d_out: Vec<f32>,
    out: Vec<f32>,
    log_sum_exp: Vec<f32>,
}

impl AttentionBackward {
    pub(crate) fn of(sequences: Sequences) -> AttentionBackward {
        let dtype = sequences.dtype;
        let forward = expect(&Attention { sequences: sequences.clone(), training: true });
        let narrow = |values: &[f64], dtype| values.iter().map(|&value| rounded(dtype, value as f32)).collect();
        AttentionBackward {
            d_out: numbers(dtype, forward[0].len(), 3),
            out: narrow(&forward[0], dtype),
            log_sum_exp: narrow(&forward[1], DType::F32),
            sequences,
        }
    }
}

impl Case for AttentionBackward {
    fn op(&self) -> Op {
        if self.sequences.first_only { Op::FirstRowAttentionBackward } else { Op::AttentionBackward }
    }

    fn label(&self) -> String {
        self.sequences.label()
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let Sequences { dtype, shape, dropout, .. } = self.sequences;
        let (rows, width) = (self.sequences.rows(), shape.width());
        let [d_out, out] = [&self.d_out, &self.out].map(|values| trial.input_rows(dtype, values, width));
        let q_width = if self.sequences.first_only { width } else { 3 * width };
        let q = trial.input_rows(dtype, &self.sequences.q, q_width);
        let saved = trial.input(DType::F32, &self.log_sum_exp);
        let sequences = trial.sequences(&self.sequences.offsets);
        if self.sequences.first_only {
            let kv = trial.input_rows(dtype, &self.sequences.kv, 2 * width);
            let count = self.sequences.count() * width;
            let mut d_q = trial.updated_rows(dtype, &vec![0.0; count], width);
            let mut d_kv = trial.output_rows(dtype, rows, 2 * width);
            trial.call(|backend| {
                let (d_q, d_kv) = (&mut d_q, &mut d_kv);
                backend
                    .first_row_attention_backward(&d_out, &q, &kv, &out, &saved, &sequences, shape, dropout, d_q, d_kv);
            });
            trial.keep("d_q", &d_q, count);
            trial.keep("d_kv", &d_kv, rows * 2 * width);
        } else {
            let mut d_qkv = trial.output_rows(dtype, rows, 3 * width);
            trial.call(|backend| {
                backend.attention_backward(&d_out, &q, &out, &saved, &sequences, shape, dropout, &mut d_qkv);
            });
            trial.keep("d_qkv", &d_qkv, rows * 3 * width);
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let Sequences { dtype, shape, first_only, .. } = self.sequences;
        let (width, dim) = (shape.width(), shape.head_dim);
        let mut all: Vec<Vec<f64>> = expected.iter().map(|expected| vec![f64::MIN_POSITIVE; expected.len()]).collect();
        self.sequences.each_head(|first, rows, head, problem| {
            let queries = first..first + problem.q.len() / dim;
            let part = |matrix: &[f32]| -> Vec<f64> {
                queries.clone().flat_map(|row| wide(&matrix[row * width + head * dim..][..dim])).collect()
            };
            let errors = problem.backward(&part(&self.d_out), &part(&self.out));
            let mut put = |output: usize, row: usize, stride: usize, column: usize, errors: &[f64]| {
                for (index, &error) in errors.iter().enumerate() {
                    let at = row * stride + column + head * dim + index;
                    all[output][at] = stored(dtype, expected[output][at], error);
                }
            };
            let (last, stride) = if first_only { (1, 2 * width) } else { (0, 3 * width) };
            for (row, errors) in queries.clone().zip(errors.d_q.chunks(dim)) {
                put(0, row, if first_only { width } else { stride }, 0, errors);
            }
            let keys = if first_only { 0 } else { width };
            for (row, (d_k, d_v)) in rows.zip(errors.d_k.chunks(dim).zip(errors.d_v.chunks(dim))) {
                put(last, row, stride, keys, d_k);
                put(last, row, stride, keys + width, d_v);
            }
        });
        all
    }
}

/// Heads around vectors, tiles and the models' own 64; lengths around blocks, empty sequences first, inside and last.
const BATCHES: [(AttentionShape, &[usize]); 8] = [
    (AttentionShape { heads: 1, head_dim: 8 }, &[]),
    (AttentionShape { heads: 1, head_dim: 1 }, &[1, 2]),
    (AttentionShape { heads: 2, head_dim: 12 }, &[0, 1, 15, 16, 0, 17, 33, 0]),
    (AttentionShape { heads: 3, head_dim: 16 }, &[31, 32, 1]),
    (AttentionShape { heads: 2, head_dim: 33 }, &[7, 64]),
    (AttentionShape { heads: 2, head_dim: 32 }, &[65, 2, 0]),
    (AttentionShape { heads: 2, head_dim: 64 }, &[1, 31, 0, 33, 130]),
    (AttentionShape { heads: 1, head_dim: 64 }, &[300]),
];

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for (shape, lengths) in BATCHES {
            for (dropout, first_only) in [(false, false), (true, false), (false, true), (true, true)] {
                // A sequence without a first row has nothing to say about it.
                let lengths: Vec<usize> = lengths.iter().copied().filter(|&length| length > 0 || !first_only).collect();
                let sequences = Sequences::of(dtype, shape, &lengths, dropout, first_only);
                visitor.case(Attention { sequences: sequences.clone(), training: dropout || shape.head_dim % 2 == 1 });
                visitor.case(AttentionBackward::of(sequences));
            }
        }
    }
}
