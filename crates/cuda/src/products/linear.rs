//! Linear layers: products with what surrounds them.
//!
//! In 16 bits the bias is rounded before it is added, a pre-activation before its activation, and a gradient before the
//! activation's derivative: as PyTorch's autocast does. Nothing is then kept in f32 between two kernels, and a bias without an
//! activation costs nothing.

#![allow(unsafe_code)] // products of addresses that buffers vouch for

use super::{Matrix, Product};
use crate::Cuda;
use crate::device::{Address, Device};
use crate::error::CudaError;
use crate::launch::product::{add_column_sums, apply_activation, rounded, through_activation};
use crate::memory::{Buffer, Scratch};
use serin_ops::{Activation, InputGradient};
use serin_tensor::DType;

/// The matrix of a linear layer, row-major `[out_features, in_features]`: both passes multiply with it as it lies.
pub struct Weight {
    pub(crate) matrix: Buffer,
    pub(crate) out_features: usize,
    pub(crate) in_features: usize,
}

impl Weight {
    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.out_features * self.in_features
    }

    fn operand(&self, transposed: bool) -> Matrix {
        operand(&self.matrix, self.matrix.dtype(), self.len(), transposed)
    }
}

fn operand(buffer: &Buffer, dtype: DType, len: usize, transposed: bool) -> Matrix {
    Matrix { at: buffer.at(dtype, len), dtype, transposed }
}

/// What a linear layer runs on.
pub(crate) struct Linear<'a> {
    pub(crate) device: &'a dyn Device,
    pub(crate) scratch: &'a mut Scratch,
}

/// Factors, and what is added to their product.
struct Terms {
    left: Matrix,
    right: Matrix,
    bias: Option<Address>,
    accumulate: bool,
}

impl Linear<'_> {
    /// Multiplies `[rows, depth]` by `[depth, columns]`.
    ///
    /// # Safety
    /// The matrices hold as many elements as their shapes say, the bias one a column of the type of `out`.
    unsafe fn multiply(
        &self,
        terms: Terms,
        [rows, columns, depth]: [usize; 3],
        out: &mut Buffer,
    ) -> Result<(), CudaError> {
        let Terms { left, right, bias, accumulate } = terms;
        let out_dtype = out.dtype();
        let out = out.at(out_dtype, rows * columns);
        let product = Product { left, right, bias, out, out_dtype, rows, columns, depth, accumulate };
        // SAFETY: the caller's; results are never operands.
        unsafe { self.device.multiply(&product) }
    }

    /// `y = f(x Wᵀ + b)`.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn forward(
        &mut self,
        x: &Buffer,
        weight: &Weight,
        bias: Option<&Buffer>,
        activation: Activation,
        rows: usize,
        mut pre_activation: Option<&mut Buffer>,
        y: &mut Buffer,
    ) -> Result<(), CudaError> {
        let Weight { out_features, in_features, .. } = *weight;
        let (dtype, len) = (weight.matrix.dtype(), rows * out_features);
        if len == 0 {
            return Ok(());
        }
        let to = pre_activation.as_deref_mut().unwrap_or(&mut *y);
        assert_eq!(to.dtype(), dtype, "a linear layer's result has another type than its matrix");
        let bias = bias.map(|bias| rounded(self.device, self.scratch, bias, dtype, out_features)).transpose()?;
        let (left, right) = (operand(x, dtype, rows * in_features, false), weight.operand(true));
        let terms = Terms { left, right, bias, accumulate: false };
        // SAFETY: `operand` saw that x and W are as large as their shapes, `rounded` that the bias is.
        unsafe { self.multiply(terms, [rows, out_features, in_features], to)? };
        if activation == Activation::Identity && pre_activation.is_none() {
            return Ok(());
        }
        apply_activation(self.device, pre_activation.as_deref(), activation, len, y)
    }

    /// The gradient with respect to x.
    pub(crate) fn backward_input(
        &mut self,
        dy: &Buffer,
        weight: &Weight,
        rows: usize,
        gradient: InputGradient<'_, Cuda>,
        dx: &mut Buffer,
    ) -> Result<(), CudaError> {
        let Weight { out_features, in_features, .. } = *weight;
        let (dtype, len) = (weight.matrix.dtype(), rows * in_features);
        if len == 0 {
            return Ok(());
        }
        assert_eq!(dx.dtype(), dtype, "a linear layer's gradient has another type than its matrix");
        let accumulate = matches!(gradient, InputGradient::Accumulate);
        let (left, right) = (operand(dy, dtype, rows * out_features, false), weight.operand(false));
        let terms = Terms { left, right, bias: None, accumulate };
        // SAFETY: as in the forward pass.
        unsafe { self.multiply(terms, [rows, in_features, out_features], dx)? };
        match gradient {
            InputGradient::ThroughActivation(activation, saved) => {
                through_activation(self.device, activation, saved, len, dx)
            }
            InputGradient::Store | InputGradient::Accumulate => Ok(()),
        }
    }

    /// `dW += dyᵀ x` and `db += Σ_rows dy`.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn backward_weight(
        &mut self,
        dy: &Buffer,
        x: &Buffer,
        rows: usize,
        out_features: usize,
        in_features: usize,
        d_weight: &mut Buffer,
        d_bias: &mut Buffer,
    ) -> Result<(), CudaError> {
        if rows == 0 {
            return Ok(());
        }
        let dtype = dy.dtype();
        assert_eq!(d_weight.dtype(), DType::F32, "gradients of weights are in f32");
        let left = operand(dy, dtype, rows * out_features, true);
        let right = operand(x, dtype, rows * in_features, false);
        let terms = Terms { left, right, bias: None, accumulate: true };
        // SAFETY: as in the forward pass.
        unsafe { self.multiply(terms, [out_features, in_features, rows], d_weight)? };
        add_column_sums(self.device, self.scratch, dy, rows, out_features, d_bias)
    }
}
