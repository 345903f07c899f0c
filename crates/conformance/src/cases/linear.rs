//! `linear`.

use super::{ACTIVATIONS, Case, DTYPES, activation_error};
use crate::numbers::{magnitudes, numbers};
use crate::op::Op;
use crate::tolerance::{of_sum, on_the_way, stored_all};
use crate::trial::Trial;
use crate::{Visitor, expect};
use serin_ops::{Activation, Backend};
use serin_tensor::DType;

/// (rows, out features, in features): nothing, one, around vectors and tiles, ragged, large.
pub(crate) const SHAPES: [(usize, usize, usize); 13] = [
    (0, 5, 7),
    (1, 1, 1),
    (1, 48, 33),
    (2, 3, 64),
    (15, 16, 17),
    (16, 32, 32),
    (17, 31, 96),
    (32, 33, 31),
    (33, 2, 100),
    (65, 64, 16),
    (1, 768, 768),
    (260, 100, 300),
    (100, 96, 64),
];

struct Linear {
    dtype: DType,
    shape: (usize, usize, usize),
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    activation: Activation,
    /// Whether x Wᵀ + b is wanted too; the weight is then also made for the backward pass.
    training: bool,
}

impl Case for Linear {
    fn op(&self) -> Op {
        Op::Linear
    }

    fn label(&self) -> String {
        let (rows, outs, ins) = self.shape;
        let bias = if self.bias.is_some() { " bias" } else { "" };
        let training = if self.training { " pre_activation" } else { "" };
        format!("{} {rows}x{outs}x{ins} {:?}{bias}{training}", self.dtype, self.activation)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, outs, ins) = self.shape;
        let x = trial.input_rows(self.dtype, &self.x, ins);
        let weight = trial.weight(&self.weight, [outs, ins], self.dtype, self.training);
        let bias = self.bias.as_ref().map(|bias| trial.input(DType::F32, bias));
        let mut y = trial.output_rows(self.dtype, rows, outs);
        let mut before = self.training.then(|| trial.output_rows(self.dtype, rows, outs));
        trial.call(|backend| {
            backend.linear(&x, &weight, bias.as_ref(), self.activation, rows, before.as_mut(), &mut y);
        });
        trial.keep("y", &y, rows * outs);
        if let Some(before) = &before {
            trial.keep("pre_activation", before, rows * outs);
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let plain =
            |x, weight, bias| Linear { x, weight, bias, activation: Activation::Identity, training: false, ..*self };
        let sums = expect(&plain(self.x.clone(), self.weight.clone(), self.bias.clone())).remove(0);
        let bias = self.bias.as_deref().map(magnitudes);
        let sizes = expect(&plain(magnitudes(&self.x), magnitudes(&self.weight), bias)).remove(0);
        let outs = self.shape.1;
        // In 16 bits the bias may be rounded before it is added, and its sum with the product before the activation.
        let of_bias =
            |at: usize| self.bias.as_ref().map_or(0.0, |bias| on_the_way(self.dtype, f64::from(bias[at % outs]), 0.0));
        let errors: Vec<f64> =
            sizes.iter().enumerate().map(|(at, size)| of_sum(self.shape.2) * size + of_bias(at)).collect();
        let after = sums.iter().zip(&errors).map(|(&sum, &error)| match self.activation {
            Activation::Identity => error,
            activation => activation_error(self.dtype, activation, sum, on_the_way(self.dtype, sum, error)),
        });
        let mut all = vec![stored_all(self.dtype, &expected[0], after)];
        if self.training {
            all.push(stored_all(self.dtype, &expected[1], errors));
        }
        all
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for (number, shape) in SHAPES.into_iter().enumerate() {
            let (rows, outs, ins) = shape;
            let large = rows * outs * ins > 1 << 20;
            let activations = if large { &ACTIVATIONS[1..2] } else { &ACTIVATIONS[..] };
            for (index, &activation) in activations.iter().enumerate() {
                let with_bias = (number + index) % 3 != 0;
                let bias = with_bias.then(|| numbers(DType::F32, outs, 3));
                let (x, weight) = (numbers(dtype, rows * ins, 1), numbers(dtype, outs * ins, 2));
                visitor.case(Linear { dtype, shape, x, weight, bias, activation, training: (number + index) % 2 == 1 });
            }
        }
    }
}
