//! `loss`.

use super::Case;
use crate::Visitor;
use crate::numbers::{numbers, wide};
use crate::op::Op;
use crate::tolerance::{U, of_sum, stored};
use crate::trial::Trial;
use serin_ops::{Backend, LossKind};
use serin_tensor::DType;

/// A loss scale and a mean over 8 rows.
const GRADIENT_SCALE: f32 = 65536.0 / 8.0;
const KINDS: [LossKind; 3] = [LossKind::SoftmaxCrossEntropy, LossKind::SigmoidCrossEntropy, LossKind::SquaredError];

struct Loss {
    kind: LossKind,
    shape: (usize, usize),
    logits: Vec<f32>,
    targets: Vec<f32>,
    training: bool,
}

impl Case for Loss {
    fn op(&self) -> Op {
        Op::Loss
    }

    fn label(&self) -> String {
        let training = if self.training { " with gradient" } else { "" };
        format!("{:?} {}x{}{training}", self.kind, self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, labels) = self.shape;
        let [logits, targets] = [&self.logits, &self.targets].map(|values| trial.input(DType::F32, values));
        let mut losses = trial.output(DType::F32, rows);
        let mut d_logits = self.training.then(|| trial.output(DType::F32, rows * labels));
        trial.call(|backend| {
            let d_logits = d_logits.as_mut();
            backend.loss(self.kind, &logits, &targets, rows, labels, GRADIENT_SCALE, &mut losses, d_logits);
        });
        trial.keep("losses", &losses, rows);
        if let Some(d_logits) = &d_logits {
            trial.keep("d_logits", d_logits, rows * labels);
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (logits, targets) = (wide(&self.logits), wide(&self.targets));
        let mut losses = Vec::new();
        let mut gradients = Vec::new();
        for (z, t) in logits.chunks(self.shape.1).zip(targets.chunks(self.shape.1)) {
            let (loss, gradient) = match self.kind {
                LossKind::SoftmaxCrossEntropy => softmax_errors(z, t),
                LossKind::SigmoidCrossEntropy => sigmoid_errors(z, t),
                LossKind::SquaredError => squared_errors(z, t),
            };
            losses.push(loss);
            gradients.extend(gradient.into_iter().map(|error| error * f64::from(GRADIENT_SCALE)));
        }
        let stored = |index: usize, errors: Vec<f64>| -> Vec<f64> {
            expected[index].iter().zip(errors).map(|(&value, error)| stored(DType::F32, value, error)).collect()
        };
        let mut all = vec![stored(0, losses)];
        if self.training {
            all.push(stored(1, gradients));
        }
        all
    }
}

/// Errors of a row's loss and of its gradient.
pub(super) fn softmax_errors(z: &[f64], t: &[f64]) -> (f64, Vec<f64>) {
    let largest = z.iter().fold(f64::NEG_INFINITY, |largest, &z| largest.max(z));
    let log_sum = largest + z.iter().map(|z| (z - largest).exp()).sum::<f64>().ln();
    let size = z.iter().fold(log_sum.abs(), |size, z| size.max(z.abs()));
    // Differences of logits, exponentials of them, their sum.
    let log_error = 2.0 * U * size + 4.0 * U + of_sum(z.len());
    let mass: f64 = t.iter().sum();
    let terms: f64 = z.iter().zip(t).map(|(z, t)| t.abs() * (log_sum - z).abs()).sum();
    let loss = of_sum(z.len()) * terms + mass * (log_error + U * size);
    let relative = log_error + 2.0 * U * size + of_sum(z.len());
    let gradient = z.iter().zip(t).map(|(z, t)| {
        let p = (z - log_sum).exp() * mass;
        p * relative + 2.0 * U * (p + t.abs())
    });
    (loss, gradient.collect())
}

fn sigmoid_errors(z: &[f64], t: &[f64]) -> (f64, Vec<f64>) {
    let terms: f64 = z.iter().zip(t).map(|(z, t)| z.max(0.0) + (z * t).abs() + 1.0).sum();
    let gradient = z.iter().zip(t).map(|(_, t)| 6.0 * U * (1.0 + t.abs()));
    (of_sum(2 * z.len() + 4) * terms, gradient.collect())
}

fn squared_errors(z: &[f64], t: &[f64]) -> (f64, Vec<f64>) {
    let terms: f64 = z.iter().zip(t).map(|(z, t)| (z - t) * (z - t)).sum();
    let gradient = z.iter().zip(t).map(|(z, t)| 4.0 * U * (z - t).abs());
    (of_sum(z.len() + 2) * terms, gradient.collect())
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for kind in KINDS {
        for (number, shape) in
            [(0, 2), (1, 1), (1, 2), (3, 3), (17, 2), (64, 5), (33, 28), (9, 1000)].into_iter().enumerate()
        {
            for far in [1.0, 60.0] {
                let (rows, labels) = shape;
                let logits = numbers(DType::F32, rows * labels, 1).iter().map(|z| z * far).collect();
                // Classes with a weight, smoothed, as the model makes them; 0 and 1 for the sigmoid's.
                let targets =
                    numbers(DType::F32, rows * labels, 2).into_iter().enumerate().map(|(index, t)| match kind {
                        LossKind::SoftmaxCrossEntropy if index % labels == index / labels % labels => 1.3,
                        LossKind::SoftmaxCrossEntropy => {
                            if number % 2 == 0 {
                                0.0
                            } else {
                                0.05
                            }
                        }
                        LossKind::SigmoidCrossEntropy => f32::from(u8::from(t > 0.3)),
                        LossKind::SquaredError => t,
                    });
                let (targets, training) = (targets.collect(), number != 3);
                visitor.case(Loss { kind, shape, logits, targets, training });
            }
        }
    }
}
