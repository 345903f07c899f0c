//! Dropout in place.

use crate::Cpu;
use serin_ops::Dropout;
use serin_tensor::AlignedBuffer;

pub(crate) fn dropout(_cpu: &Cpu, _x: &mut AlignedBuffer, _dropout: Dropout, _rows: usize, _width: usize) {
    unimplemented!()
}
