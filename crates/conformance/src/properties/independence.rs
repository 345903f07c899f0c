//! A row's result does not depend on the rows beside it nor on where it lies: batched equals alone, cached equals computed.

use super::Property;
use crate::Visitor;
use crate::cases::DTYPES;
use crate::cases::attention::Sequences;
use crate::numbers::numbers;
use crate::op::Op;
use crate::trial::Trial;
use serin_ops::{Activation, AttentionShape, Backend, Dropout, DropoutSite, InputGradient, Norm};
use serin_tensor::DType;
use std::ops::Range;

/// Rows of the call that others are compared with.
const ROWS: usize = 300;
/// Fewer rows around each row, from few to many.
const PARTS: [usize; 7] = [1, 2, 16, 17, 33, 64, 130];

/// The rows that a part consists of: `part` of them from several places.
fn parts() -> impl Iterator<Item = Range<usize>> {
    PARTS.into_iter().flat_map(|part| [0, 7, 31, 100, ROWS - part].map(|first| first..first + part))
}

/// Compares rows `rows` of `whole` with `part`, bit for bit; `row_bytes` a row.
fn compare(what: &str, whole: &[u8], part: &[u8], rows: Range<usize>, row_bytes: usize) -> Result<(), String> {
    if whole[rows.start * row_bytes..rows.end * row_bytes] == *part {
        return Ok(());
    }
    Err(format!("{what}: rows {rows:?} alone have other bits than among {ROWS}"))
}

/// `linear` and `linear_backward_input`.
struct Products {
    op: Op,
    dtype: DType,
    shape: [usize; 2],
}

impl Property for Products {
    fn op(&self) -> Op {
        self.op
    }

    fn label(&self) -> String {
        let [outs, ins] = self.shape;
        format!("{} {outs}x{ins} rows are independent", self.dtype)
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let [outs, ins] = self.shape;
        let forward = self.op == Op::Linear;
        let (from, to) = if forward { (ins, outs) } else { (outs, ins) };
        let weight = trial.weight(&numbers(self.dtype, outs * ins, 1), self.shape, self.dtype, true);
        let bias = trial.input(DType::F32, &numbers(DType::F32, outs, 2));
        let all = numbers(self.dtype, ROWS * from, 3);
        let mut run = |rows: Range<usize>| {
            let input = trial.input(self.dtype, &all[rows.start * from..rows.end * from]);
            let mut output = trial.output(self.dtype, rows.len() * to);
            trial.call(|backend| {
                if forward {
                    backend.linear(&input, &weight, Some(&bias), Activation::Gelu, rows.len(), None, &mut output);
                } else {
                    backend.linear_backward_input(&input, &weight, rows.len(), InputGradient::Store, &mut output);
                }
            });
            trial.take("y", &output, rows.len() * to).bytes
        };
        let whole = run(0..ROWS);
        parts().try_for_each(|rows| compare(self.op.name(), &whole, &run(rows.clone()), rows, to * self.dtype.size()))
    }
}

/// `add_layer_norm` with residual and dropout.
struct Norms {
    dtype: DType,
    width: usize,
}

impl Property for Norms {
    fn op(&self) -> Op {
        Op::AddLayerNorm
    }

    fn label(&self) -> String {
        format!("{} width {} rows are independent", self.dtype, self.width)
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let Norms { dtype, width } = *self;
        let [weight, bias] = [1, 2].map(|seed| trial.input(DType::F32, &numbers(DType::F32, width, seed)));
        let [x, residual] = [3, 4].map(|seed| numbers(dtype, ROWS * width, seed));
        let dropout = Dropout::new(0.1, 1, 2, 3, DropoutSite::AttentionOutput);
        let mut run = |rows: Range<usize>| {
            let at = rows.start * width..rows.end * width;
            let (mut x, residual) = (trial.updated(dtype, &x[at.clone()]), trial.input(dtype, &residual[at]));
            let mut y = trial.output(dtype, rows.len() * width);
            let dropout = dropout.map(|dropout| dropout.starting_at(rows.start as u64));
            trial.call(|backend| {
                let norm = Norm { weight: &weight, bias: &bias, epsilon: 1e-5 };
                backend.add_layer_norm(&mut x, Some(&residual), dropout, norm, rows.len(), width, None, &mut y);
            });
            trial.take("y", &y, rows.len() * width).bytes
        };
        let whole = run(0..ROWS);
        parts().try_for_each(|rows| compare("add_layer_norm", &whole, &run(rows.clone()), rows, width * dtype.size()))
    }
}

/// A sequence of a batch against the same alone, with dropout; all rows or the first row's attention.
struct Alone {
    op: Op,
    dtype: DType,
    shape: AttentionShape,
}

const LENGTHS: [usize; 8] = [17, 1, 64, 2, 33, 130, 32, 5];

impl Property for Alone {
    fn op(&self) -> Op {
        self.op
    }

    fn label(&self) -> String {
        format!("{} {} heads of {}, sequences are independent", self.dtype, self.shape.heads, self.shape.head_dim)
    }

    fn check<B: Backend>(&self, trial: &mut Trial<'_, B>) -> Result<(), String> {
        let first_only = self.op == Op::FirstRowAttention;
        let batch = Sequences::of(self.dtype, self.shape, &LENGTHS, true, first_only);
        let dropout = Dropout::new(0.1, 1, 2, 3, DropoutSite::AttentionProbabilities);
        let whole = self.run(trial, &batch, dropout);
        let row = self.shape.width() * self.dtype.size();
        for count in [1, 3] {
            for first in 0..=LENGTHS.len() - count {
                let (part, queries) = self.part(&batch, first, count);
                let first_mask = ((first * self.shape.heads) as u64) << 32;
                let alone = self.run(trial, &part, dropout.map(|dropout| dropout.starting_at(first_mask)));
                if whole[queries.start * row..queries.end * row] != alone {
                    return Err(format!(
                        "sequences {first}..{} alone have other bits than among others",
                        first + count
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Alone {
    /// `count` sequences from `first` on, and which queries these are of the batch's.
    fn part(&self, batch: &Sequences, first: usize, count: usize) -> (Sequences, Range<usize>) {
        let offsets = &batch.offsets[first..=first + count];
        let rows = offsets[0] as usize..offsets[count] as usize;
        let width = self.shape.width();
        let cut =
            |values: &[f32], rows: &Range<usize>, width: usize| values[rows.start * width..rows.end * width].to_vec();
        let (queries, q, kv) = if batch.first_only {
            let queries = first..first + count;
            (queries.clone(), cut(&batch.q, &queries, width), cut(&batch.kv, &rows, 2 * width))
        } else {
            let qkv = cut(&batch.q, &rows, 3 * width);
            (rows.clone(), qkv.clone(), qkv)
        };
        let offsets = offsets.iter().map(|offset| offset - offsets[0]).collect();
        (Sequences { offsets, q, kv, ..batch.clone() }, queries)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>, batch: &Sequences, dropout: Option<Dropout>) -> Vec<u8> {
        let len = batch.queries() * self.shape.width();
        let sequences = trial.sequences(&batch.offsets);
        let q = trial.input(self.dtype, &batch.q);
        let mut out = trial.updated(self.dtype, &vec![0.0; len]);
        if batch.first_only {
            let kv = trial.input(self.dtype, &batch.kv);
            trial.call(|backend| backend.first_row_attention(&q, &kv, &sequences, self.shape, dropout, None, &mut out));
        } else {
            trial.call(|backend| backend.attention(&q, &sequences, self.shape, dropout, None, &mut out));
        }
        trial.take("out", &out, len).bytes
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for shape in [[33, 48], [64, 96], [100, 31]] {
            for op in [Op::Linear, Op::LinearBackwardInput] {
                visitor.property(Products { op, dtype, shape });
            }
        }
        for width in [17, 64, 100] {
            visitor.property(Norms { dtype, width });
        }
        for (heads, head_dim) in [(2, 12), (2, 32), (3, 64)] {
            for op in [Op::Attention, Op::FirstRowAttention] {
                visitor.property(Alone { op, dtype, shape: AttentionShape { heads, head_dim } });
            }
        }
    }
}
