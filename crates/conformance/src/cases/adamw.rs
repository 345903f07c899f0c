//! `adamw`.

use super::Case;
use crate::Visitor;
use crate::numbers::{numbers, wide};
use crate::op::Op;
use crate::tolerance::{U, stored};
use crate::trial::Trial;
use serin_ops::{AdamwSlot, AdamwStep, Backend};
use serin_tensor::DType;

/// Learning rate and decay of each tensor.
const GROUPS: [(f32, f32); 2] = [(2e-5, 0.01), (1e-3, 0.0)];

struct Adamw {
    lengths: [usize; 2],
    step: AdamwStep,
}

/// A tensor before the step.
struct Tensor {
    parameter: Vec<f32>,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Tensor {
    fn of(len: usize, tensor: usize) -> Tensor {
        let of = |seed| numbers(DType::F32, len, seed + 10 * tensor as u64);
        let second = of(4).iter().map(|value| value * value * 0.01).collect();
        Tensor { parameter: of(1), gradient: of(2), first: of(3), second }
    }
}

impl Case for Adamw {
    fn op(&self) -> Op {
        Op::Adamw
    }

    fn label(&self) -> String {
        let AdamwStep { beta1, beta2, step, .. } = self.step;
        format!("{:?} step {step} betas {beta1} {beta2}", self.lengths)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let tensors = [0, 1].map(|tensor| Tensor::of(self.lengths[tensor], tensor));
        let gradients = [0, 1].map(|tensor| trial.input(DType::F32, &tensors[tensor].gradient));
        let mut states = tensors.map(|tensor| {
            [tensor.parameter, tensor.first, tensor.second].map(|values| trial.updated(DType::F32, &values))
        });
        trial.call(|backend| {
            let parts = states.iter_mut().zip(&gradients).zip(self.lengths).zip(GROUPS);
            let slots = parts.map(|(((state, gradient), len), (learning_rate, weight_decay))| {
                let [parameter, first_moment, second_moment] = state;
                AdamwSlot { parameter, gradient, first_moment, second_moment, len, learning_rate, weight_decay }
            });
            backend.adamw(&mut slots.collect::<Vec<_>>(), self.step);
        });
        for (state, len) in states.iter().zip(self.lengths) {
            for (name, buffer) in ["parameter", "first_moment", "second_moment"].into_iter().zip(state) {
                trial.keep(name, buffer, len);
            }
        }
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let states = expected.chunks_exact(3).zip(self.lengths).zip(GROUPS).enumerate();
        states
            .flat_map(|(number, ((after, len), group))| self.of_tensor(&Tensor::of(len, number), after, group))
            .collect()
    }
}

impl Adamw {
    /// Each of the few roundings on the way, to first order.
    fn of_tensor(&self, before: &Tensor, after: &[Vec<f64>], (rate, _): (f32, f32)) -> Vec<Vec<f64>> {
        let AdamwStep { beta1, beta2, step, gradient_scale, epsilon } = self.step;
        let [scale, rate] = [gradient_scale, rate].map(f64::from);
        let [correction1, correction2] = [beta1, beta2].map(|beta| 1.0 - beta.powf(step as f64));
        let [parameter, gradient, first] =
            [&before.parameter, &before.gradient, &before.first].map(|values| wide(values));
        let mut all = vec![Vec::new(); 3];
        for index in 0..gradient.len() {
            let g = (gradient[index] * scale).abs();
            let m_error = 4.0 * U * (first[index].abs() + g);
            let v_error = 4.0 * U * after[2][index];
            let v = after[2][index];
            let root = (v / correction2).sqrt();
            let root_error = if v > 0.0 { 0.5 * root * (v_error / v + 4.0 * U) } else { 0.0 };
            let denominator = root + f64::from(epsilon);
            let update = rate * after[1][index].abs() / correction1 / denominator;
            let update_error =
                rate * m_error / correction1 / denominator + update * (root_error / denominator + 6.0 * U);
            let theta_error = 2.0 * U * parameter[index].abs() + U * update + update_error;
            for (to, (after, error)) in all.iter_mut().zip(after.iter().zip([theta_error, m_error, v_error])) {
                to.push(stored(DType::F32, after[index], error));
            }
        }
        all
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for (beta1, beta2) in [(0.9, 0.999), (0.875, 0.984_375)] {
        for step in [1, 2, 1000] {
            for lengths in [[0, 1], [1, 0], [15, 17], [33, 64], [1000, 5], [65_536 + 3, 7]] {
                let step = AdamwStep { beta1, beta2, epsilon: 1e-6, step, gradient_scale: 0.25 };
                visitor.case(Adamw { lengths, step });
            }
        }
    }
}
