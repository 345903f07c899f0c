//! The activations of [`Activation`] and their derivatives, on vectors.

use super::exponential::{exp_bounded, polynomial, sigmoid, sigmoid_and_complement, tanh};
use super::gelu::{short_gelu, short_gelu_derivative};
use super::{Simd, Storage};
use serin_ops::Activation;
use serin_tensor::DType;
use std::f32::consts::FRAC_1_SQRT_2;

/// √(2/π).
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// 1/√(2π).
const FRAC_1_SQRT_2_PI: f32 = 0.398_942_3;
/// The coefficient of x³ in GELU's tanh form.
const CUBIC: f32 = 0.044_715;

/// The error function, within 3e-7 absolutely; exactly ±1 from ±3.8 on.
///
/// `x p(x²)` with a minimax polynomial of degree 14 in `(x² - h) / h`, `h = 3.8² / 2`, fitted by Lawson's iteration to
/// the error of GELU (1e-7 before rounding). No division: on AVX-512 one costs as much as the whole polynomial.
#[inline(always)]
pub(super) fn erf<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const SATURATION: f32 = 3.8;
    const INVERSE_OF_H: f32 = 2.0 / (SATURATION * SATURATION);
    // Fitted so that at ±3.8 rounding, with and without FMA, gives ±1.
    const COEFFICIENTS: [f32; 15] = [
        8.864_383_6e-4,
        -2.603_842_9e-3,
        2.791_443_6e-3,
        -3.572_801e-3,
        9.436_303e-3,
        -1.802_389_7e-2,
        2.699_51e-2,
        -3.910_556_8e-2,
        5.496_749_6e-2,
        -7.247_294e-2,
        9.084_482_5e-2,
        -1.111_901_6e-1,
        1.377_389_3e-1,
        -1.856_410_6e-1,
        3.721_076_2e-1,
    ];
    let x = simd.max(simd.splat(-SATURATION), simd.min(simd.splat(SATURATION), x));
    let s = simd.fma(simd.mul(x, x), simd.splat(INVERSE_OF_H), simd.splat(-1.0));
    simd.mul(x, polynomial(simd, s, &COEFFICIENTS))
}

/// The distribution function of the standard normal: `(1 + erf(x / √2)) / 2`.
#[inline(always)]
fn normal_cdf<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let half = simd.splat(0.5);
    simd.fma(erf(simd, simd.mul(x, simd.splat(FRAC_1_SQRT_2))), half, half)
}

/// `x Φ(x)`.
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    simd.mul(x, normal_cdf(simd, x))
}

/// `Φ(x) + x φ(x)`.
#[inline(always)]
pub(super) fn gelu_derivative<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    // Beyond, x φ(x) is 0 in f32; the clamp keeps ∞ · 0 out.
    let bounded = simd.max(simd.splat(-15.0), simd.min(simd.splat(15.0), x));
    let density = exp_bounded(simd, simd.mul(simd.mul(bounded, bounded), simd.splat(-0.5)));
    let slope = simd.mul(simd.mul(bounded, simd.splat(FRAC_1_SQRT_2_PI)), density);
    simd.add(normal_cdf(simd, x), slope)
}

/// `x σ(2u)`, `u = √(2/π) (x + 0.044715 x³)`: the same as `x/2 (1 + tanh u)`, without its cancellation.
#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    simd.mul(x, sigmoid(simd, gelu_tanh_inner(simd, x)))
}

/// `2u`.
#[inline(always)]
fn gelu_tanh_inner<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let inner = simd.fma(simd.mul(x, x), simd.splat(CUBIC), simd.splat(1.0));
    simd.mul(simd.mul(x, simd.splat(2.0 * SQRT_2_OVER_PI)), inner)
}

/// `σ(2u) + x σ(2u) (1 - σ(2u)) 2u'`, `u' = √(2/π) (1 + 3 · 0.044715 x²)`.
#[inline(always)]
fn gelu_tanh_derivative<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let one = simd.splat(1.0);
    let [gate, complement] = sigmoid_and_complement(simd, gelu_tanh_inner(simd, x));
    // Beyond, σ (1 - σ) is 0 in f32; the clamp keeps ∞ · 0 out.
    let bounded = simd.max(simd.splat(-20.0), simd.min(simd.splat(20.0), x));
    let inner = simd.fma(simd.mul(bounded, bounded), simd.splat(3.0 * CUBIC), one);
    let slope = simd.mul(simd.mul(bounded, simd.splat(2.0 * SQRT_2_OVER_PI)), inner);
    simd.fma(simd.mul(gate, complement), slope, gate)
}

/// `σ(x) (1 + x (1 - σ(x)))`.
#[inline(always)]
fn silu_derivative<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let one = simd.splat(1.0);
    let [s, complement] = sigmoid_and_complement(simd, x);
    // Beyond, the product with σ (1 - σ) is 0 in f32; the clamp keeps ∞ · 0 out.
    let bounded = simd.max(simd.splat(-105.0), simd.min(simd.splat(105.0), x));
    simd.mul(s, simd.fma(bounded, complement, one))
}

/// f(x), to be stored as a `T`.
#[inline(always)]
pub(crate) fn activation<S: Simd, T: Storage>(simd: S, function: Activation, x: S::F32) -> S::F32 {
    match function {
        Activation::Identity => x,
        Activation::Gelu if T::DTYPE == DType::BF16 => short_gelu(simd, x),
        Activation::Gelu => gelu(simd, x),
        Activation::GeluTanh => gelu_tanh(simd, x),
        // Zero first: NaN passes as the second operand.
        Activation::Relu => simd.max(simd.zero(), x),
        Activation::Tanh => tanh(simd, x),
        Activation::Silu => simd.mul(x, sigmoid(simd, x)),
    }
}

/// f'(x) from `saved`: x itself, or f(x) for `Tanh` and `Relu`. What it is a factor of will be stored as a `T`.
#[inline(always)]
pub(crate) fn activation_derivative<S: Simd, T: Storage>(simd: S, function: Activation, saved: S::F32) -> S::F32 {
    let one = simd.splat(1.0);
    match function {
        Activation::Identity => one,
        Activation::Gelu if T::DTYPE == DType::BF16 => short_gelu_derivative(simd, saved),
        Activation::Gelu => gelu_derivative(simd, saved),
        Activation::GeluTanh => gelu_tanh_derivative(simd, saved),
        Activation::Relu => simd.select(simd.less(simd.zero(), saved), one, simd.zero()),
        Activation::Tanh => simd.neg_fma(saved, saved, one),
        Activation::Silu => silu_derivative(simd, saved),
    }
}
