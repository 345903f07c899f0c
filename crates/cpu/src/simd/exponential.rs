//! eˣ and what is made of it.

use super::Simd;

/// eˣ: within 2 units in the last place, 0 below -104, infinite above 88.73, NaN for NaN.
///
/// Cephes' `expf` (S. Moshier): `x = n ln 2 + r`, a polynomial on `|r| <= ln 2 / 2`, times 2ⁿ.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    // NaN passes through both as their second operand.
    exp_bounded(simd, simd.max(simd.splat(-104.5), simd.min(simd.splat(89.0), x)))
}

/// [`exp`] for `|x| <= 150`.
#[inline(always)]
pub(super) fn exp_bounded<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts; the first has so few bits that its product with n is exact.
    let r = simd.neg_fma(n, simd.splat(0.693_359_4), x);
    let r = simd.neg_fma(n, simd.splat(-2.121_944_4e-4), r);
    let mut p = simd.splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 5e-1] {
        p = simd.fma(p, r, simd.splat(coefficient));
    }
    let p = simd.add(simd.fma(p, simd.mul(r, r), r), simd.splat(1.0));
    simd.scale(p, n)
}

/// The logistic function `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let one = simd.splat(1.0);
    simd.div(one, simd.add(one, exp(simd, simd.sub(simd.zero(), x))))
}

/// σ(x) and 1 - σ(x), neither from a difference.
#[inline(always)]
pub(super) fn sigmoid_and_complement<S: Simd>(simd: S, x: S::F32) -> [S::F32; 2] {
    // Below, both are what they are at the bound to within 1e-34, and e⁻ˣ stays finite.
    let decay = exp(simd, simd.sub(simd.zero(), simd.max(simd.splat(-80.0), x)));
    let s = simd.div(simd.splat(1.0), simd.add(simd.splat(1.0), decay));
    [s, simd.mul(decay, s)]
}

/// The hyperbolic tangent, within 2e-7 absolutely and relatively; exactly ±1 where f32 has nothing nearer.
///
/// Cephes' `tanhf` (S. Moshier): an odd polynomial below 0.625, `1 - 2 / (e²ˣ + 1)` from there on.
#[inline(always)]
pub(super) fn tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    const COEFFICIENTS: [f32; 5] = [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1];
    let (one, two) = (simd.splat(1.0), simd.splat(2.0));
    let square = simd.mul(x, x);
    let small = simd.fma(simd.mul(x, square), polynomial(simd, square, &COEFFICIENTS), x);
    let size = simd.abs(x);
    let large = simd.sub(one, simd.div(two, simd.add(exp(simd, simd.mul(size, two)), one)));
    let large = simd.select(simd.less(x, simd.zero()), simd.sub(simd.zero(), large), large);
    simd.select(simd.less(size, simd.splat(0.625)), small, large)
}

/// A polynomial by Horner's rule; the coefficient of the highest power comes first.
#[inline(always)]
pub(super) fn polynomial<S: Simd, const N: usize>(simd: S, x: S::F32, coefficients: &[f32; N]) -> S::F32 {
    let mut p = simd.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        p = simd.fma(p, x, simd.splat(coefficient));
    }
    p
}
