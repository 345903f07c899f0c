//! `activation_backward`.

use super::{ACTIVATIONS, Case, DTYPES, SHAPES, derivative_error};
use crate::Visitor;
use crate::numbers::{numbers, rounded};
use crate::op::Op;
use crate::tolerance::stored_all;
use crate::trial::Trial;
use serin_ops::{Activation, Backend};
use serin_tensor::DType;

struct ActivationBackward {
    dtype: DType,
    shape: (usize, usize),
    activation: Activation,
    saved: Vec<f32>,
    d: Vec<f32>,
}

impl Case for ActivationBackward {
    fn op(&self) -> Op {
        Op::ActivationBackward
    }

    fn label(&self) -> String {
        format!("{} {}x{} {:?}", self.dtype, self.shape.0, self.shape.1, self.activation)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let saved = trial.input_rows(self.dtype, &self.saved, width);
        let mut d = trial.updated_rows(self.dtype, &self.d, width);
        trial.call(|backend| backend.activation_backward(self.activation, &saved, rows, width, &mut d));
        trial.keep("d", &d, rows * width);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let errors = self.d.iter().map(|&d| derivative_error(self.dtype, self.activation, f64::from(d.abs()), 0.0));
        vec![stored_all(self.dtype, &expected[0], errors)]
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for activation in ACTIVATIONS {
            for shape in SHAPES {
                let len = shape.0 * shape.1;
                // Wide enough for the tails, where a careless derivative overflows.
                let x = numbers(dtype, len, 1)
                    .into_iter()
                    .map(|x| rounded(dtype, if x > 1.5 { 30.0 * x } else { 3.0 * x }));
                // The output of tanh and relu, not their input.
                let saved = x.map(|x| match activation {
                    Activation::Tanh => rounded(dtype, x.tanh()),
                    Activation::Relu => x.max(0.0),
                    _ => x,
                });
                let (saved, d) = (saved.collect(), numbers(dtype, len, 2));
                visitor.case(ActivationBackward { dtype, shape, activation, saved, d });
            }
        }
    }
}
