//! Products of small f32 matrices that lie in cache, with sums in registers.

use crate::simd::Simd;

/// Widths and row strides of the right-hand matrices are multiples of this many f32.
pub(super) const LINE: usize = 32;
/// Rows whose sums are in registers at once.
pub(super) const ROWS: usize = 6;

/// `n` rounded up to whole lines.
pub(super) const fn padded(n: usize) -> usize {
    n.next_multiple_of(LINE)
}

/// The left-hand matrix, `[rows, inner]` with any strides, so also a transposed one.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    values: &'a [f32],
    row_stride: usize,
    inner_stride: usize,
}

impl<'a> Left<'a> {
    /// Rows of `stride` values.
    pub(super) fn dense(values: &'a [f32], stride: usize) -> Left<'a> {
        Left { values, row_stride: stride, inner_stride: 1 }
    }

    /// The transpose of a matrix with rows of `stride` values.
    pub(super) fn transposed(values: &'a [f32], stride: usize) -> Left<'a> {
        Left { values, row_stride: 1, inner_stride: stride }
    }
}

/// `c (+)= a b`: a `[rows, inner]`, b `[inner, width]` and c `[rows, width]` dense, `width` whole lines.
///
/// An element's products are added in the order of `inner`, whatever its neighbours.
#[inline(always)]
pub(super) fn multiply<S: Simd>(
    simd: S,
    a: Left<'_>,
    b: &[f32],
    c: &mut [f32],
    [rows, width, inner]: [usize; 3],
    accumulate: bool,
) {
    if rows == 0 || inner == 0 {
        return if !accumulate {
            c[..rows * width].fill(0.0)
        };
    }
    assert!(width.is_multiple_of(LINE) && b.len() >= inner * width && c.len() >= rows * width);
    assert!(a.values.len() > (rows - 1) * a.row_stride + (inner - 1) * a.inner_stride);
    let product = Product { simd, a, b: b.as_ptr(), c: c.as_mut_ptr(), width, inner, accumulate };
    // Of 32 registers four sums a row leave enough for b; AVX2 has 16.
    let strip = if S::LANES == 8 { 2 } else { 4 } * S::LANES;
    let mut column = 0;
    while column < width {
        let half = column + strip > width;
        let mut row = 0;
        while row < rows {
            let all = row + ROWS <= rows;
            // SAFETY: the matrices hold all of `rows`, `width` and `inner`, as asserted, and strips end within `width`,
            // which is whole lines, each a multiple of half a strip.
            unsafe {
                match (S::LANES == 8, half, all) {
                    (false, false, true) => product.block::<ROWS, 4>(row, column),
                    (false, false, false) => product.block::<1, 4>(row, column),
                    (_, _, true) => product.block::<ROWS, 2>(row, column),
                    (_, _, false) => product.block::<1, 2>(row, column),
                }
            }
            row += if all { ROWS } else { 1 };
        }
        column += if half { strip / 2 } else { strip };
    }
}

/// The operands of [`multiply`].
struct Product<'a, S> {
    simd: S,
    a: Left<'a>,
    b: *const f32,
    c: *mut f32,
    width: usize,
    inner: usize,
    accumulate: bool,
}

impl<S: Simd> Product<'_, S> {
    /// `R` rows by `V` vectors of c.
    ///
    /// # Safety
    /// They lie in c, which with a and b has the stated shape.
    #[inline(always)]
    unsafe fn block<const R: usize, const V: usize>(&self, row: usize, column: usize) {
        let simd = self.simd;
        let mut sums = [[simd.zero(); V]; R];
        // SAFETY: rows `row..row + R` of a and c, columns `column..column + V * LANES` of b and c: the caller's promise.
        unsafe {
            let a = self.a.values.as_ptr().add(row * self.a.row_stride);
            let c = |r: usize, v: usize| self.c.add((row + r) * self.width + column + v * S::LANES);
            if self.accumulate {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.load(c(r, v));
                    }
                }
            }
            for step in 0..self.inner {
                let b = self.b.add(step * self.width + column);
                let mut values = [simd.zero(); V];
                for (v, values) in values.iter_mut().enumerate() {
                    *values = simd.load(b.add(v * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor = simd.splat(*a.add(r * self.a.row_stride + step * self.a.inner_stride));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.fma(factor, value, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    simd.store(c(r, v), sum);
                }
            }
        }
    }
}
