//! `linear_backward_input`.

use super::linear::SHAPES;
use super::{ACTIVATIONS, Case, DTYPES, derivative_error};
use crate::numbers::{magnitudes, numbers};
use crate::op::Op;
use crate::tolerance::{of_sum, on_the_way, stored_all};
use crate::trial::Trial;
use crate::{Visitor, expect};
use serin_ops::{Activation, Backend, InputGradient};
use serin_tensor::DType;

/// What becomes of `dy W`.
#[derive(Clone)]
enum Into {
    Store,
    Accumulate,
    Through(Activation, Vec<f32>),
}

struct LinearBackwardInput {
    dtype: DType,
    shape: (usize, usize, usize),
    dy: Vec<f32>,
    weight: Vec<f32>,
    before: Vec<f32>,
    into: Into,
}

impl Case for LinearBackwardInput {
    fn op(&self) -> Op {
        Op::LinearBackwardInput
    }

    fn label(&self) -> String {
        let (rows, outs, ins) = self.shape;
        let into = match &self.into {
            Into::Store => "Store".to_owned(),
            Into::Accumulate => "Accumulate".to_owned(),
            Into::Through(activation, _) => format!("ThroughActivation({activation:?})"),
        };
        format!("{} {rows}x{outs}x{ins} {into}", self.dtype)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, outs, ins) = self.shape;
        let dy = trial.input_rows(self.dtype, &self.dy, outs);
        let weight = trial.weight(&self.weight, [outs, ins], self.dtype, true);
        let mut dx = match self.into {
            Into::Accumulate => trial.updated_rows(self.dtype, &self.before, ins),
            _ => trial.output_rows(self.dtype, rows, ins),
        };
        let saved = match &self.into {
            Into::Through(activation, saved) => Some((*activation, trial.input_rows(self.dtype, saved, ins))),
            _ => None,
        };
        let gradient = match (&self.into, &saved) {
            (_, Some((activation, saved))) => InputGradient::ThroughActivation(*activation, saved),
            (Into::Accumulate, _) => InputGradient::Accumulate,
            _ => InputGradient::Store,
        };
        trial.call(|backend| backend.linear_backward_input(&dy, &weight, rows, gradient, &mut dx));
        trial.keep("dx", &dx, rows * ins);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let into = if matches!(self.into, Into::Accumulate) { Into::Accumulate } else { Into::Store };
        let alone = |[dy, weight, before]: [Vec<f32>; 3]| {
            expect(&LinearBackwardInput { dy, weight, before, into: into.clone(), ..*self }).remove(0)
        };
        let terms = [&self.dy, &self.weight, &self.before];
        let (products, sizes) = (alone(terms.map(Vec::clone)), alone(terms.map(|values| magnitudes(values))));
        let errors = products.iter().zip(&sizes).map(|(&product, size)| {
            let error = of_sum(self.shape.1) * size;
            match &self.into {
                // In 16 bits the product may be rounded before the derivative.
                Into::Through(activation, _) if *activation != Activation::Identity => {
                    derivative_error(self.dtype, *activation, *size, on_the_way(self.dtype, product, error))
                }
                _ => error,
            }
        });
        vec![stored_all(self.dtype, &expected[0], errors)]
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for (number, shape) in SHAPES.into_iter().enumerate() {
            let (rows, outs, ins) = shape;
            let saved = |activation| {
                let x = numbers(dtype, rows * ins, 3);
                // The output of tanh and relu, not their input.
                match activation {
                    Activation::Tanh => x.iter().map(|x| crate::numbers::rounded(dtype, x.tanh())).collect(),
                    Activation::Relu => x.iter().map(|x| x.max(0.0)).collect(),
                    _ => x,
                }
            };
            let mut all = vec![Into::Store, Into::Accumulate];
            let chosen = ACTIVATIONS.into_iter().skip(number % 2).step_by(2);
            all.extend(chosen.map(|activation| Into::Through(activation, saved(activation))));
            for into in all.into_iter().take(if rows * outs * ins > 1 << 20 { 3 } else { 5 }) {
                let (dy, weight) = (numbers(dtype, rows * outs, 1), numbers(dtype, outs * ins, 2));
                let before = numbers(dtype, rows * ins, 4);
                visitor.case(LinearBackwardInput { dtype, shape, dy, weight, before, into });
            }
        }
    }
}

#[test]
fn sizes_are_of_the_terms() {
    let case = LinearBackwardInput {
        dtype: DType::F32,
        shape: (1, 2, 1),
        dy: vec![1.0, -1.0],
        weight: vec![3.0, 3.0],
        before: vec![0.0],
        into: Into::Store,
    };
    let expected = expect(&case);
    assert_eq!(expected, [[0.0]]);
    assert!(case.tolerances(&expected)[0][0] >= of_sum(2) * 6.0, "cancellation");
}
