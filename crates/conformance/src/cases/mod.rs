//! The table of cases.

mod activation_backward;
mod adamw;
pub(crate) mod attention;
mod attention_bounds;
mod dropout;
mod embedding;
mod gradient_norm;
mod layer_norm;
mod layer_norm_backward;
mod linear;
mod linear_backward_input;
mod linear_backward_weight;
mod loss;
mod rows;
mod vocabulary_loss;

use crate::op::Op;
use crate::trial::Trial;
use crate::{Visitor, tolerance};
use serin_ops::{Activation, Backend};
use serin_tensor::DType;

pub(crate) const DTYPES: [DType; 3] = [DType::F32, DType::BF16, DType::F16];
pub(crate) const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::Tanh,
    Activation::Silu,
];
/// Rows and widths: nothing, one, around vectors and tiles, ragged.
pub(crate) const SHAPES: [(usize, usize); 12] =
    [(0, 8), (1, 1), (1, 17), (2, 16), (3, 15), (5, 33), (17, 8), (31, 48), (33, 65), (64, 100), (7, 768), (70, 96)];

/// An op with inputs.
pub(crate) trait Case {
    fn op(&self) -> Op;
    /// What tells the case from others of its op.
    fn label(&self) -> String;
    /// Makes the buffers, calls the op and keeps the results.
    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>);
    /// What each element of each result may be off by.
    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>>;
}

/// Shows every case to `visitor`.
pub(crate) fn each(visitor: &mut impl Visitor) {
    embedding::each(visitor);
    linear::each(visitor);
    linear_backward_input::each(visitor);
    linear_backward_weight::each(visitor);
    activation_backward::each(visitor);
    attention::each(visitor);
    layer_norm::each(visitor);
    layer_norm_backward::each(visitor);
    dropout::each(visitor);
    rows::each(visitor);
    loss::each(visitor);
    vocabulary_loss::each(visitor);
    gradient_norm::each(visitor);
    adamw::each(visitor);
}

/// What an activation's result at `x` may be off by if `x` is by `error`.
fn activation_error(dtype: DType, activation: Activation, x: f64, error: f64) -> f64 {
    match activation {
        Activation::Identity | Activation::Relu => error,
        _ => tolerance::STEEPEST * error + tolerance::of_activation(dtype) * x.abs(),
    }
}

/// What `size` times an activation's derivative may be off by if the factor is by `error`.
fn derivative_error(dtype: DType, activation: Activation, size: f64, error: f64) -> f64 {
    match activation {
        Activation::Identity | Activation::Relu => error,
        _ => tolerance::STEEPEST * error + tolerance::of_activation(dtype) * size,
    }
}
