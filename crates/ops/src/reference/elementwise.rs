//! Activations and their derivatives.

use super::Real;
use crate::Activation;

/// f(x).
pub(super) fn activate<T: Real>(activation: Activation, x: T) -> T {
    let half = T::of(0.5);
    let one = T::of(1.0);
    match activation {
        Activation::Identity => x,
        Activation::Gelu => half * x * (one + (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf()),
        Activation::GeluTanh => half * x * (one + tanh_argument(x).tanh()),
        Activation::Relu => x.max(T::of(0.0)),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (one + (-x).exp()),
    }
}

/// f'(x), from f's input, or from its output for `Tanh` and `Relu`.
pub(super) fn derivative<T: Real>(activation: Activation, saved: T) -> T {
    let half = T::of(0.5);
    let one = T::of(1.0);
    let x = saved;
    match activation {
        Activation::Identity => one,
        Activation::Gelu => {
            let cumulative = half * (one + (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf());
            let density = (-half * x * x).exp() * T::of(1.0 / (2.0 * std::f64::consts::PI).sqrt());
            cumulative + x * density
        }
        Activation::GeluTanh => {
            let tanh = tanh_argument(x).tanh();
            let inner = T::of(ROOT_TWO_OVER_PI) * (one + T::of(3.0 * 0.044715) * x * x);
            half * (one + tanh) + half * x * (one - tanh * tanh) * inner
        }
        Activation::Relu => {
            if x > T::of(0.0) {
                one
            } else {
                T::of(0.0)
            }
        }
        Activation::Tanh => one - x * x,
        Activation::Silu => {
            let sigmoid = one / (one + (-x).exp());
            sigmoid * (one + x * (one - sigmoid))
        }
    }
}

const ROOT_TWO_OVER_PI: f64 = 0.797_884_560_802_865_4;

fn tanh_argument<T: Real>(x: T) -> T {
    T::of(ROOT_TWO_OVER_PI) * (x + T::of(0.044715) * x * x * x)
}
