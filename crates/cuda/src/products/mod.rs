//! Matrix products: cuBLASLt on a card, plain loops for the emulator.

mod cublaslt;
pub(crate) mod linear;
mod loops;

pub(crate) use cublaslt::CublasLt;
pub(crate) use loops::Loops;

use crate::device::Address;
use crate::error::CudaError;
use serin_tensor::DType;
use std::fmt;

/// A matrix in memory, row-major without gaps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    /// Its first element.
    pub(crate) at: Address,
    /// Its type.
    pub(crate) dtype: DType,
    /// Whether the product takes it transposed.
    pub(crate) transposed: bool,
}

/// `out[rows, columns] = left[rows, depth] right[depth, columns]`, plus what `out` held if `accumulate`; sums in f32, rounded
/// once. The shapes are those after transposition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) left: Matrix,
    pub(crate) right: Matrix,
    pub(crate) out: Address,
    pub(crate) out_dtype: DType,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
    pub(crate) accumulate: bool,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Product { rows, columns, depth, left, out_dtype, .. } = self;
        write!(f, "[{rows}, {depth}] by [{depth}, {columns}] in {} to {out_dtype}", left.dtype)
    }
}

/// Whoever multiplies.
pub(crate) trait Multiply: Send + Sync {
    /// Enqueues a product.
    ///
    /// # Safety
    /// The three matrices are in allocations of the device, and `out` overlaps neither operand.
    #[allow(unsafe_code)]
    unsafe fn multiply(&self, product: &Product) -> Result<(), CudaError>;
}
