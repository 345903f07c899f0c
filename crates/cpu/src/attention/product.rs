//! Products of small f32 matrices that lie in cache.

use super::compile::Arithmetic;

/// Widths and row strides of the right-hand matrices are multiples of this many f32: a cache line.
pub(super) const LINE: usize = 16;

/// `n` rounded up to whole lines.
pub(super) const fn padded(n: usize) -> usize {
    n.next_multiple_of(LINE)
}

/// The left-hand matrix, `[rows, inner]` with any strides, so also a transposed one.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) values: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) inner_stride: usize,
}

/// `c (+)= a b`: a `[rows, inner]`, b `[inner, width]` and c `[rows, width]` dense, `width` whole lines.
#[inline(always)]
pub(super) fn multiply<A: Arithmetic>(
    a: Left<'_>,
    b: &[f32],
    c: &mut [f32],
    [rows, width, inner]: [usize; 3],
    accumulate: bool,
) {
    assert!(width % LINE == 0 && b.len() >= inner * width && c.len() >= rows * width);
    for row in 0..rows {
        let sums = &mut c[row * width..][..width];
        if !accumulate {
            sums.fill(0.0);
        }
        for step in 0..inner {
            let factor = a.values[row * a.row_stride + step * a.inner_stride];
            for (sum, value) in sums.iter_mut().zip(&b[step * width..][..width]) {
                *sum = A::multiply_add(factor, *value, *sum);
            }
        }
    }
}
