//! `kernels/loss.cu` and `vocabulary_loss.cu`.

#![allow(unsafe_code)] // launches

use super::{Argument, blocks, line, optional, run, size, typed, untyped};
use crate::device::Device;
use crate::error::CudaError;
use crate::memory::{Buffer, Indices};
use serin_ops::LossKind;
use serin_tensor::DType;

/// The loss of each row and its gradient.
#[allow(clippy::too_many_arguments)]
pub(crate) fn loss(
    device: &dyn Device,
    kind: LossKind,
    logits: &Buffer,
    targets: &Buffer,
    rows: usize,
    labels: usize,
    gradient_scale: f32,
    losses: &mut Buffer,
    d_logits: Option<&mut Buffer>,
) -> Result<(), CudaError> {
    if rows == 0 {
        return Ok(());
    }
    let kind: u32 = match kind {
        LossKind::SoftmaxCrossEntropy => 0,
        LossKind::SigmoidCrossEntropy => 1,
        LossKind::SquaredError => 2,
    };
    let arguments = [
        kind.into(),
        Argument::Pointer(logits.at(DType::F32, rows * labels)),
        Argument::Pointer(targets.at(DType::F32, rows * labels)),
        rows.into(),
        labels.into(),
        gradient_scale.into(),
        Argument::Pointer(losses.at(DType::F32, rows)),
        optional(d_logits.map(|d_logits| d_logits.at(DType::F32, rows * labels))),
    ];
    // SAFETY: matrices hold `rows * labels` floats, losses one a row.
    unsafe { run(device, untyped("loss.cu", "loss"), line(blocks(rows, 4), 128), arguments) }
}

/// The loss of each row against one class of many, and its gradient in place.
pub(crate) fn vocabulary_loss(
    device: &dyn Device,
    logits: &mut Buffer,
    targets: &Indices,
    rows: usize,
    classes: usize,
    gradient_scale: Option<f32>,
    losses: &mut Buffer,
) -> Result<(), CudaError> {
    if rows * classes == 0 {
        return Ok(());
    }
    assert!(targets.reached(rows) <= classes, "a target beyond the classes");
    let storage = logits.dtype();
    let arguments = [
        Argument::Pointer(logits.at(storage, rows * classes)),
        Argument::Pointer(targets.at(rows)),
        rows.into(),
        classes.into(),
        u32::from(gradient_scale.is_some()).into(),
        gradient_scale.unwrap_or(0.0).into(),
        Argument::Pointer(losses.at(DType::F32, 2 * rows)),
    ];
    // SAFETY: logits hold `rows * classes` elements, targets are below `classes`, losses two a row.
    unsafe { run(device, typed("vocabulary_loss.cu", storage, "vocabulary_loss"), line(size(rows), 512), arguments) }
}
