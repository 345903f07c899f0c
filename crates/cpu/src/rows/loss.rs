//! The losses of a classifier's logits and their gradients.

use crate::Cpu;
use serin_ops::LossKind;
use serin_tensor::AlignedBuffer;

#[allow(clippy::too_many_arguments)]
pub(crate) fn loss(
    _cpu: &Cpu,
    _kind: LossKind,
    _logits: &AlignedBuffer,
    _targets: &AlignedBuffer,
    _rows: usize,
    _labels: usize,
    _gradient_scale: f32,
    _losses: &mut AlignedBuffer,
    _d_logits: Option<&mut AlignedBuffer>,
) {
    unimplemented!()
}
