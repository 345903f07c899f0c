//! The loss, and what a step does with the gradients of one layer.

use super::Workbench;
use crate::commands::bench::ceilings::Limits;
use serin_model::Group;
use serin_ops::{AdamwSlot, AdamwStep, Backend, LossKind};
use serin_tensor::DType;

/// Sequences of the loss: the recipe's batch.
const SEQUENCES: usize = 64;

pub(super) fn measure<B: Limits>(bench: &mut Workbench<'_, B>) -> anyhow::Result<()> {
    let config = &bench.subject.config;
    let labels = config.labels.len();
    let logits = bench.filled(DType::F32, SEQUENCES * labels)?;
    let (targets, mut losses) = (bench.filled(DType::F32, SEQUENCES * labels)?, bench.filled(DType::F32, SEQUENCES)?);
    let mut d_logits = bench.filled(DType::F32, SEQUENCES * labels)?;
    bench.time("loss", &format!("{SEQUENCES} texts, {labels} labels"), |device| {
        let (kind, d_logits) = (LossKind::SoftmaxCrossEntropy, Some(&mut d_logits));
        device.loss(kind, &logits, &targets, SEQUENCES, labels, 1.0, &mut losses, d_logits);
    })?;

    let of_a_layer = |group| matches!(group, Group::Layer(0));
    let len: usize = config.parameters().iter().filter(|spec| of_a_layer(spec.group)).map(|spec| spec.len()).sum();
    let detail = format!("{:.1} M parameters", len as f64 / 1e6);
    let mut gradient = bench.filled(DType::F32, len)?;
    bench.time("zero gradients", &detail, |device| device.fill_zero(&mut gradient, len))?;
    bench.time("gradient norm", &detail, |device| drop(device.gradient_norm(&[(&gradient, len)])))?;
    let (mut parameter, mut first) = (bench.filled(DType::F32, len)?, bench.device.buffer(DType::F32, len)?);
    let mut second = bench.device.buffer(DType::F32, len)?;
    let step = AdamwStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 1, gradient_scale: 1.0 };
    bench.time("AdamW", &detail, |device| {
        let slot = AdamwSlot {
            parameter: &mut parameter,
            gradient: &gradient,
            first_moment: &mut first,
            second_moment: &mut second,
            len,
            learning_rate: 2e-5,
            weight_decay: 0.01,
        };
        device.adamw(&mut [slot], step);
    })?;

    let (ins, outs) = (config.hidden, config.intermediate);
    let master = bench.filled(DType::F32, ins * outs)?;
    let mut weight = bench.device.weight(&vec![0.0; ins * outs], outs, ins, bench.subject.dtype, true)?;
    bench.time("lay out a matrix", &format!("{ins}→{outs}"), |device| device.refresh_weight(&mut weight, &master))
}
