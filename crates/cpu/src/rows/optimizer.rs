//! The gradient norm and AdamW.

use crate::Cpu;
use crate::matrix::Shared;
use crate::simd::{Kernel, Simd, dispatch, for_vectors, read, write};
use serin_ops::{AdamwSlot, AdamwStep, GradientNorm};
use serin_tensor::AlignedBuffer;
use std::ops::Range;

/// Elements of a task; the partial sums of the norm are over these.
const BLOCK: usize = 64 * 1024;

/// The blocks of all tensors, as (tensor, elements): one hand-over to the threads for all of them.
fn blocks_of(lengths: impl Iterator<Item = usize>) -> Vec<(usize, Range<usize>)> {
    let blocks = |(tensor, len): (usize, usize)| {
        (0..len).step_by(BLOCK).map(move |start| (tensor, start..len.min(start + BLOCK)))
    };
    lengths.enumerate().flat_map(blocks).collect()
}

/// `Σ x²` in f64, in sixteen interleaved sums at every instruction set.
struct SumOfSquares<'a> {
    x: &'a [f32],
}

impl Kernel for SumOfSquares<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> f64 {
        // Left to the compiler: two vectors of f64 a vector of f32, without a multiply-add that only some levels have.
        let mut sums = [0.0f64; 16];
        let chunks = self.x.chunks_exact(16);
        let rest: f64 = chunks.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        for chunk in chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        sums.iter().sum::<f64>() + rest
    }
}

pub(crate) fn gradient_norm(cpu: &Cpu, gradients: &[(&AlignedBuffer, usize)]) -> GradientNorm {
    let gradients: Vec<&[f32]> = gradients.iter().map(|&(gradient, len)| &gradient.as_slice()[..len]).collect();
    let blocks = blocks_of(gradients.iter().map(|gradient| gradient.len()));
    let mut partial_sums = vec![0.0f64; blocks.len()];
    let parts = Shared::of_slice(&mut partial_sums);
    cpu.threads.run(blocks.len(), &|task| {
        let (tensor, elements) = blocks[task].clone();
        // SAFETY: a task has its own sum.
        let sum = unsafe { parts.piece(0, task..task + 1) };
        sum[0] = dispatch(cpu.isa, SumOfSquares { x: &gradients[tensor][elements] });
    });
    let sum_of_squares: f64 = partial_sums.iter().sum();
    // Squares of finite f32 are below 2²⁵⁶: their sum is infinite or NaN only if an element is.
    GradientNorm { sum_of_squares, finite: sum_of_squares.is_finite() }
}

/// The factors of a step for one slot, in the order of `torch.optim.AdamW`, each computed in f64 and rounded once.
#[derive(Clone, Copy)]
struct Factors {
    gradient_scale: f32,
    /// `1 - lr λ`.
    keep: f32,
    /// `1 - β₁`.
    first_gain: f32,
    /// `β₂`.
    second_keep: f32,
    /// `1 - β₂`.
    second_gain: f32,
    /// `√(1 - β₂ᵗ)`.
    second_correction: f32,
    epsilon: f32,
    /// `lr / (1 - β₁ᵗ)`.
    step_size: f32,
}

impl Factors {
    fn new(slot: &AdamwSlot<'_, Cpu>, step: AdamwStep) -> Factors {
        let (beta1, beta2) = (step.beta1, step.beta2);
        let exponent = step.step as f64;
        let learning_rate = f64::from(slot.learning_rate);
        Factors {
            gradient_scale: step.gradient_scale,
            keep: (1.0 - learning_rate * f64::from(slot.weight_decay)) as f32,
            first_gain: (1.0 - beta1) as f32,
            second_keep: beta2 as f32,
            second_gain: (1.0 - beta2) as f32,
            second_correction: (1.0 - beta2.powf(exponent)).sqrt() as f32,
            epsilon: step.epsilon,
            step_size: (learning_rate / (1.0 - beta1.powf(exponent))) as f32,
        }
    }
}

/// A step on a block of a slot, in one pass.
struct Adamw<'a> {
    factors: Factors,
    parameter: &'a mut [f32],
    gradient: &'a [f32],
    first_moment: &'a mut [f32],
    second_moment: &'a mut [f32],
}

impl Kernel for Adamw<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let factors = self.factors;
        for_vectors!(S, self.parameter.len(), columns => {
            let parameter = &mut self.parameter[columns.clone()];
            let first = &mut self.first_moment[columns.clone()];
            let second = &mut self.second_moment[columns.clone()];
            let gradient = &self.gradient[columns];
            let g = simd.mul(read(simd, gradient), simd.splat(factors.gradient_scale));
            let m = read(simd, first);
            let m = simd.fma(simd.splat(factors.first_gain), simd.sub(g, m), m);
            let v = simd.mul(read(simd, second), simd.splat(factors.second_keep));
            let v = simd.fma(simd.mul(simd.splat(factors.second_gain), g), g, v);
            let root = simd.div(simd.sqrt(v), simd.splat(factors.second_correction));
            let denominator = simd.add(root, simd.splat(factors.epsilon));
            let decayed = simd.mul(read(simd, parameter), simd.splat(factors.keep));
            let update = simd.div(simd.mul(simd.splat(factors.step_size), m), denominator);
            write(simd, parameter, simd.sub(decayed, update));
            write(simd, first, m);
            write(simd, second, v);
        });
    }
}

/// A slot's buffers in parts.
struct Slot<'a> {
    factors: Factors,
    parameter: Shared<'a, f32>,
    gradient: &'a [f32],
    first_moment: Shared<'a, f32>,
    second_moment: Shared<'a, f32>,
}

pub(crate) fn adamw(cpu: &Cpu, slots: &mut [AdamwSlot<'_, Cpu>], step: AdamwStep) {
    let blocks = blocks_of(slots.iter().map(|slot| slot.len));
    let slots: Vec<Slot<'_>> = slots
        .iter_mut()
        .map(|slot| Slot {
            factors: Factors::new(slot, step),
            parameter: Shared::of_slice(&mut slot.parameter.as_mut_slice()[..slot.len]),
            gradient: &slot.gradient.as_slice()[..slot.len],
            first_moment: Shared::of_slice(&mut slot.first_moment.as_mut_slice()[..slot.len]),
            second_moment: Shared::of_slice(&mut slot.second_moment.as_mut_slice()[..slot.len]),
        })
        .collect();
    cpu.threads.run(blocks.len(), &|task| {
        let (tensor, elements) = blocks[task].clone();
        let slot = &slots[tensor];
        // SAFETY: blocks are disjoint.
        let (parameter, first_moment, second_moment) = unsafe {
            (
                slot.parameter.piece(0, elements.clone()),
                slot.first_moment.piece(0, elements.clone()),
                slot.second_moment.piece(0, elements.clone()),
            )
        };
        let gradient = &slot.gradient[elements];
        dispatch(cpu.isa, Adamw { factors: slot.factors, parameter, gradient, first_moment, second_moment });
    });
}
