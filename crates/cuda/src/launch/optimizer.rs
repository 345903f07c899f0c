//! `kernels/gradient_norm.cu` and `adamw.cu`: all tensors in one launch.

#![allow(unsafe_code)] // launches

use super::{Argument, blocks, line, run, untyped};
use crate::Cuda;
use crate::device::{Address, Device};
use crate::error::CudaError;
use crate::memory::{Buffer, Scratch};
use bytemuck::{Pod, Zeroable};
use serin_ops::{AdamwSlot, AdamwStep, GradientNorm};
use serin_tensor::DType;

/// Elements of one tensor that a block goes through.
const CHUNK: usize = 16384;

/// `GradientSlot` of the kernel.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Gradient {
    values: Address,
    len: u64,
    first_chunk: u64,
}

/// `AdamwSlot` of the kernel.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Slot {
    parameter: Address,
    gradient: Address,
    first_moment: Address,
    second_moment: Address,
    len: u64,
    first_chunk: u64,
    keep: f32,
    step_size: f32,
}

/// `AdamwFactors` of the kernel: as `torch.optim.AdamW` computes them, in f64, each rounded once.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Factors {
    gradient_scale: f32,
    first_gain: f32,
    second_keep: f32,
    second_gain: f32,
    second_correction: f32,
    epsilon: f32,
}

/// The sum of squares of all gradients, and whether all are finite.
pub(crate) fn gradient_norm(
    device: &dyn Device,
    scratch: &mut Scratch,
    gradients: &[(&Buffer, usize)],
) -> Result<GradientNorm, CudaError> {
    let mut chunks = 0;
    let mut slots = Vec::with_capacity(gradients.len());
    for &(buffer, len) in gradients.iter().filter(|(_, len)| *len > 0) {
        slots.push(Gradient { values: buffer.at(DType::F32, len), len: len as u64, first_chunk: chunks as u64 });
        chunks += len.div_ceil(CHUNK);
    }
    if chunks == 0 {
        device.synchronize()?;
        return Ok(GradientNorm { sum_of_squares: 0.0, finite: true });
    }
    let list: &[u8] = bytemuck::cast_slice(&slots);
    // Slots, the result, partial sums: all in 8 bytes.
    let result_offset = list.len();
    let partials_offset = result_offset + 16;
    let at = scratch.holding(list, partials_offset + 8 * chunks)?;
    let (result, partials) = (at + result_offset as u64, at + partials_offset as u64);
    let arguments = [Argument::Pointer(at), slots.len().into(), Argument::Pointer(partials)];
    // SAFETY: the slots' buffers hold their lengths, the scratch a sum a chunk.
    unsafe { run(device, untyped("gradient_norm.cu", "gradient_norm"), line(blocks(chunks, 1), 256), arguments)? };
    let arguments = [Argument::Pointer(partials), chunks.into(), Argument::Pointer(result)];
    // SAFETY: as above, and the result has its two numbers.
    unsafe { run(device, untyped("gradient_norm.cu", "gradient_norm_total"), line(1, 256), arguments)? };
    let mut numbers = [0.0f64; 2];
    scratch.read(result_offset, bytemuck::cast_slice_mut(&mut numbers))?;
    Ok(GradientNorm { sum_of_squares: numbers[0], finite: numbers[1] != 0.0 })
}

/// One step of AdamW.
pub(crate) fn adamw(
    device: &dyn Device,
    scratch: &mut Scratch,
    slots: &mut [AdamwSlot<'_, Cuda>],
    step: AdamwStep,
) -> Result<(), CudaError> {
    let exponent = step.step as f64;
    let mut chunks = 0;
    let mut list = Vec::with_capacity(slots.len());
    for slot in slots.iter_mut().filter(|slot| slot.len > 0) {
        let (len, learning_rate) = (slot.len, f64::from(slot.learning_rate));
        list.push(Slot {
            parameter: slot.parameter.at(DType::F32, len),
            gradient: slot.gradient.at(DType::F32, len),
            first_moment: slot.first_moment.at(DType::F32, len),
            second_moment: slot.second_moment.at(DType::F32, len),
            len: len as u64,
            first_chunk: chunks as u64,
            keep: (1.0 - learning_rate * f64::from(slot.weight_decay)) as f32,
            step_size: (learning_rate / (1.0 - step.beta1.powf(exponent))) as f32,
        });
        chunks += len.div_ceil(CHUNK);
    }
    if chunks == 0 {
        return Ok(());
    }
    let factors = Factors {
        gradient_scale: step.gradient_scale,
        first_gain: (1.0 - step.beta1) as f32,
        second_keep: step.beta2 as f32,
        second_gain: (1.0 - step.beta2) as f32,
        second_correction: (1.0 - step.beta2.powf(exponent)).sqrt() as f32,
        epsilon: step.epsilon,
    };
    let mut bytes = bytemuck::cast_slice::<Slot, u8>(&list).to_vec();
    let factors_offset = bytes.len() as u64;
    bytes.extend_from_slice(bytemuck::bytes_of(&factors));
    let at = scratch.holding(&bytes, bytes.len())?;
    let arguments = [Argument::Pointer(at), list.len().into(), Argument::Pointer(at + factors_offset)];
    // SAFETY: the slots' buffers hold their lengths.
    unsafe { run(device, untyped("adamw.cu", "adamw"), line(blocks(chunks, 1), 256), arguments) }
}
