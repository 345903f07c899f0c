//! The losses of a classifier's logits and their gradients.
//!
//! A batch has a few hundred logits: plain loops in f64, rounded once, cost microseconds and are the same at every
//! instruction set.

use super::split::for_row_blocks;
use crate::Cpu;
use crate::matrix::Shared;
use serin_ops::LossKind;
use serin_tensor::AlignedBuffer;

#[allow(clippy::too_many_arguments)]
pub(crate) fn loss(
    cpu: &Cpu,
    kind: LossKind,
    logits: &AlignedBuffer,
    targets: &AlignedBuffer,
    rows: usize,
    labels: usize,
    gradient_scale: f32,
    losses: &mut AlignedBuffer,
    d_logits: Option<&mut AlignedBuffer>,
) {
    let len = rows * labels;
    let (logits, targets) = (&logits.as_slice::<f32>()[..len], &targets.as_slice::<f32>()[..len]);
    let losses = Shared::of_slice(&mut losses.as_mut_slice::<f32>()[..rows]);
    let d_logits = d_logits.map(|d_logits| Shared::of_slice(&mut d_logits.as_mut_slice::<f32>()[..len]));
    for_row_blocks(cpu, rows, labels, &|block| {
        for row in block {
            let elements = row * labels..(row + 1) * labels;
            // SAFETY: every row is in one block, once.
            let (loss, gradient) = unsafe {
                let gradient = d_logits.as_ref().map(|d_logits| d_logits.piece(0, elements.clone()));
                (&mut losses.piece(0, row..row + 1)[0], gradient.unwrap_or_default())
            };
            let (logits, targets) = (&logits[elements.clone()], &targets[elements]);
            let scale = f64::from(gradient_scale);
            *loss = match kind {
                LossKind::SoftmaxCrossEntropy => softmax_cross_entropy(logits, targets, scale, gradient),
                LossKind::SigmoidCrossEntropy => each_label(logits, targets, scale, gradient, sigmoid_cross_entropy),
                LossKind::SquaredError => each_label(logits, targets, scale, gradient, squared_error),
            };
        }
    });
}

/// `Σ_c t_c (log Σ_k e^{z_k} - z_c)`, and `scale (softmax(z)_c Σ t - t_c)` in `gradient` unless it is empty.
fn softmax_cross_entropy(logits: &[f32], targets: &[f32], scale: f64, gradient: &mut [f32]) -> f32 {
    // Without the maximum, e^z overflows.
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&z| (f64::from(z) - max).exp()).sum();
    let log_sum_exp = max + sum.ln();
    let total_target: f64 = targets.iter().map(|&t| f64::from(t)).sum();
    for ((d, &z), &t) in gradient.iter_mut().zip(logits).zip(targets) {
        let probability = (f64::from(z) - log_sum_exp).exp();
        *d = (scale * (probability * total_target - f64::from(t))) as f32;
    }
    // A target of 0 takes no part: with a logit of -∞ it would give 0 · ∞.
    let terms = logits.iter().zip(targets).filter(|&(_, &t)| t != 0.0);
    terms.map(|(&z, &t)| f64::from(t) * (log_sum_exp - f64::from(z))).sum::<f64>() as f32
}

/// A loss that is a sum over labels of `term(z, t)`, which gives a label's loss and its derivative.
fn each_label(
    logits: &[f32],
    targets: &[f32],
    scale: f64,
    gradient: &mut [f32],
    term: impl Fn(f64, f64) -> (f64, f64),
) -> f32 {
    let mut total = 0.0;
    for (label, (&z, &t)) in logits.iter().zip(targets).enumerate() {
        let (loss, derivative) = term(f64::from(z), f64::from(t));
        total += loss;
        if let Some(d) = gradient.get_mut(label) {
            *d = (scale * derivative) as f32;
        }
    }
    total as f32
}

/// `max(z, 0) - z t + log(1 + e^-|z|)` and `σ(z) - t`.
fn sigmoid_cross_entropy(z: f64, t: f64) -> (f64, f64) {
    let decay = (-z.abs()).exp();
    let sigmoid = if z >= 0.0 { 1.0 / (1.0 + decay) } else { decay / (1.0 + decay) };
    (z.max(0.0) - z * t + decay.ln_1p(), sigmoid - t)
}

/// `(z - t)²` and `2 (z - t)`.
fn squared_error(z: f64, t: f64) -> (f64, f64) {
    ((z - t) * (z - t), 2.0 * (z - t))
}
