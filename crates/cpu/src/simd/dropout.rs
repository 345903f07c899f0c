//! Dropout's mask bits for vectors of columns: the bits of [`serin_ops::keep`].

use super::Simd;

/// Which of the `2 * LANES` columns from `column` (even) on are kept: `LANES` a mask.
///
/// `row_key` is that of [`serin_ops::Dropout::row_key`], `threshold` that of the dropout.
#[inline(always)]
pub(crate) fn keep_pair<S: Simd>(simd: S, row_key: u32, column: u32, threshold: u32) -> [S::Mask; 2] {
    let pair = simd.add_u32(simd.lane_numbers(), simd.splat_u32(column / 2));
    // `serin_ops::draws`, a hash a lane.
    let x = simd.xor_u32(simd.splat_u32(row_key), simd.mul_u32(pair, simd.splat_u32(0x9e37_79b9)));
    let x = simd.xor_u32(x, simd.shift_right_u32::<16>(x));
    let x = simd.mul_u32(x, simd.splat_u32(0x7feb_352d));
    let x = simd.xor_u32(x, simd.shift_right_u32::<15>(x));
    let x = simd.mul_u32(x, simd.splat_u32(0x846c_a68b));
    let x = simd.xor_u32(x, simd.shift_right_u32::<16>(x));
    simd.halves_at_least(x, threshold)
}

/// Drops elements of two neighbouring vectors of columns and scales the rest.
#[inline(always)]
pub(crate) fn drop_pair<S: Simd>(simd: S, keep: [S::Mask; 2], scale: S::F32, values: [S::F32; 2]) -> [S::F32; 2] {
    let [first, second] = values;
    [
        simd.select(keep[0], simd.mul(first, scale), simd.zero()),
        simd.select(keep[1], simd.mul(second, scale), simd.zero()),
    ]
}
