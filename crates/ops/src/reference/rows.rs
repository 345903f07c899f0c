//! What happens to one row: products, norms, losses.

use super::Real;
use super::elementwise::activate;
use crate::{Activation, LossKind};

/// `out[r][o] = f(Σ_i x[r][i] w[o][i] + b[o])`; returns nothing, writes `pre` and `y`.
#[allow(clippy::too_many_arguments)]
pub(super) fn linear<T: Real>(
    x: &[T],
    w: &[T],
    bias: Option<&[T]>,
    activation: Activation,
    (rows, out_features, in_features): (usize, usize, usize),
    mut pre: Option<&mut [T]>,
    y: &mut [T],
) {
    for r in 0..rows {
        for o in 0..out_features {
            let mut sum = T::of(0.0);
            for i in 0..in_features {
                sum += x[r * in_features + i] * w[o * in_features + i];
            }
            sum += bias.map_or(T::of(0.0), |bias| bias[o]);
            if let Some(pre) = pre.as_deref_mut() {
                pre[r * out_features + o] = sum;
            }
            y[r * out_features + o] = activate(activation, sum);
        }
    }
}

/// `(dy W)[r][i] = Σ_o dy[r][o] w[o][i]`.
pub(super) fn input_gradient<T: Real>(
    dy: &[T],
    w: &[T],
    out_features: usize,
    in_features: usize,
    r: usize,
    i: usize,
) -> T {
    let mut sum = T::of(0.0);
    for o in 0..out_features {
        sum += dy[r * out_features + o] * w[o * in_features + i];
    }
    sum
}

/// Mean and `1/√(variance + ε)` of a row.
pub(super) fn row_statistics<T: Real>(row: &[T], epsilon: T) -> (T, T) {
    let count = T::of(row.len() as f64);
    let mut mean = T::of(0.0);
    for &value in row {
        mean += value;
    }
    mean = mean / count;
    let mut variance = T::of(0.0);
    for &value in row {
        variance += (value - mean) * (value - mean);
    }
    (mean, T::of(1.0) / (variance / count + epsilon).sqrt())
}

/// The gradient of a layer norm's input row from that of its normalised output (already times γ): `(g - mean(g) - x̂ mean(g x̂)) / σ`.
pub(super) fn norm_input_gradient<T: Real>(scaled: &[T], normalised: &[T], inverse_deviation: T) -> Vec<T> {
    let count = T::of(scaled.len() as f64);
    let mut mean = T::of(0.0);
    let mut mean_product = T::of(0.0);
    for (&g, &x) in scaled.iter().zip(normalised) {
        mean += g;
        mean_product += g * x;
    }
    mean = mean / count;
    mean_product = mean_product / count;
    let gradient = |(&g, &x): (&T, &T)| (g - mean - x * mean_product) * inverse_deviation;
    scaled.iter().zip(normalised).map(gradient).collect()
}

/// The loss of one row of logits, and its gradient.
pub(super) fn row_loss<T: Real>(kind: LossKind, logits: &[T], targets: &[T]) -> (T, Vec<T>) {
    match kind {
        LossKind::SoftmaxCrossEntropy => softmax_cross_entropy(logits, targets),
        LossKind::SigmoidCrossEntropy => sum_of(logits, targets, |z, t| {
            let magnitude = z.max(-z);
            let tail = (T::of(1.0) + (-magnitude).exp()).ln();
            (z.max(T::of(0.0)) - z * t + tail, T::of(1.0) / (T::of(1.0) + (-z).exp()) - t)
        }),
        LossKind::SquaredError => sum_of(logits, targets, |z, t| ((z - t) * (z - t), T::of(2.0) * (z - t))),
    }
}

fn softmax_cross_entropy<T: Real>(logits: &[T], targets: &[T]) -> (T, Vec<T>) {
    let largest = logits.iter().copied().fold(T::of(f64::NEG_INFINITY), T::max);
    let mut sum = T::of(0.0);
    for &z in logits {
        sum += (z - largest).exp();
    }
    let log_sum = largest + sum.ln();
    let mut loss = T::of(0.0);
    let mut mass = T::of(0.0);
    for (&z, &t) in logits.iter().zip(targets) {
        loss += t * (log_sum - z);
        mass += t;
    }
    let gradient = logits.iter().zip(targets).map(|(&z, &t)| (z - log_sum).exp() * mass - t).collect();
    (loss, gradient)
}

/// The cross-entropy of a row against one class, and its gradient.
pub(super) fn class_cross_entropy<T: Real>(logits: &[T], target: usize) -> (T, Vec<T>) {
    let one_hot: Vec<T> = (0..logits.len()).map(|class| T::of(f64::from(u8::from(class == target)))).collect();
    softmax_cross_entropy(logits, &one_hot)
}

/// Whether `target` is the first class with the highest logit.
pub(super) fn is_highest<T: Real>(logits: &[T], target: usize) -> bool {
    let first = (0..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
    first == target
}

fn sum_of<T: Real>(logits: &[T], targets: &[T], term: impl Fn(T, T) -> (T, T)) -> (T, Vec<T>) {
    let mut loss = T::of(0.0);
    let mut gradient = Vec::with_capacity(logits.len());
    for (&z, &t) in logits.iter().zip(targets) {
        let (value, slope) = term(z, t);
        loss += value;
        gradient.push(slope);
    }
    (loss, gradient)
}
