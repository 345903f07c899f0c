//! Dropout and the backward of activations.

use super::*;
use crate::simd::tests::erf_f64;
use serin_ops::{Activation, Dropout, DropoutSite, keep};

#[test]
fn dropout_drops_what_the_definition_drops() {
    let levels = Level::all();
    for dtype in DTYPES {
        for (rows, width) in shapes() {
            let dropout = Dropout::new(0.3, 7, 2, 1, DropoutSite::FeedForwardOutput).unwrap().starting_at(41);
            let before = random(dtype, rows * width, 1);
            let element = |(index, value): (usize, f64)| {
                let kept = keep(&dropout, (index / width) as u64, (index % width) as u32);
                if kept { rounded(dtype, value as f32 * dropout.scale) } else { 0.0 }
            };
            let want: Vec<f64> = values(&before).into_iter().enumerate().map(element).collect();
            for level in &levels {
                let mut x = copy(&before);
                level.run(rows > 0, |cpu| cpu.dropout(&mut x, dropout, rows, width));
                assert_same("dropped", &x, &want);
            }
        }
    }
}

/// f in f64.
fn function(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Gelu => 0.5 * x * (1.0 + erf_f64(x / 2f64.sqrt())),
        Activation::GeluTanh => 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044715 * x.powi(3))).tanh()),
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// f' where f's input or output is `saved`, by central differences in f64, but for relu's corner.
fn slope(activation: Activation, saved: f64) -> f64 {
    if activation == Activation::Relu {
        return if saved > 0.0 { 1.0 } else { 0.0 };
    }
    let x = if activation == Activation::Tanh { saved.atanh() } else { saved };
    let step = 1e-5;
    (function(activation, x + step) - function(activation, x - step)) / (2.0 * step)
}

#[test]
fn gradients_pass_through_activations() {
    use Activation::{Gelu, GeluTanh, Identity, Relu, Silu, Tanh};
    let levels = Level::all();
    for activation in [Identity, Gelu, GeluTanh, Relu, Tanh, Silu] {
        for dtype in DTYPES {
            for (rows, width) in shapes().filter(|&(rows, _)| rows != 300) {
                let len = rows * width;
                // Outputs of tanh are inside ±1.
                let factor = if activation == Tanh { 0.49 } else { 3.0 };
                let saved: Vec<f32> = numbers(len, 1).iter().map(|value| value * factor).collect();
                let (saved, before) = (guarded(dtype, &saved), random(dtype, len, 2));
                let (inputs, d) = (values(&saved), values(&before));
                let want: Vec<f64> = inputs.iter().zip(&d).map(|(&x, &d)| d * slope(activation, x)).collect();
                for level in &levels {
                    let mut out = copy(&before);
                    let work = rows > 0;
                    level.run(work, |cpu| cpu.activation_backward(activation, &saved, rows, width, &mut out));
                    // The function's own error, the product's rounding and that of the difference quotient.
                    let own = if dtype == DType::BF16 { 3e-6 } else { 4e-7 };
                    let tolerance = |index: usize| d[index].abs() * (own + 2.0 * U + 1e-9);
                    assert_close("d", &out, &want, tolerance);
                }
            }
        }
    }
}
