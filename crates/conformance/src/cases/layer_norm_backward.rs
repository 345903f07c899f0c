//! `add_layer_norm_backward`.

use super::layer_norm::SHAPES;
use super::{Case, DTYPES, dropout};
use crate::Visitor;
use crate::numbers::{numbers, wide};
use crate::op::Op;
use crate::tolerance::{U, of_sum, size_of_products, stored, stored_all};
use crate::trial::Trial;
use serin_ops::{Backend, Dropout, DropoutSite};
use serin_tensor::DType;

struct AddLayerNormBackward {
    dtype: DType,
    shape: (usize, usize),
    dy: Vec<f32>,
    sum: Vec<f32>,
    /// Mean and inverse deviation of each row of `sum`.
    statistics: Vec<f32>,
    weight: Vec<f32>,
    dropout: Option<Dropout>,
    weight_before: Vec<f32>,
    bias_before: Vec<f32>,
}

impl Case for AddLayerNormBackward {
    fn op(&self) -> Op {
        Op::AddLayerNormBackward
    }

    fn label(&self) -> String {
        let dropout = if self.dropout.is_some() { " dropout" } else { "" };
        format!("{} {}x{}{dropout}", self.dtype, self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, width) = self.shape;
        let [dy, sum] = [&self.dy, &self.sum].map(|values| trial.input_rows(self.dtype, values, width));
        let [statistics, weight] = [&self.statistics, &self.weight].map(|values| trial.input(DType::F32, values));
        let [mut d_weight, mut d_bias] =
            [&self.weight_before, &self.bias_before].map(|values| trial.updated(DType::F32, values));
        let [mut d_sum, mut d_x] = [(); 2].map(|()| trial.output_rows(self.dtype, rows, width));
        trial.call(|backend| {
            let d_x = self.dropout.map(|dropout| (dropout, &mut d_x));
            let (d_weight, d_bias) = (&mut d_weight, &mut d_bias);
            backend.add_layer_norm_backward(
                &dy,
                &sum,
                &statistics,
                &weight,
                rows,
                width,
                &mut d_sum,
                d_x,
                d_weight,
                d_bias,
            );
        });
        trial.keep("d_weight", &d_weight, width);
        trial.keep("d_bias", &d_bias, width);
        trial.keep("d_sum", &d_sum, rows * width);
        if self.dropout.is_some() {
            trial.keep("d_x", &d_x, rows * width);
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (rows, width) = self.shape;
        let mut weight_sizes = wide(&self.weight_before).iter().map(|value| value.abs()).collect::<Vec<_>>();
        let mut bias_sizes = wide(&self.bias_before).iter().map(|value| value.abs()).collect::<Vec<_>>();
        let mut errors = Vec::new();
        for row in 0..rows {
            let (normal, dy) = self.row(row);
            for column in 0..width {
                weight_sizes[column] += (dy[column] * normal[column]).abs();
                bias_sizes[column] += dy[column].abs();
            }
            errors.extend(self.row_errors(row, &normal, &dy));
        }
        // Two more roundings in the normalised values.
        let weight_errors = weight_sizes.iter().map(|size| (of_sum(rows) + 2.0 * U) * size);
        let bias_errors = bias_sizes.iter().map(|size| of_sum(rows) * size);
        let mut all = vec![
            stored_all(DType::F32, &expected[0], weight_errors),
            stored_all(DType::F32, &expected[1], bias_errors),
            stored_all(self.dtype, &expected[2], errors.iter().copied()),
        ];
        if let Some(dropout) = self.dropout {
            // d_x may be made of what was stored of d_sum.
            let once = expected[2].iter().zip(&errors).map(|(&value, &error)| stored(self.dtype, value, error));
            let once: Vec<f64> = once.map(|error| error * f64::from(dropout.scale)).collect();
            all.push(stored_all(self.dtype, &expected[3], once));
        }
        all
    }
}

impl AddLayerNormBackward {
    /// The normalised values of a row, and its dy.
    fn row(&self, row: usize) -> (Vec<f64>, Vec<f64>) {
        let at = row * self.shape.1..(row + 1) * self.shape.1;
        let [mean, inverse] = [0, 1].map(|index| f64::from(self.statistics[2 * row + index]));
        let normal = self.sum[at.clone()].iter().map(|&s| (f64::from(s) - mean) * inverse);
        (normal.collect(), wide(&self.dy[at]))
    }

    /// `(g - mean(g) - n mean(g n)) / σ` with errors of g, n and the two means.
    fn row_errors(&self, row: usize, normal: &[f64], dy: &[f64]) -> Vec<f64> {
        let width = dy.len() as f64;
        let inverse = f64::from(self.statistics[2 * row + 1]);
        let g: Vec<f64> = dy.iter().zip(&self.weight).map(|(dy, &w)| dy * f64::from(w)).collect();
        let mean_g_size = g.iter().map(|g| g.abs()).sum::<f64>() / width;
        let mean_gn = g.iter().zip(normal).map(|(g, n)| g * n).sum::<f64>() / width;
        let mean_gn_size = size_of_products(&g, normal) / width;
        let mean_g_error = of_sum(dy.len()) * mean_g_size;
        let mean_gn_error = (of_sum(dy.len()) + 4.0 * U) * mean_gn_size;
        let error = |(g, n): (&f64, &f64)| {
            let terms = g.abs() + mean_g_size + (n * mean_gn).abs();
            inverse * (4.0 * U * terms + mean_g_error + n.abs() * mean_gn_error + 2.0 * U * (n * mean_gn).abs())
        };
        g.iter().zip(normal).map(error).collect()
    }
}

/// Mean and `1/√(variance + 1e-5)` of each row, rounded as the forward pass leaves them.
pub(crate) fn statistics(sum: &[f32], width: usize) -> Vec<f32> {
    let of_row = |row: &[f32]| {
        let row = wide(row);
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / width as f64;
        [mean as f32, (1.0 / (variance + 1e-5).sqrt()) as f32]
    };
    sum.chunks(width).flat_map(of_row).collect()
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for shape in SHAPES {
            let (rows, width) = shape;
            for dropout in [None, dropout::some(0.1, DropoutSite::FeedForwardOutput)] {
                let sum = numbers(dtype, rows * width, 1);
                visitor.case(AddLayerNormBackward {
                    dtype,
                    shape,
                    dy: numbers(dtype, rows * width, 2),
                    statistics: statistics(&sum, width),
                    sum,
                    weight: numbers(DType::F32, width, 3),
                    dropout,
                    weight_before: numbers(DType::F32, width, 4),
                    bias_before: numbers(DType::F32, width, 5),
                });
            }
        }
    }
}
