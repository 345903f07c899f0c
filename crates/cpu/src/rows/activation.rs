//! Backward of the element-wise activations.

use super::split::for_element_blocks;
use crate::Cpu;
use crate::matrix::Shared;
use crate::simd::{Kernel, Simd, Storage, activation_derivative, dispatch, for_dtype, for_vectors, read, write};
use serin_ops::Activation;
use serin_tensor::AlignedBuffer;

/// `d ⊙= f'(saved)`.
struct ThroughActivation<'a, T> {
    function: Activation,
    saved: &'a [T],
    d: &'a mut [T],
}

impl<T: Storage> Kernel for ThroughActivation<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // One loop a function, each without a branch on it.
        match self.function {
            Activation::Identity => {}
            Activation::Gelu => self.each(simd, Activation::Gelu),
            Activation::GeluTanh => self.each(simd, Activation::GeluTanh),
            Activation::Relu => self.each(simd, Activation::Relu),
            Activation::Tanh => self.each(simd, Activation::Tanh),
            Activation::Silu => self.each(simd, Activation::Silu),
        }
    }
}

impl<T: Storage> ThroughActivation<'_, T> {
    #[inline(always)]
    fn each<S: Simd>(self, simd: S, function: Activation) {
        for_vectors!(S, self.d.len(), columns => {
            let slope = activation_derivative::<S, T>(simd, function, read(simd, &self.saved[columns.clone()]));
            let d = &mut self.d[columns];
            write(simd, d, simd.mul(read(simd, d), slope));
        });
    }
}

pub(crate) fn activation_backward(
    cpu: &Cpu,
    function: Activation,
    saved: &AlignedBuffer,
    rows: usize,
    width: usize,
    d: &mut AlignedBuffer,
) {
    assert_eq!(d.order(width), saved.order(width), "both lie in one order");
    let len = d.order(width).len(rows);
    for_dtype!(d.dtype(), T => {
        let saved = &saved.elements::<T>()[..len];
        let d = Shared::of_slice(&mut d.elements_mut::<T>()[..len]);
        for_element_blocks(cpu, len, &|block| {
            // SAFETY: blocks are disjoint.
            let d = unsafe { d.piece(0, block.clone()) };
            dispatch(cpu.isa, ThroughActivation { function, saved: &saved[block], d });
        });
    });
}
