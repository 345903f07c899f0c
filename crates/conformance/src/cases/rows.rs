//! `gather_rows` and `scatter_add_rows`.

use super::{Case, DTYPES, SHAPES};
use crate::Visitor;
use crate::numbers::{choices, numbers};
use crate::op::Op;
use crate::tolerance::stored_all;
use crate::trial::Trial;
use serin_ops::Backend;
use serin_tensor::DType;

struct Gather {
    dtypes: [DType; 2],
    shape: (usize, usize),
    indices: Vec<u32>,
}

impl Case for Gather {
    fn op(&self) -> Op {
        Op::GatherRows
    }

    fn label(&self) -> String {
        let [from, to] = self.dtypes;
        format!("{from} to {to} {} of {}x{}", self.indices.len(), self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let [from, to] = self.dtypes;
        let x = trial.input_rows(from, &numbers(from, rows * width, 1), width);
        let indices = trial.indices(&self.indices);
        let mut out = trial.output_rows(to, self.indices.len(), width);
        trial.call(|backend| backend.gather_rows(&x, &indices, width, &mut out));
        trial.keep("out", &out, self.indices.len() * width);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        vec![stored_all(self.dtypes[1], &expected[0], expected[0].iter().map(|_| 0.0))]
    }
}

struct ScatterAdd {
    dtypes: [DType; 2],
    shape: (usize, usize),
    /// All different.
    indices: Vec<u32>,
}

impl Case for ScatterAdd {
    fn op(&self) -> Op {
        Op::ScatterAddRows
    }

    fn label(&self) -> String {
        let [from, to] = self.dtypes;
        format!("{from} to {to} {} of {}x{}", self.indices.len(), self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let [from, to] = self.dtypes;
        let d_out = trial.input_rows(from, &numbers(from, self.indices.len() * width, 1), width);
        let indices = trial.indices(&self.indices);
        let mut d_x = trial.updated_rows(to, &numbers(to, rows * width, 2), width);
        trial.call(|backend| backend.scatter_add_rows(&d_out, &indices, width, &mut d_x));
        trial.keep("d_x", &d_x, rows * width);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        vec![stored_all(self.dtypes[1], &expected[0], expected[0].iter().map(|_| 0.0))]
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for from in DTYPES {
        for to in DTYPES {
            for shape in SHAPES.into_iter().skip(1).chain([(600, 200)]) {
                let rows = shape.0;
                for count in [0, 1, rows] {
                    visitor.case(Gather { dtypes: [from, to], shape, indices: choices(rows, count, 3) });
                    // Backwards and not all: rows, order and gaps matter.
                    let indices = (0..rows as u32).rev().filter(|row| row % 3 != 1).take(count).collect();
                    visitor.case(ScatterAdd { dtypes: [from, to], shape, indices });
                }
            }
        }
    }
}
