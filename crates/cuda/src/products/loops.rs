//! Products on the emulator, whose memory is the host's: as plain as can be.

#![allow(unsafe_code)] // the emulator's addresses are host pointers

use super::{Matrix, Product};
use crate::device::Address;
use half::{bf16, f16};
use serin_tensor::{DType, Element};

/// Plain loops, each sum in the order of `depth`.
///
/// # Safety
/// The matrices and the bias are host memory that nothing writes to meanwhile; `out` overlaps none of them.
pub(crate) unsafe fn multiply(product: &Product) {
    let Product { rows, columns, depth, .. } = *product;
    // SAFETY: the caller's.
    let (left, right) =
        unsafe { (widened(&product.left, rows, depth, false), widened(&product.right, columns, depth, true)) };
    // Both with `depth` along a row.
    let sum = |row: usize, column: usize| {
        let pairs = left[row * depth..][..depth].iter().zip(&right[column * depth..][..depth]);
        pairs.fold(0.0f32, |sum, (a, b)| a.mul_add(*b, sum))
    };
    // SAFETY: the caller's.
    unsafe {
        match product.out_dtype {
            DType::F32 => store::<f32>(product, sum),
            DType::BF16 => store::<bf16>(product, sum),
            DType::F16 => store::<f16>(product, sum),
        }
    }
}

/// A matrix in f32 as `[outer, depth]`. Stored the other way it is transposed; `right` operands are `[depth, outer]` as they
/// are stored when the product does not transpose them.
///
/// # Safety
/// The matrix is host memory that nothing writes to meanwhile.
unsafe fn widened(matrix: &Matrix, outer: usize, depth: usize, right: bool) -> Vec<f32> {
    // SAFETY: the caller's.
    let stored: Vec<f32> = unsafe {
        match matrix.dtype {
            DType::F32 => load::<f32>(matrix.at, outer * depth),
            DType::BF16 => load::<bf16>(matrix.at, outer * depth),
            DType::F16 => load::<f16>(matrix.at, outer * depth),
        }
    };
    if matrix.transposed == right {
        return stored;
    }
    (0..outer * depth).map(|at| stored[at % depth * outer + at / depth]).collect()
}

/// # Safety
/// As [`widened`].
unsafe fn load<T: Element>(at: Address, len: usize) -> Vec<f32> {
    // SAFETY: the caller's; matrices begin at multiples of 256 bytes.
    unsafe { std::slice::from_raw_parts(at as *const T, len) }.iter().map(|value| value.to_f32()).collect()
}

/// # Safety
/// As [`widened`], and nothing else touches what is written.
unsafe fn store<T: Element>(product: &Product, sum: impl Fn(usize, usize) -> f32) {
    let Product { rows, columns, accumulate, bias, .. } = *product;
    // SAFETY: the caller's; a bias has the type of the result.
    let bias = bias.map(|at| unsafe { load::<T>(at, columns) });
    // SAFETY: the caller's; matrices begin at multiples of 256 bytes.
    let out = unsafe { std::slice::from_raw_parts_mut(product.out as *mut T, rows * columns) };
    for (at, to) in out.iter_mut().enumerate() {
        let before = if accumulate { to.to_f32() } else { 0.0 };
        let bias = bias.as_ref().map_or(0.0, |bias| bias[at % columns]);
        *to = T::from_f32(sum(at / columns, at % columns) + bias + before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_transpositions_give_the_same_product_with_its_bias() {
        // [2, 3] by [3, 4].
        let left: Vec<f32> = (1..7).map(|value| value as f32).collect();
        let right: Vec<f32> = (1..13).map(|value| value as f32).collect();
        let turned = |matrix: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..rows * columns).map(|at| matrix[at % rows * columns + at / rows]).collect()
        };
        let bias = [100.0f32, 200.0, 300.0, 400.0];
        let (left_turned, right_turned) = (turned(&left, 2, 3), turned(&right, 3, 4));
        for (left_transposed, left) in [(false, &left), (true, &left_turned)] {
            for (right_transposed, right) in [(false, &right), (true, &right_turned)] {
                let mut out = [1.0f32; 8];
                let matrix = |values: &[f32], transposed| Matrix {
                    at: values.as_ptr() as Address,
                    dtype: DType::F32,
                    transposed,
                };
                let product = Product {
                    left: matrix(left, left_transposed),
                    right: matrix(right, right_transposed),
                    bias: Some(bias.as_ptr() as Address),
                    out: out.as_mut_ptr() as Address,
                    out_dtype: DType::F32,
                    rows: 2,
                    columns: 4,
                    depth: 3,
                    accumulate: true,
                };
                // SAFETY: all four are live arrays of those sizes.
                unsafe { multiply(&product) };
                assert_eq!(out, [139.0, 245.0, 351.0, 457.0, 184.0, 299.0, 414.0, 529.0]);
            }
        }
    }
}
