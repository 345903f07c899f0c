//! Backward of the element-wise activations.

use crate::Cpu;
use serin_ops::Activation;
use serin_tensor::AlignedBuffer;

pub(crate) fn activation_backward(
    _cpu: &Cpu,
    _activation: Activation,
    _saved: &AlignedBuffer,
    _rows: usize,
    _width: usize,
    _d: &mut AlignedBuffer,
) {
    unimplemented!()
}
