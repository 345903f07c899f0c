//! What rounding may change.
//!
//! Backends compute in f32 with unit roundoff u = 2⁻²⁴ and round once to the storage type. A sum of n terms in any order
//! is off by at most γₙ = n u / (1 - n u) times the sum of the terms' sizes (Higham, Accuracy and Stability of Numerical
//! Algorithms, 2002, ch. 3); because rounding errors are as good as independent, by λ √n u but for a chance of
//! 2 exp(-λ²/2) (Higham & Mary, SIAM J. Sci. Comput. 41, 2019). The smaller of both is allowed, with λ = 6.

use serin_tensor::DType;

/// The unit roundoff of the arithmetic.
pub(crate) const U: f64 = 1.0 / (1u64 << 24) as f64;
/// The slope of no activation is larger: GELU's, near x = √2.
pub(crate) const STEEPEST: f64 = 1.13;
/// What an activation may lose relative to its argument, and its derivative absolutely: 8 roundoffs of the arithmetic; where
/// rounding to bf16 follows, 1/512 of that rounding.
pub(crate) fn of_activation(dtype: DType) -> f64 {
    if dtype == DType::BF16 { dtype.unit_roundoff() / 512.0 } else { 8.0 * U }
}

/// λ.
const DEVIATIONS: f64 = 6.0;

/// The relative error of a sum of `terms` products, to be multiplied by the sum of their sizes.
pub(crate) fn of_sum(terms: usize) -> f64 {
    let terms = terms as f64;
    // The product's own rounding and that of what is added last, such as a bias.
    let roundings = (terms.min(DEVIATIONS * terms.sqrt()) + 2.0) * U;
    roundings / (1.0 - roundings)
}

/// The tolerance of a value that is off by `error` before it is rounded to `dtype`.
pub(crate) fn stored(dtype: DType, value: f64, error: f64) -> f64 {
    // Half of f16's smallest number; for the others, whose normal numbers reach so low, subnormals may count as 0.
    let underflow = if dtype == DType::F16 { 2f64.powi(-25) } else { f64::from(f32::MIN_POSITIVE) };
    let rounding = if dtype == DType::F32 { 0.0 } else { dtype.unit_roundoff() };
    error + rounding * (value.abs() + error) + U * value.abs() + underflow
}

/// The error of a value that an op may round to the storage type on its way, and that is off by `error` before.
pub(crate) fn on_the_way(dtype: DType, value: f64, error: f64) -> f64 {
    if dtype == DType::F32 { error } else { stored(dtype, value, error) }
}

/// [`stored`] of every value with its error.
pub(crate) fn stored_all(dtype: DType, values: &[f64], errors: impl IntoIterator<Item = f64>) -> Vec<f64> {
    values.iter().zip(errors).map(|(&value, error)| stored(dtype, value, error)).collect()
}

/// `Σ |a b|`.
pub(crate) fn size_of_products(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum()
}
