//! eˣ and what is made of it.

use super::Simd;

/// eˣ: within 2 units in the last place, 0 below -104, infinite above 88.73, NaN for NaN.
///
/// Cephes' `expf` (S. Moshier): `x = n ln 2 + r`, a polynomial on `|r| <= ln 2 / 2`, times 2ⁿ.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    // NaN passes through both as their second operand.
    let x = simd.max(simd.splat(-104.5), simd.min(simd.splat(89.0), x));
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts; the first has so few bits that its product with n is exact.
    let r = simd.neg_fma(n, simd.splat(0.693_359_375), x);
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
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let one = simd.splat(1.0);
    simd.div(one, simd.add(one, exp(simd, simd.sub(simd.zero(), x))))
}

/// The hyperbolic tangent, within 2e-7 absolutely: the rational approximation of degree 13/6 of Eigen's
/// `generic_fast_tanh_float`.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    // From here on the quotient is 1.
    const SATURATION: f32 = 7.998_811_7;
    const ODD: [f32; 7] =
        [-2.760_768_5e-16, 2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_3e-5, 6.372_619_5e-4, 4.893_524_6e-3];
    const EVEN: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
    let x = simd.max(simd.splat(-SATURATION), simd.min(simd.splat(SATURATION), x));
    let square = simd.mul(x, x);
    let numerator = simd.mul(x, polynomial(simd, square, &ODD));
    let quotient = simd.div(numerator, polynomial(simd, square, &EVEN));
    simd.max(simd.splat(-1.0), simd.min(simd.splat(1.0), quotient))
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
