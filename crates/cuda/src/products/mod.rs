//! Matrix products: cuBLASLt on a card, plain loops for the emulator.

mod cublaslt;
pub(crate) mod linear;
mod loops;

pub(crate) use cublaslt::CublasLt;
pub(crate) use loops::multiply as multiply_by_loops;

use crate::device::Address;
use serin_tensor::DType;
use std::fmt;

/// A matrix in memory, row-major without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Matrix {
    /// Its first element.
    pub(crate) at: Address,
    /// Its type.
    pub(crate) dtype: DType,
    /// Whether the product takes it transposed.
    pub(crate) transposed: bool,
}

/// `out[rows, columns] = left[rows, depth] right[depth, columns]`, plus a bias for each column, plus what `out` held if
/// `accumulate`; sums in f32, rounded once. The shapes are those after transposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Product {
    pub(crate) left: Matrix,
    pub(crate) right: Matrix,
    /// `[columns]`, in the type of `out`.
    pub(crate) bias: Option<Address>,
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
        let bias = if self.bias.is_some() { " with a bias" } else { "" };
        write!(f, "[{rows}, {depth}] by [{depth}, {columns}]{bias} in {} to {out_dtype}", left.dtype)
    }
}
