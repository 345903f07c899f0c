//! The activations of [`Activation`] and their derivatives, on vectors.

use super::Simd;
use super::exponential::{exp, polynomial, sigmoid, tanh};
use serin_ops::Activation;
use std::f32::consts::FRAC_1_SQRT_2;

/// √(2/π).
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// 1/√(2π).
const FRAC_1_SQRT_2_PI: f32 = 0.398_942_3;
/// The coefficient of x³ in GELU's tanh form.
const CUBIC: f32 = 0.044_715;

/// The error function, within 4e-7 absolutely; exactly ±1 from ±3.8 on.
///
/// `x p(x²)` with a minimax polynomial of degree 14 in `(x² - h) / h`, `h = 3.8² / 2`, fitted by Lawson's iteration on
/// the absolute error (5e-8 before rounding). No division: on AVX-512 one costs as much as the whole polynomial.
#[inline(always)]
pub(crate) fn erf<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const SATURATION: f32 = 3.8;
    const INVERSE_OF_H: f32 = 2.0 / (SATURATION * SATURATION);
    // The last coefficient is raised by 2.6e-8, so that the value at ±3.8 is beyond ±1 and the clamp makes it exact.
    const COEFFICIENTS: [f32; 15] = [
        1.022_088_3e-3,
        -2.695_760_7e-3,
        2.367_271_6e-3,
        -3.299_464_5e-3,
        9.949_528e-3,
        -1.833_327_9e-2,
        2.669_302_2e-2,
        -3.893_964_7e-2,
        5.505_656_5e-2,
        -7.251_55e-2,
        9.083_27e-2,
        -1.111_855_73e-1,
        1.377_395_1e-1,
        -1.856_412e-1,
        3.721_076_8e-1,
    ];
    let x = simd.max(simd.splat(-SATURATION), simd.min(simd.splat(SATURATION), x));
    let s = simd.fma(simd.mul(x, x), simd.splat(INVERSE_OF_H), simd.splat(-1.0));
    let value = simd.mul(x, polynomial(simd, s, &COEFFICIENTS));
    simd.max(simd.splat(-1.0), simd.min(simd.splat(1.0), value))
}

/// The distribution function of the standard normal: `(1 + erf(x / √2)) / 2`.
#[inline(always)]
fn normal_cdf<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let half = simd.splat(0.5);
    simd.fma(erf(simd, simd.mul(x, simd.splat(FRAC_1_SQRT_2))), half, half)
}

/// `x Φ(x)`.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    simd.mul(x, normal_cdf(simd, x))
}

/// `Φ(x) + x φ(x)`.
#[inline(always)]
pub(crate) fn gelu_derivative<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    // Beyond, x φ(x) is 0 in f32; the clamp keeps ∞ · 0 out.
    let bounded = simd.max(simd.splat(-20.0), simd.min(simd.splat(20.0), x));
    let density = exp(simd, simd.mul(simd.mul(bounded, bounded), simd.splat(-0.5)));
    let slope = simd.mul(simd.mul(bounded, simd.splat(FRAC_1_SQRT_2_PI)), density);
    simd.add(normal_cdf(simd, x), slope)
}

/// `tanh(√(2/π) (x + 0.044715 x³))`.
#[inline(always)]
fn gelu_tanh_inner<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let square = simd.mul(x, x);
    let inner = simd.mul(x, simd.fma(square, simd.splat(CUBIC), simd.splat(1.0)));
    tanh(simd, simd.mul(inner, simd.splat(SQRT_2_OVER_PI)))
}

#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let half = simd.splat(0.5);
    simd.mul(x, simd.fma(gelu_tanh_inner(simd, x), half, half))
}

/// `(1 + t)/2 + x/2 (1 - t²) √(2/π) (1 + 3 · 0.044715 x²)` with t the tanh.
#[inline(always)]
fn gelu_tanh_derivative<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let (one, half) = (simd.splat(1.0), simd.splat(0.5));
    let t = gelu_tanh_inner(simd, x);
    // Beyond, 1 - t² is 0 in f32; the clamp keeps ∞ · 0 out.
    let bounded = simd.max(simd.splat(-20.0), simd.min(simd.splat(20.0), x));
    let inner = simd.fma(simd.mul(bounded, bounded), simd.splat(3.0 * CUBIC), one);
    let slope = simd.mul(simd.mul(bounded, simd.splat(0.5 * SQRT_2_OVER_PI)), inner);
    simd.fma(simd.neg_fma(t, t, one), slope, simd.fma(t, half, half))
}

/// `σ(x) (1 + x (1 - σ(x)))`.
#[inline(always)]
fn silu_derivative<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let one = simd.splat(1.0);
    let s = sigmoid(simd, x);
    // Beyond, the product with 1 - σ or with σ is 0 in f32; the clamp keeps ∞ · 0 out.
    let bounded = simd.max(simd.splat(-105.0), simd.min(simd.splat(105.0), x));
    simd.mul(s, simd.fma(bounded, simd.sub(one, s), one))
}

/// f(x).
#[inline(always)]
pub(crate) fn activation<S: Simd>(simd: S, function: Activation, x: S::F32) -> S::F32 {
    match function {
        Activation::Identity => x,
        Activation::Gelu => gelu(simd, x),
        Activation::GeluTanh => gelu_tanh(simd, x),
        // Zero first: NaN passes as the second operand.
        Activation::Relu => simd.max(simd.zero(), x),
        Activation::Tanh => tanh(simd, x),
        Activation::Silu => simd.mul(x, sigmoid(simd, x)),
    }
}

/// f'(x) from `saved`: x itself, or f(x) for `Tanh` and `Relu`.
#[inline(always)]
pub(crate) fn activation_derivative<S: Simd>(simd: S, function: Activation, saved: S::F32) -> S::F32 {
    let one = simd.splat(1.0);
    match function {
        Activation::Identity => one,
        Activation::Gelu => gelu_derivative(simd, saved),
        Activation::GeluTanh => gelu_tanh_derivative(simd, saved),
        Activation::Relu => simd.select(simd.less(simd.zero(), saved), one, simd.zero()),
        Activation::Tanh => simd.neg_fma(saved, saved, one),
        Activation::Silu => silu_derivative(simd, saved),
    }
}
