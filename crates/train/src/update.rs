//! From gradients to new weights: the loss scale, clipping, AdamW; and when to give a run up.

use crate::error::TrainError;
use crate::optimizer::Optimizer;
use crate::progress::Progress;
use crate::settings::TrainSettings;
use serin_model::Model;
use serin_ops::Backend;

/// So many steps in a row without finite gradients mean that training has diverged.
const MOST_SKIPS_IN_A_ROW: u32 = 50;

/// Clips and applies the gradients, which are still multiplied by the scaler's scale, at `factor` times the peak rates.
/// Returns their norm, or `None` if they were not finite and the step was skipped.
pub(crate) fn apply_gradients<B: Backend>(
    backend: &B,
    model: &mut Model<B>,
    optimizer: &mut Optimizer<B>,
    settings: &TrainSettings,
    progress: &mut Progress,
    factor: f64,
) -> Result<Option<f64>, TrainError> {
    let trainable = model.trainable();
    let gradients: Vec<_> = trainable.iter().map(|trainable| (&*trainable.gradient, trainable.len)).collect();
    let norm = backend.gradient_norm(&gradients)?;
    drop(trainable);
    let scale = f64::from(progress.scaler.scale);
    progress.scaler.update(norm.finite);
    if !norm.finite {
        return Ok(None);
    }
    let length = norm.sum_of_squares.sqrt() / scale;
    // As torch.nn.utils.clip_grad_norm_ does it, epsilon included.
    let clip = settings.max_grad_norm.map_or(1.0, |most| (f64::from(most) / (length + 1e-6)).min(1.0));
    optimizer.step(backend, model, settings, factor, (clip / scale) as f32);
    progress.optimizer_steps = optimizer.steps;
    Ok(Some(length))
}

/// Ends a run whose gradients are never finite again.
pub(crate) fn check_divergence(progress: &Progress, loss: f64, steps_per_epoch: u64) -> Result<(), TrainError> {
    // Without a finite loss in all of the data, no scale and no further epoch helps.
    let hopeless = !loss.is_finite() && u64::from(progress.skipped_in_a_row) >= steps_per_epoch;
    if progress.scaler.is_exhausted() || progress.skipped_in_a_row >= MOST_SKIPS_IN_A_ROW || hopeless {
        let reason = format!(
            "gradients were not finite {} steps in a row (loss scale {}, loss {loss})\nhint: lower --learning-rate, add \
             --warmup-steps 0.06, or use --precision bf16",
            progress.skipped_in_a_row, progress.scaler.scale
        );
        return Err(TrainError::Diverged { step: progress.global_step, reason });
    }
    Ok(())
}
