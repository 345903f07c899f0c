//! Matrix products: a linear layer forward, with respect to its input, and with respect to its weight.

use crate::Cpu;
use serin_ops::{Activation, InputGradient};
use serin_tensor::{AlignedBuffer, DType};

/// A linear layer's matrix `[out, in]` laid out for the products of one storage type.
pub struct PackedWeight {}

impl PackedWeight {
    pub(crate) fn pack(
        _cpu: &Cpu,
        _values: &[f32],
        _out_features: usize,
        _in_features: usize,
        _dtype: DType,
        _trainable: bool,
    ) -> PackedWeight {
        unimplemented!()
    }

    pub(crate) fn refresh(&mut self, _cpu: &Cpu, _master: &[f32]) {
        unimplemented!()
    }
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn linear(
    _cpu: &Cpu,
    _x: &AlignedBuffer,
    _weight: &PackedWeight,
    _bias: Option<&AlignedBuffer>,
    _activation: Activation,
    _rows: usize,
    _pre_activation: Option<&mut AlignedBuffer>,
    _y: &mut AlignedBuffer,
) {
    unimplemented!()
}

pub(crate) fn linear_backward_input(
    _cpu: &Cpu,
    _dy: &AlignedBuffer,
    _weight: &PackedWeight,
    _rows: usize,
    _gradient: InputGradient<'_, Cpu>,
    _dx: &mut AlignedBuffer,
) {
    unimplemented!()
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn linear_backward_weight(
    _cpu: &Cpu,
    _dy: &AlignedBuffer,
    _x: &AlignedBuffer,
    _rows: usize,
    _out_features: usize,
    _in_features: usize,
    _d_weight: &mut AlignedBuffer,
    _d_bias: &mut AlignedBuffer,
) {
    unimplemented!()
}
