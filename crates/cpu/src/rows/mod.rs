//! Ops that work row by row or element by element: norms, embeddings, dropout, losses, the optimizer, copies.

pub(crate) mod activation;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod gather;
pub(crate) mod layer_norm;
pub(crate) mod loss;
pub(crate) mod optimizer;

use crate::Cpu;
use serin_tensor::AlignedBuffer;

pub(crate) fn write(_cpu: &Cpu, _buffer: &mut AlignedBuffer, _offset: usize, _values: &[f32]) {
    unimplemented!()
}

pub(crate) fn read(_cpu: &Cpu, _buffer: &AlignedBuffer, _offset: usize, _values: &mut [f32]) {
    unimplemented!()
}
