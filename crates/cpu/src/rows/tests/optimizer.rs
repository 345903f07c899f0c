//! AdamW against its published formula, and the gradient norm.

use super::*;
use serin_ops::{AdamwSlot, AdamwStep};

const LENGTHS: [usize; 8] = [0, 1, 15, 16, 17, 1000, 65_536, 65_536 + 5];

/// θ, m, v of one tensor in f64.
struct Published {
    parameter: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Published {
    /// Algorithm 2 of Loshchilov & Hutter 2019, with the decay times the learning rate.
    fn step(&mut self, gradient: &[f64], rate: f64, decay: f64, step: i32) {
        let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
        for (index, g) in gradient.iter().enumerate() {
            self.first[index] = beta1 * self.first[index] + (1.0 - beta1) * g;
            self.second[index] = beta2 * self.second[index] + (1.0 - beta2) * g * g;
            let first = self.first[index] / (1.0 - f64::powi(beta1, step));
            let second = self.second[index] / (1.0 - f64::powi(beta2, step));
            let theta = self.parameter[index];
            self.parameter[index] = theta - rate * (first / (second.sqrt() + epsilon) + decay * theta);
        }
    }
}

fn step_number(step: u64) -> AdamwStep {
    AdamwStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step, gradient_scale: 0.25 }
}

#[test]
fn ten_steps_of_adamw_follow_the_published_formula() {
    // The two slots of a step have their own rates and lengths.
    let settings = [(1e-3f32, 0.01f32), (0.02, 0.0)];
    for level in Level::all() {
        for len in LENGTHS {
            let lengths = [len, len / 2];
            let mut published = lengths.map(|len| Published {
                parameter: numbers(len, 1).into_iter().map(f64::from).collect(),
                first: vec![0.0; len],
                second: vec![0.0; len],
            });
            let mut parameters = lengths.map(|len| random(DType::F32, len, 1));
            let mut firsts = lengths.map(|len| guarded(DType::F32, &vec![0.0; len]));
            let mut seconds = lengths.map(|len| guarded(DType::F32, &vec![0.0; len]));
            for step in 1..=10 {
                let gradients = lengths.map(|len| random(DType::F32, len, 10 + step));
                let buffers = parameters.iter_mut().zip(&gradients).zip(firsts.iter_mut().zip(&mut seconds));
                let slot = |(index, ((parameter, gradient), (first_moment, second_moment)))| {
                    let (learning_rate, weight_decay) = settings[index];
                    let len = lengths[index];
                    AdamwSlot { parameter, gradient, first_moment, second_moment, len, learning_rate, weight_decay }
                };
                let mut slots: Vec<_> = buffers.enumerate().map(slot).collect();
                level.run(len > 0, |cpu| cpu.adamw(&mut slots, step_number(step)));
                for (index, published) in published.iter_mut().enumerate() {
                    let g: Vec<f64> = values(&gradients[index]).iter().map(|g| g * 0.25).collect();
                    let (rate, decay) = settings[index];
                    published.step(&g, f64::from(rate), f64::from(decay), step as i32);
                }
            }
            for (index, published) in published.iter().enumerate() {
                let rate = f64::from(settings[index].0);
                // Gradients are below 1/2, so moments are, and an update below some learning rates.
                assert_close("m", &firsts[index], &published.first, |_| 20.0 * U * 0.5);
                assert_close("v", &seconds[index], &published.second, |i| 30.0 * U * published.second[i]);
                let tolerance = |i: usize| 20.0 * U * published.parameter[i].abs() + 10.0 * rate * 30.0 * U * 4.0;
                assert_close("θ", &parameters[index], &published.parameter, tolerance);
            }
        }
    }
}

#[test]
fn the_gradient_norm_is_that_of_all_tensors() {
    for level in Level::all() {
        for len in LENGTHS {
            let tensors = [random(DType::F32, len, 1), random(DType::F32, 3 * len, 2)];
            let want: f64 = tensors.iter().flat_map(values).map(|value| value * value).sum();
            let gradients = [(&tensors[0], len), (&tensors[1], 3 * len)];
            level.run(len > 0, |cpu| {
                let norm = cpu.gradient_norm(&gradients).unwrap();
                assert!((norm.sum_of_squares - want).abs() <= 1e-12 * want, "{} for {want}", norm.sum_of_squares);
                assert!(norm.finite);
            });
        }
    }
}

#[test]
fn one_element_that_is_not_finite_is_found_anywhere() {
    let len = 65_536 + 21;
    for level in Level::all() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for index in [0, 15, 16, 65_535, 65_536, len - 1] {
                let mut values = numbers(len, 1);
                values[index] = bad;
                let gradient = guarded(DType::F32, &values);
                level.run(true, |cpu| assert!(!cpu.gradient_norm(&[(&gradient, len)]).unwrap().finite));
                // Outside the stated elements it does not count.
                if index == len - 1 {
                    level.run(true, |cpu| assert!(cpu.gradient_norm(&[(&gradient, len - 1)]).unwrap().finite));
                }
            }
        }
        let largest = guarded(DType::F32, &vec![f32::MAX; 1000]);
        level.run(true, |cpu| assert!(cpu.gradient_norm(&[(&largest, 1000)]).unwrap().finite));
    }
}
