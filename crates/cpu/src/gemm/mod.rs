//! Matrix products: a linear layer forward, with respect to its input, and with respect to its weight.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
mod backward_weight;
mod cut;
mod epilogue;
mod f32_kernel;
pub(crate) mod kernel;
mod pack;
#[cfg(target_arch = "x86_64")]
pub(crate) mod pack_pairs;
mod product;
mod scratch;
#[cfg(test)]
mod tests;
pub(crate) mod tiles;
mod weight;

pub(crate) use weight::PackedWeight;

use crate::Cpu;
use crate::matrix::{Matrix, Shared};
use crate::simd::{Storage, for_dtype};
use backward_weight::WeightGradient;
use epilogue::{BackwardInput, Forward, Through};
use f32_kernel::Vectors;
#[cfg(target_arch = "x86_64")]
use half::bf16;
use kernel::BlockKernel;
use pack::Pack;
use product::multiply;
use serin_ops::{Activation, InputGradient};
use serin_tensor::{AlignedBuffer, DType};
use tiles::View;
use weight::Format;

#[allow(clippy::too_many_arguments)]
pub(crate) fn linear(
    cpu: &Cpu,
    x: &AlignedBuffer,
    weight: &PackedWeight,
    bias: Option<&AlignedBuffer>,
    activation: Activation,
    rows: usize,
    pre_activation: Option<&mut AlignedBuffer>,
    y: &mut AlignedBuffer,
) {
    let call = Linear { x, weight, bias, activation, rows, pre_activation, y };
    with_kernel(cpu, weight.dtype(), weight.format(), call);
}

pub(crate) fn linear_backward_input(
    cpu: &Cpu,
    dy: &AlignedBuffer,
    weight: &PackedWeight,
    rows: usize,
    gradient: InputGradient<'_, Cpu>,
    dx: &mut AlignedBuffer,
) {
    with_kernel(cpu, weight.dtype(), weight.format(), LinearBackwardInput { dy, weight, rows, gradient, dx });
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn linear_backward_weight(
    cpu: &Cpu,
    dy: &AlignedBuffer,
    x: &AlignedBuffer,
    rows: usize,
    out_features: usize,
    in_features: usize,
    d_weight: &mut AlignedBuffer,
    d_bias: &mut AlignedBuffer,
) {
    let call = LinearBackwardWeight { dy, x, rows, out_features, in_features, d_weight, d_bias };
    with_kernel(cpu, dy.dtype(), Format::of(dy.dtype(), cpu.isa), call);
}

/// An op that is written once for all kernels.
trait Call {
    /// Runs with `kernel`, the operands of the call being stored as `T`.
    fn with<K: BlockKernel, T: Storage>(self, cpu: &Cpu, kernel: K)
    where
        K::Right: Pack<Element = T>;
}

/// Chooses the kernel: the best that multiplies panels of this type and format.
fn with_kernel(cpu: &Cpu, dtype: DType, format: Format, call: impl Call) {
    match format {
        #[cfg(target_arch = "x86_64")]
        Format::Pairs => match (cpu.isa.amx, cpu.isa.avx512_bf16) {
            (Some(kernel), _) => call.with::<_, bf16>(cpu, kernel),
            (None, Some(kernel)) => call.with::<_, bf16>(cpu, kernel),
            (None, None) => unreachable!("only where there are instructions for pairs"),
        },
        #[cfg(not(target_arch = "x86_64"))]
        Format::Pairs => unreachable!("only where there are instructions for pairs"),
        Format::Singles => for_dtype!(dtype, T => call.with::<_, T>(cpu, Vectors::<T>::NEW)),
    }
}

struct Linear<'a> {
    x: &'a AlignedBuffer,
    weight: &'a PackedWeight,
    bias: Option<&'a AlignedBuffer>,
    activation: Activation,
    rows: usize,
    pre_activation: Option<&'a mut AlignedBuffer>,
    y: &'a mut AlignedBuffer,
}

impl Call for Linear<'_> {
    fn with<K: BlockKernel, T: Storage>(self, cpu: &Cpu, kernel: K)
    where
        K::Right: Pack<Element = T>,
    {
        let (rows, columns) = (self.rows, self.weight.out_features());
        let x = View::of(Matrix::<T>::of(self.x, rows, self.weight.in_features()), rows);
        let epilogue = Forward {
            bias: self.bias.map(|bias| &bias.as_slice::<f32>()[..columns]),
            activation: self.activation,
            pre_activation: self.pre_activation.map(|values| Shared::of(values, rows, columns)),
            y: Shared::<T>::of(self.y, rows, columns),
        };
        multiply(cpu, kernel, x, self.weight.forward_panels(), columns, &epilogue);
    }
}

struct LinearBackwardInput<'a> {
    dy: &'a AlignedBuffer,
    weight: &'a PackedWeight,
    rows: usize,
    gradient: InputGradient<'a, Cpu>,
    dx: &'a mut AlignedBuffer,
}

impl Call for LinearBackwardInput<'_> {
    fn with<K: BlockKernel, T: Storage>(self, cpu: &Cpu, kernel: K)
    where
        K::Right: Pack<Element = T>,
    {
        let (rows, columns) = (self.rows, self.weight.in_features());
        let dy = View::of(Matrix::<T>::of(self.dy, rows, self.weight.out_features()), rows);
        let through = match self.gradient {
            InputGradient::Store => Through::Store,
            InputGradient::Accumulate => Through::Accumulate,
            InputGradient::ThroughActivation(activation, saved) => {
                Through::Activation(activation, Matrix::of(saved, rows, columns))
            }
        };
        let dx = Shared::<T>::of(self.dx, rows, columns);
        let epilogue = BackwardInput { through, dx };
        multiply(cpu, kernel, dy, self.weight.backward_panels(), columns, &epilogue);
    }
}

struct LinearBackwardWeight<'a> {
    dy: &'a AlignedBuffer,
    x: &'a AlignedBuffer,
    rows: usize,
    out_features: usize,
    in_features: usize,
    d_weight: &'a mut AlignedBuffer,
    d_bias: &'a mut AlignedBuffer,
}

impl Call for LinearBackwardWeight<'_> {
    fn with<K: BlockKernel, T: Storage>(self, cpu: &Cpu, kernel: K)
    where
        K::Right: Pack<Element = T>,
    {
        let gradient = WeightGradient {
            dy: Matrix::<T>::of(self.dy, self.rows, self.out_features),
            x: Matrix::of(self.x, self.rows, self.in_features),
            rows: self.rows,
        };
        gradient.add(cpu, kernel, self.d_weight.as_mut_slice(), self.d_bias.as_mut_slice());
    }
}
