//! Linear layers: products with what follows them.

#![allow(unsafe_code)] // products of addresses that buffers vouch for

use super::{Matrix, Multiply, Product};
use crate::Cuda;
use crate::device::Device;
use crate::error::CudaError;
use crate::launch::product::{Raw, add_column_sums, bias_activation, through_activation};
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
    pub(crate) products: &'a dyn Multiply,
    pub(crate) scratch: &'a mut Scratch,
}

impl Linear<'_> {
    /// Multiplies `[rows, depth]` by `[depth, columns]` into memory at `out`.
    ///
    /// # Safety
    /// The matrices hold as many elements as their shapes say.
    unsafe fn multiply(
        &self,
        left: Matrix,
        right: Matrix,
        [rows, columns, depth]: [usize; 3],
        out: Raw,
        accumulate: bool,
    ) -> Result<(), CudaError> {
        let product = Product {
            left,
            right,
            out: out.at(rows * columns),
            out_dtype: out.dtype(),
            rows,
            columns,
            depth,
            accumulate,
        };
        // SAFETY: the caller's; results are never operands.
        unsafe { self.products.multiply(&product) }
    }

    /// Where a product goes that a kernel then turns into `result`, so that it is rounded once: there, if that is in f32.
    fn unrounded(&mut self, result: &Buffer, len: usize) -> Result<Raw, CudaError> {
        if result.dtype() == DType::F32 { Ok(Raw::of(result, len)) } else { Raw::between(self.scratch, len) }
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
        pre_activation: Option<&mut Buffer>,
        y: &mut Buffer,
    ) -> Result<(), CudaError> {
        let Weight { out_features, in_features, .. } = *weight;
        let (dtype, len) = (weight.matrix.dtype(), rows * out_features);
        if len == 0 {
            return Ok(());
        }
        let plain = bias.is_none() && activation == Activation::Identity && pre_activation.is_none();
        assert_eq!(y.dtype(), dtype, "a linear layer's result has another type than its matrix");
        let to = if plain { Raw::of(y, len) } else { self.unrounded(y, len)? };
        let (x, matrix) = (operand(x, dtype, rows * in_features, false), weight.operand(true));
        // SAFETY: `operand` saw that x and W are as large as their shapes.
        unsafe { self.multiply(x, matrix, [rows, out_features, in_features], to, false)? };
        if plain {
            return Ok(());
        }
        bias_activation(self.device, to, bias, activation, rows, out_features, pre_activation, y)
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
        let through = match gradient {
            InputGradient::ThroughActivation(Activation::Identity, _) => None,
            InputGradient::ThroughActivation(activation, saved) => Some((activation, saved)),
            InputGradient::Store | InputGradient::Accumulate => None,
        };
        let accumulate = matches!(gradient, InputGradient::Accumulate);
        assert_eq!(dx.dtype(), dtype, "a linear layer's gradient has another type than its matrix");
        let to = if through.is_some() { self.unrounded(dx, len)? } else { Raw::of(dx, len) };
        let (dy, matrix) = (operand(dy, dtype, rows * out_features, false), weight.operand(false));
        // SAFETY: as in the forward pass.
        unsafe { self.multiply(dy, matrix, [rows, in_features, out_features], to, accumulate)? };
        let Some((activation, saved)) = through else { return Ok(()) };
        through_activation(self.device, to, activation, saved, len, dx)
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
        let to = Raw::of(d_weight, out_features * in_features);
        let left = operand(dy, dtype, rows * out_features, true);
        let right = operand(x, dtype, rows * in_features, false);
        // SAFETY: as in the forward pass.
        unsafe { self.multiply(left, right, [out_features, in_features, rows], to, true)? };
        add_column_sums(self.device, self.scratch, dy, rows, out_features, d_bias)
    }
}
