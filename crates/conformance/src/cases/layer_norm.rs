//! `add_layer_norm`.

use super::{Case, DTYPES, dropout};
use crate::Visitor;
use crate::numbers::{numbers, rounded, wide};
use crate::op::Op;
use crate::tolerance::{U, of_sum, stored};
use crate::trial::Trial;
use serin_ops::{Backend, Dropout, DropoutSite, Norm, keep};
use serin_tensor::DType;

pub(super) const SHAPES: [(usize, usize); 11] =
    [(0, 8), (1, 1), (1, 17), (2, 16), (3, 15), (5, 33), (17, 8), (31, 48), (65, 64), (300, 100), (7, 768)];
const EPSILON: f32 = 1e-5;

pub(crate) struct AddLayerNorm {
    pub(crate) dtype: DType,
    pub(crate) shape: (usize, usize),
    pub(crate) x: Vec<f32>,
    pub(crate) residual: Option<Vec<f32>>,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) training: bool,
}

impl Case for AddLayerNorm {
    fn op(&self) -> Op {
        Op::AddLayerNorm
    }

    fn label(&self) -> String {
        let residual = if self.residual.is_some() { " residual" } else { "" };
        let dropout = if self.dropout.is_some() { " dropout" } else { "" };
        let training = if self.training { " statistics" } else { "" };
        format!("{} {}x{}{residual}{dropout}{training}", self.dtype, self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let mut x = trial.updated_rows(self.dtype, &self.x, width);
        let residual = self.residual.as_ref().map(|residual| trial.input_rows(self.dtype, residual, width));
        let [weight, bias] = [&self.weight, &self.bias].map(|values| trial.input(DType::F32, values));
        let mut statistics = self.training.then(|| trial.output(DType::F32, 2 * rows));
        let mut y = trial.output_rows(self.dtype, rows, width);
        trial.call(|backend| {
            let norm = Norm { weight: &weight, bias: &bias, epsilon: EPSILON };
            let (residual, statistics) = (residual.as_ref(), statistics.as_mut());
            backend.add_layer_norm(&mut x, residual, self.dropout, norm, rows, width, statistics, &mut y);
        });
        trial.keep("y", &y, rows * width);
        if let Some(statistics) = &statistics {
            trial.keep("sum", &x, rows * width);
            trial.keep("statistics", statistics, 2 * rows);
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut all = vec![Vec::new(); 3];
        for row in 0..self.shape.0 {
            let terms = self.terms(row);
            let errors = self.row_errors(&terms);
            let at = row * terms.len();
            for (column, &error) in errors.y.iter().enumerate() {
                all[0].push(stored(self.dtype, expected[0][at + column], error));
            }
            all[1].extend(
                terms.iter().map(|[kept, residual]| {
                    stored(self.dtype, kept + residual, 2.0 * U * (kept.abs() + residual.abs()))
                }),
            );
            all[2].extend(errors.statistics);
        }
        all.truncate(expected.len());
        all
    }
}

/// What may be lost of a row.
struct RowErrors {
    y: Vec<f64>,
    statistics: [f64; 2],
}

impl AddLayerNorm {
    /// The two terms of each element of a row's sum.
    fn terms(&self, row: usize) -> Vec<[f64; 2]> {
        let term = |column: usize| {
            let at = row * self.shape.1 + column;
            let mask = self.dropout.map_or(1.0, |dropout| {
                if keep(&dropout, row as u64, column as u32) { f64::from(dropout.scale) } else { 0.0 }
            });
            [f64::from(self.x[at]) * mask, self.residual.as_ref().map_or(0.0, |residual| f64::from(residual[at]))]
        };
        (0..self.shape.1).map(term).collect()
    }

    /// Errors of the sum go into the mean, both into the deviations, these into the variance, and all into y.
    fn row_errors(&self, terms: &[[f64; 2]]) -> RowErrors {
        let width = terms.len() as f64;
        let (weight, bias) = (wide(&self.weight), wide(&self.bias));
        let sum: Vec<f64> = terms.iter().map(|[kept, residual]| kept + residual).collect();
        let sum_error: Vec<f64> = terms.iter().map(|[a, b]| 2.0 * U * (a.abs() + b.abs())).collect();
        let mean = sum.iter().sum::<f64>() / width;
        let size = sum.iter().map(|s| s.abs()).sum::<f64>() / width;
        let mean_error = of_sum(terms.len()) * size + sum_error.iter().sum::<f64>() / width;
        let deviation: Vec<f64> = sum.iter().map(|s| s - mean).collect();
        let deviation_error: Vec<f64> =
            deviation.iter().zip(&sum_error).map(|(d, error)| error + mean_error + U * d.abs()).collect();
        let variance = deviation.iter().map(|d| d * d).sum::<f64>() / width;
        let squares_error =
            deviation.iter().zip(&deviation_error).map(|(d, error)| (2.0 * d.abs() + error) * error).sum::<f64>()
                / width;
        let variance_error = squares_error + of_sum(terms.len()) * variance;
        let inverse = 1.0 / (variance + f64::from(EPSILON)).sqrt();
        let inverse_error = inverse * (0.5 * variance_error / (variance + f64::from(EPSILON)) + 4.0 * U);
        let y = (0..terms.len()).map(|column| {
            let normal = deviation[column].abs() * inverse;
            let error = deviation_error[column] * (inverse + inverse_error) + deviation[column].abs() * inverse_error;
            weight[column].abs() * (error + 2.0 * U * normal) + U * bias[column].abs()
        });
        let statistics = [stored(DType::F32, mean, mean_error), stored(DType::F32, inverse, inverse_error)];
        RowErrors { y: y.collect(), statistics }
    }
}

/// Numbers around 3, as sums of residuals drift away from 0.
fn off_centre(dtype: DType, len: usize, seed: u64) -> Vec<f32> {
    numbers(dtype, len, seed).into_iter().map(|x| rounded(dtype, x + 3.0)).collect()
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for shape in SHAPES {
            for kind in 0..5 {
                let len = shape.0 * shape.1;
                visitor.case(AddLayerNorm {
                    dtype,
                    shape,
                    x: off_centre(dtype, len, 1),
                    residual: (kind > 0).then(|| numbers(dtype, len, 2)),
                    dropout: dropout::some(0.1, DropoutSite::AttentionOutput).filter(|_| kind > 1 && kind < 4),
                    weight: numbers(DType::F32, shape.1, 3),
                    bias: numbers(DType::F32, shape.1, 4),
                    training: kind % 2 == 0,
                });
            }
        }
    }
}
