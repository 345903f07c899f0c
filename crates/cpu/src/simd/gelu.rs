//! GELU and its derivative for results that are rounded to bf16, by tables.
//!
//! Beside tile products floating-point vectors have one port, on which a polynomial over the whole range takes longer than the
//! products; permutations, which look coefficients up, have another. |x| falls into 16 pieces, each with a short polynomial;
//! the last is constant. `scripts/gelu_tables.py` fits them.

use super::Simd;

/// Pieces of |x|.
const PIECES: usize = 16;
/// Added to a number from 0 to 2²² it leaves the nearest integer in the lowest bits.
const TO_INTEGER: f32 = 12_582_912.0;

/// The width of a piece for GELU; piece k is nearest to k times that.
const WIDTH: f32 = 0.34;
/// `Φ(|x|) - ½`, powers from the highest on.
#[rustfmt::skip]
const DISTRIBUTION: [[f32; PIECES]; 4] = [
    [
        -0.065_341_316, -0.054_487_42, -0.027_826_851, 0.001_693_621_2, 0.022_248_534, 0.029_434_709, 0.026_122_939, 0.018_233_215,
        0.010_547_738, 0.005_182_504, 0.002_192_271, 0.000_805_122_2, 0.000_258_145_5, 7.254_461e-5, 1.791_963_4e-5, 0.0,
    ],
    [
        -0.000_220_878_98, -0.008_018_183_5, -0.050_227_676, -0.125_553_22, -0.198_069_4, -0.230_037_39, -0.210_809_17, -0.158_318_01,
        -0.099_636_3, -0.053_315_66, -0.024_499_262, -0.009_736_203, -0.003_363_864_5, -0.001_014_443, -0.000_267_854_7, 0.0,
    ],
    [
        0.398_956_45, 0.400_868_48, 0.423_493, 0.487_970_08, 0.573_521, 0.620_978_95, 0.583_763_36, 0.467_244_77,
        0.317_783_6, 0.184_406_18, 0.091_799_09, 0.039_407_574, 0.014_654_382, 0.004_738_715, 0.001_336_719_7, 0.0,
    ],
    [
        -2.698_737_4e-7, -0.000_156_326_47, -0.004_254_782_6, -0.022_767_462, -0.056_520_704, -0.080_034_41, -0.056_023_47, 0.030_271_353,
        0.157_255_28, 0.285_345, 0.384_592_77, 0.446_591, 0.478_651_31, 0.492_604_23, 0.497_772_54, 0.5,
    ],
];

/// The same for its derivative.
const DERIVATIVE_WIDTH: f32 = 0.38;
/// `Φ(|x|) + |x| φ(x) - ½`.
#[rustfmt::skip]
const DERIVATIVE: [[f32; PIECES]; 5] = [
    [
        0.028_042_449, 0.095_291_525, 0.112_181_69, 0.053_248_324, -0.015_851_397, -0.044_480_298, -0.034_111_96, -0.012_700_933,
        0.000_717_066_4, 0.004_226_475, 0.003_124_455_2, 0.001_475_195_5, 0.000_521_442_04, 0.000_145_887_99, 3.319_35e-5, 0.0,
    ],
    [
        -0.270_589_98, -0.329_519_5, -0.356_198_25, -0.126_310_36, 0.238_265_77, 0.428_023_3, 0.338_114_14, 0.126_822_4,
        -0.024_714_742, -0.069_117_97, -0.052_956_64, -0.026_694_532, -0.010_115_777, -0.003_030_614_7, -0.000_736_428_7, 0.0,
    ],
    [
        0.000_312_543_62, 0.021_219_004, 0.034_687_992, -0.303_858_88, -1.028_130_2, -1.500_61, -1.208_224, -0.425_389_1,
        0.216_931_69, 0.427_692_03, 0.338_794_02, 0.181_902_75, 0.073_794_09, 0.023_653_457, 0.006_135_084, 0.0,
    ],
    [
        0.797_877_2, 0.794_405_5, 0.792_636_63, 1.015_613_4, 1.657_721_5, 2.181_547, 1.758_920_3, 0.468_336_58,
        -0.742_759_2, -1.187_544_1, -0.970_164_8, -0.553_407_25, -0.239_970_71, -0.082_216_64, -0.022_748_308, 0.0,
    ],
    [
        2.795_083e-8, 0.000_222_027_9, 1.226_562_7e-5, -0.055_376_463, -0.269_719_5, -0.487_923_35, -0.258_825_5, 0.539_981_66,
        1.397_053_8, 1.749_196_4, 1.549_822_8, 1.134_488_7, 0.793_582_74, 0.607_400_83, 0.531_679_15, 0.5,
    ],
];

/// `x Φ(x)` within 2.5e-6.
#[inline(always)]
pub(super) fn short_gelu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let half = simd.mul(x, simd.splat(0.5));
    simd.fma(simd.abs(x), of_size(simd, x, WIDTH, &DISTRIBUTION), half)
}

/// `Φ(x) + x φ(x)` within 3e-6.
#[inline(always)]
pub(super) fn short_gelu_derivative<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let (zero, half) = (simd.zero(), simd.splat(0.5));
    let slope = of_size(simd, x, DERIVATIVE_WIDTH, &DERIVATIVE);
    simd.select(simd.less(x, zero), simd.sub(half, slope), simd.add(half, slope))
}

/// A function of |x| by a table; NaN stays NaN.
#[inline(always)]
fn of_size<S: Simd, const N: usize>(simd: S, x: S::F32, width: f32, table: &[[f32; PIECES]; N]) -> S::F32 {
    // Anything in the last piece will do there.
    let size = simd.min(simd.splat((PIECES as f32 - 0.8) * width), simd.abs(x));
    let piece = simd.fma(size, simd.splat(1.0 / width), simd.splat(TO_INTEGER));
    let mut sum = simd.lookup(&table[0], piece);
    for powers in &table[1..] {
        sum = simd.fma(sum, size, simd.lookup(powers, piece));
    }
    sum
}
