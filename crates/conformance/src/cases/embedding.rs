//! `embed` and `embed_backward`.

use super::{Case, DTYPES, SHAPES};
use crate::numbers::{choices, magnitudes, numbers};
use crate::op::Op;
use crate::tolerance::{of_sum, stored_all};
use crate::trial::Trial;
use crate::{Visitor, expect};
use serin_ops::{Backend, EmbeddingTables};
use serin_tensor::DType;

const VOCAB: usize = 37;
const POSITIONS: usize = 19;
const TYPES: usize = 2;

struct Embed {
    /// Of the tables, and of the result.
    dtypes: [DType; 2],
    shape: (usize, usize),
    word: Vec<f32>,
    position: Vec<f32>,
    token_type: Option<Vec<f32>>,
}

impl Case for Embed {
    fn op(&self) -> Op {
        Op::Embed
    }

    fn label(&self) -> String {
        let [from, to] = self.dtypes;
        let types = if self.token_type.is_some() { " types" } else { "" };
        format!("{from} to {to} {}x{}{types}", self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let [from, to] = self.dtypes;
        let [word, position] = [&self.word, &self.position].map(|table| trial.input(from, table));
        let token_type = self.token_type.as_ref().map(|table| trial.input(from, table));
        let [ids, positions, types] =
            [(VOCAB, 1), (POSITIONS, 2), (TYPES, 3)].map(|(count, seed)| trial.indices(&choices(count, rows, seed)));
        let mut out = trial.output_rows(to, rows, width);
        trial.call(|backend| {
            let tables = EmbeddingTables { word: &word, position: &position, token_type: token_type.as_ref() };
            backend.embed(tables, &ids, &positions, &types, rows, width, &mut out);
        });
        trial.keep("out", &out, rows * width);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let [word, position] = [&self.word, &self.position].map(|table| magnitudes(table));
        let token_type = self.token_type.as_deref().map(magnitudes);
        let sizes = expect(&Embed { word, position, token_type, ..*self }).remove(0);
        vec![stored_all(self.dtypes[1], &expected[0], sizes.iter().map(|size| of_sum(1) * size))]
    }
}

struct EmbedBackward {
    dtype: DType,
    shape: (usize, usize),
    d_out: Vec<f32>,
    before: Vec<f32>,
}

impl Case for EmbedBackward {
    fn op(&self) -> Op {
        Op::EmbedBackward
    }

    fn label(&self) -> String {
        format!("{} {}x{}", self.dtype, self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let d_out = trial.input_rows(self.dtype, &self.d_out, width);
        let positions = trial.indices(&choices(POSITIONS, rows, 1));
        let mut d_table = trial.updated(DType::F32, &self.before);
        trial.call(|backend| backend.embed_backward(&d_out, &positions, rows, width, &mut d_table));
        trial.keep("d_table", &d_table, POSITIONS * width);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let [d_out, before] = [&self.d_out, &self.before].map(|values| magnitudes(values));
        let sizes = expect(&EmbedBackward { d_out, before, ..*self }).remove(0);
        vec![stored_all(DType::F32, &expected[0], sizes.iter().map(|size| of_sum(self.shape.0) * size))]
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for from in DTYPES {
        for shape in SHAPES.into_iter().chain([(600, 80)]) {
            let (rows, width) = shape;
            for (number, to) in DTYPES.into_iter().enumerate() {
                visitor.case(Embed {
                    dtypes: [from, to],
                    shape,
                    word: numbers(from, VOCAB * width, 1),
                    position: numbers(from, POSITIONS * width, 2),
                    token_type: ((number + rows) % 2 == 0).then(|| numbers(from, TYPES * width, 3)),
                });
            }
            let (d_out, before) = (numbers(from, rows * width, 1), numbers(DType::F32, POSITIONS * width, 2));
            visitor.case(EmbedBackward { dtype: from, shape, d_out, before });
        }
    }
}
