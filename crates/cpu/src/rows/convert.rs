//! Copies between storage types.

use super::split::{Parts, for_element_blocks};
use crate::Cpu;
use crate::simd::{Kernel, Simd, Storage, dispatch, for_dtype, for_vectors, read as load, write as store};
use serin_tensor::AlignedBuffer;

/// `to = from`.
pub(super) struct Convert<'a, From, To> {
    pub(super) from: &'a [From],
    pub(super) to: &'a mut [To],
}

impl<From: Storage, To: Storage> Kernel for Convert<'_, From, To> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let to = &mut self.to[..self.from.len()];
        for_vectors!(S, self.from.len(), columns => {
            store(simd, &mut to[columns.clone()], load(simd, &self.from[columns]));
        });
    }
}

/// Copies host values into a buffer from `offset` on, rounding to its type.
pub(crate) fn write(cpu: &Cpu, buffer: &mut AlignedBuffer, offset: usize, values: &[f32]) {
    for_dtype!(buffer.dtype(), T => {
        convert::<f32, T>(cpu, values, &mut buffer.as_mut_slice()[offset..][..values.len()]);
    });
}

/// Copies a buffer's elements from `offset` on to the host, widening.
pub(crate) fn read(cpu: &Cpu, buffer: &AlignedBuffer, offset: usize, values: &mut [f32]) {
    for_dtype!(buffer.dtype(), T => {
        convert::<T, f32>(cpu, &buffer.as_slice()[offset..][..values.len()], values);
    });
}

fn convert<From: Storage, To: Storage>(cpu: &Cpu, from: &[From], to: &mut [To]) {
    let to = Parts::new(to);
    for_element_blocks(cpu, from.len(), &|block| {
        // SAFETY: blocks are disjoint.
        let to = unsafe { to.part(block.clone()) };
        dispatch(cpu.isa, Convert { from: &from[block], to });
    });
}

/// Sets the first `len` elements to zero: gradients of a whole embedding table every step, so all threads write.
pub(crate) fn fill_zero(cpu: &Cpu, buffer: &mut AlignedBuffer, len: usize) {
    let size = buffer.dtype().size();
    let bytes = Parts::new(&mut buffer.as_mut_bytes()[..len * size]);
    for_element_blocks(cpu, len, &|block| {
        // SAFETY: blocks are disjoint.
        unsafe { bytes.part(block.start * size..block.end * size) }.fill(0);
    });
}
