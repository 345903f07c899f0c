//! `dropout`.

use super::{Case, DTYPES, SHAPES};
use crate::Visitor;
use crate::numbers::numbers;
use crate::op::Op;
use crate::tolerance::stored_all;
use crate::trial::Trial;
use serin_ops::{Backend, Dropout, DropoutSite};
use serin_tensor::DType;

/// A dropout of a batch's rows from the seventh on.
pub(crate) fn some(probability: f32, site: DropoutSite) -> Option<Dropout> {
    Dropout::new(probability, 42, 7, 3, site).map(|dropout| dropout.starting_at(7))
}

struct DropoutCase {
    dtype: DType,
    shape: (usize, usize),
    probability: f32,
    dropout: Dropout,
    x: Vec<f32>,
}

impl Case for DropoutCase {
    fn op(&self) -> Op {
        Op::Dropout
    }

    fn label(&self) -> String {
        format!("{} {}x{} p={}", self.dtype, self.shape.0, self.shape.1, self.probability)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let mut x = trial.updated_rows(self.dtype, &self.x, width);
        trial.call(|backend| backend.dropout(&mut x, self.dropout, rows, width));
        trial.keep("x", &x, rows * width);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        vec![stored_all(self.dtype, &expected[0], expected[0].iter().map(|_| 0.0))]
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for shape in SHAPES {
            for probability in [0.1, 0.9] {
                let Some(dropout) = some(probability, DropoutSite::HeadInput) else { continue };
                let x = numbers(dtype, shape.0 * shape.1, 1);
                visitor.case(DropoutCase { dtype, shape, probability, dropout, x });
            }
        }
    }
}
