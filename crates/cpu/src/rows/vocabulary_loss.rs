//! Cross-entropy over a vocabulary: three passes over a row of logits that stays in the cache.

use super::split::for_row_blocks;
use crate::Cpu;
use crate::matrix::Shared;
use crate::simd::{Kernel, MAX_LANES, Simd, Storage, dispatch, exp, for_dtype, for_vectors, read, write};
use serin_tensor::AlignedBuffer;

pub(crate) fn vocabulary_loss(
    cpu: &Cpu,
    logits: &mut AlignedBuffer,
    targets: &[u32],
    rows: usize,
    classes: usize,
    gradient_scale: Option<f32>,
    losses: &mut AlignedBuffer,
) {
    let targets = &targets[..rows];
    let losses = Shared::of_slice(&mut losses.as_mut_slice::<f32>()[..2 * rows]);
    for_dtype!(logits.dtype(), T => {
        let logits = Shared::of_slice(&mut logits.as_mut_slice::<T>()[..rows * classes]);
        for_row_blocks(cpu, rows, classes, &|block| {
            // SAFETY: every row is in one block, once.
            let (logits, losses) = unsafe {
                (logits.piece(0, block.start * classes..block.end * classes), losses.piece(0, 2 * block.start..2 * block.end))
            };
            dispatch(cpu.isa, VocabularyLoss { logits, targets: &targets[block], classes, gradient_scale, losses });
        });
    });
}

struct VocabularyLoss<'a, T> {
    /// `[rows, classes]`.
    logits: &'a mut [T],
    /// `[rows]`.
    targets: &'a [u32],
    classes: usize,
    gradient_scale: Option<f32>,
    /// `[rows, 2]`.
    losses: &'a mut [f32],
}

impl<T: Storage> Kernel for VocabularyLoss<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.logits.chunks_exact_mut(self.classes).zip(self.targets).zip(self.losses.chunks_exact_mut(2));
        for ((logits, &target), losses) in rows {
            let target = target as usize;
            let z = logits[target].to_f32();
            let largest = largest(simd, logits);
            let sum = sum_of_exponentials(simd, logits, largest);
            let log_sum_exp = f64::from(largest) + f64::from(sum).ln();
            let is_highest = z == largest && logits[..target].iter().all(|other| other.to_f32() < largest);
            losses[0] = (log_sum_exp - f64::from(z)) as f32;
            losses[1] = f32::from(u8::from(is_highest));
            if let Some(scale) = self.gradient_scale {
                probabilities(simd, logits, largest, scale / sum);
                let probability = (f64::from(z) - log_sum_exp).exp();
                logits[target] = T::from_f32(((probability - 1.0) * f64::from(scale)) as f32);
            }
        }
    }
}

/// The largest logit.
#[inline(always)]
fn largest<S: Simd, T: Storage>(simd: S, logits: &[T]) -> f32 {
    // Absent lanes would count as 0.
    let whole = logits.len() - logits.len() % S::LANES;
    let mut largest = simd.splat(f32::NEG_INFINITY);
    for_vectors!(S, whole, columns => largest = simd.max(read(simd, &logits[columns]), largest));
    logits[whole..].iter().fold(simd.max_lane(largest), |largest, logit| largest.max(logit.to_f32()))
}

/// `Σ e^(z - largest)`.
#[inline(always)]
fn sum_of_exponentials<S: Simd, T: Storage>(simd: S, logits: &[T], largest: f32) -> f32 {
    let largest = simd.splat(largest);
    let mut sum = simd.zero();
    let mut rest = 0.0;
    for_vectors!(S, logits.len(), columns => {
        let here = columns.len();
        let exponentials = exp(simd, simd.sub(read(simd, &logits[columns]), largest));
        if here == S::LANES {
            sum = simd.add(sum, exponentials);
        } else {
            let mut lanes = [0.0; MAX_LANES];
            write(simd, &mut lanes[..here], exponentials);
            rest = lanes[..here].iter().sum();
        }
    });
    simd.sum(sum) + rest
}

/// `z = e^(z - largest) factor`.
#[inline(always)]
fn probabilities<S: Simd, T: Storage>(simd: S, logits: &mut [T], largest: f32, factor: f32) {
    let (largest, factor) = (simd.splat(largest), simd.splat(factor));
    for_vectors!(S, logits.len(), columns => {
        let logits = &mut logits[columns];
        let value = simd.mul(exp(simd, simd.sub(read(simd, logits), largest)), factor);
        write(simd, logits, value);
    });
}
