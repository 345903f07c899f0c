//! The products with matrices: forward, and with respect to the input and to the matrix.

use super::Workbench;
use crate::commands::bench::ceilings::Limits;
use serin_ops::{Activation, Backend, InputGradient, Traced};
use serin_tensor::DType;

pub(super) fn measure<B: Limits>(bench: &mut Workbench<'_, B>) -> anyhow::Result<()> {
    let config = &bench.subject.config;
    let (hidden, inner, activation) = (config.hidden, config.intermediate, config.activation);
    // Queries, keys and values; the attention's output; the two of the feed-forward block.
    product(bench, hidden, 3 * hidden, Activation::Identity, InputGradient::Accumulate)?;
    product(bench, hidden, hidden, Activation::Identity, InputGradient::Store)?;
    product(bench, hidden, inner, activation, InputGradient::Accumulate)?;
    let saved = bench.activations(inner)?;
    product(bench, inner, hidden, Activation::Identity, InputGradient::ThroughActivation(activation, &saved))
}

/// One matrix, used as a layer uses it.
fn product<B: Limits>(
    bench: &mut Workbench<'_, B>,
    ins: usize,
    outs: usize,
    activation: Activation,
    gradient: InputGradient<'_, Traced<B>>,
) -> anyhow::Result<()> {
    let rows = bench.tokens;
    let detail = format!("{ins}→{outs}");
    let master: Vec<f32> = (0..ins * outs).map(|index| (index * 7919 % 1009) as f32 / 10_000.0 - 0.05).collect();
    let weight = bench.device.weight(&master, outs, ins, bench.subject.dtype, true)?;
    let bias = bench.filled(DType::F32, outs)?;
    let (x, mut y) = (bench.activations(ins)?, bench.activations(outs)?);
    bench.time("linear", &detail, |device| {
        device.linear(&x, &weight, Some(&bias), activation, rows, None, &mut y);
    })?;
    let (dy, mut dx) = (y, bench.activations(ins)?);
    let again = || match &gradient {
        InputGradient::Store => InputGradient::Store,
        InputGradient::Accumulate => InputGradient::Accumulate,
        InputGradient::ThroughActivation(activation, saved) => InputGradient::ThroughActivation(*activation, *saved),
    };
    bench.time("linear dX", &detail, |device| device.linear_backward_input(&dy, &weight, rows, again(), &mut dx))?;
    let (mut d_weight, mut d_bias) = (bench.filled(DType::F32, ins * outs)?, bench.filled(DType::F32, outs)?);
    bench.time("linear dW", &detail, |device| {
        device.linear_backward_weight(&dy, &x, rows, outs, ins, &mut d_weight, &mut d_bias);
    })
}
