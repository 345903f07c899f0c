//! `linear_backward_weight`.

use super::{Case, DTYPES};
use crate::numbers::{magnitudes, numbers};
use crate::op::Op;
use crate::tolerance::{of_sum, stored_all};
use crate::trial::Trial;
use crate::{Visitor, expect};
use serin_ops::Backend;
use serin_tensor::DType;

/// (rows, out features, in features); the last is deeper than any backend sums at once.
const SHAPES: [(usize, usize, usize); 12] = [
    (0, 5, 7),
    (1, 1, 1),
    (1, 33, 48),
    (2, 64, 3),
    (15, 17, 16),
    (16, 32, 32),
    (17, 96, 31),
    (31, 31, 33),
    (33, 2, 100),
    (65, 16, 64),
    (300, 100, 65),
    (2100, 33, 17),
];

struct LinearBackwardWeight {
    dtype: DType,
    shape: (usize, usize, usize),
    dy: Vec<f32>,
    x: Vec<f32>,
    weight_before: Vec<f32>,
    bias_before: Vec<f32>,
}

impl Case for LinearBackwardWeight {
    fn op(&self) -> Op {
        Op::LinearBackwardWeight
    }

    fn label(&self) -> String {
        let (rows, outs, ins) = self.shape;
        format!("{} {rows}x{outs}x{ins}", self.dtype)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, outs, ins) = self.shape;
        let [dy, x] =
            [(&self.dy, outs), (&self.x, ins)].map(|(values, width)| trial.input_rows(self.dtype, values, width));
        let [mut d_weight, mut d_bias] =
            [&self.weight_before, &self.bias_before].map(|values| trial.updated(DType::F32, values));
        trial.call(|backend| backend.linear_backward_weight(&dy, &x, rows, outs, ins, &mut d_weight, &mut d_bias));
        trial.keep("d_weight", &d_weight, outs * ins);
        trial.keep("d_bias", &d_bias, outs);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let [dy, x, weight_before, bias_before] =
            [&self.dy, &self.x, &self.weight_before, &self.bias_before].map(|values| magnitudes(values));
        let sizes = expect(&LinearBackwardWeight { dy, x, weight_before, bias_before, ..*self });
        let both = expected.iter().zip(sizes);
        both.map(|(expected, sizes)| {
            stored_all(DType::F32, expected, sizes.iter().map(|size| of_sum(self.shape.0) * size))
        })
        .collect()
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for shape in SHAPES {
            let (rows, outs, ins) = shape;
            visitor.case(LinearBackwardWeight {
                dtype,
                shape,
                dy: numbers(dtype, rows * outs, 1),
                x: numbers(dtype, rows * ins, 2),
                weight_before: numbers(DType::F32, outs * ins, 3),
                bias_before: numbers(DType::F32, outs, 4),
            });
        }
    }
}
