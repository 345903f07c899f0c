//! The gradient norm and AdamW.

use crate::Cpu;
use serin_ops::{AdamwSlot, AdamwStep, GradientNorm};
use serin_tensor::AlignedBuffer;

pub(crate) fn gradient_norm(_cpu: &Cpu, _gradients: &[(&AlignedBuffer, usize)]) -> GradientNorm {
    unimplemented!()
}

pub(crate) fn adamw(_cpu: &Cpu, _slots: &mut [AdamwSlot<'_, Cpu>], _step: AdamwStep) {
    unimplemented!()
}
