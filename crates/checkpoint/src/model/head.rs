//! The head of a checkpoint: which of its tensors fit, and whose its rows are.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use serin_model::{Group, ModelConfig, Task};

use super::check::is_float;
use crate::CheckpointError;
use crate::tensors::{TensorView, WeightFiles};

/// The two layers of a classification head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadLayer {
    Dense,
    Output,
}

impl HeadLayer {
    pub(super) fn of(parameter: &str) -> Option<HeadLayer> {
        let part = parameter.strip_prefix("head.")?;
        Some(if part.starts_with("output.") { HeadLayer::Output } else { HeadLayer::Dense })
    }
}

/// Takes tensors of the head out of `tensors` that cannot be this head's: of another width, or no floats.
pub(super) fn drop_misfits(
    config: &ModelConfig,
    weights: &WeightFiles,
    tensors: &mut HashMap<String, String>,
    unused: &mut Vec<String>,
) -> Vec<String> {
    match config.task {
        Task::Classification => drop_classification_misfits(config, weights, tensors, unused),
        Task::MaskedLanguage { .. } => drop_masked_language_misfits(config, weights, tensors, unused),
    }
}

fn drop_masked_language_misfits(
    config: &ModelConfig,
    weights: &WeightFiles,
    tensors: &mut HashMap<String, String>,
    unused: &mut Vec<String>,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for spec in config.parameters().into_iter().filter(|spec| spec.group == Group::Head) {
        let Some(view) = tensors.get(&spec.name).and_then(|name| weights.get(name)) else { continue };
        if view.shape == spec.shape && is_float(view.dtype) {
            continue;
        }
        sentences.push(format!(
            "'{}' ({:?}, {:?}) does not fit a head of shape {:?}: it starts afresh.",
            view.name, view.dtype, view.shape, spec.shape
        ));
        unused.extend(tensors.remove(&spec.name));
    }
    sentences
}

fn drop_classification_misfits(
    config: &ModelConfig,
    weights: &WeightFiles,
    tensors: &mut HashMap<String, String>,
    unused: &mut Vec<String>,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for layer in ["head.dense", "head.output"] {
        let names = ["weight", "bias"].map(|part| format!("{layer}.{part}"));
        let [matrix, bias] = names.each_ref().map(|name| weights.get(tensors.get(name)?));
        let outs = matrix.as_ref().and_then(|view| view.shape.first().copied()).unwrap_or(0);
        let outs = if layer == "head.dense" { config.hidden } else { outs };
        let fits = |view: &Option<TensorView<'_>>, shape: &[usize]| {
            view.as_ref().is_none_or(|view| view.shape == shape && is_float(view.dtype))
        };
        if matrix.is_some() && fits(&matrix, &[outs, config.hidden]) && fits(&bias, &[outs]) && outs > 0 {
            continue;
        }
        let found = matrix.or(bias).map(|view| (view.name.to_owned(), view.shape, view.dtype));
        if let Some((name, shape, dtype)) = found {
            sentences.push(format!(
                "'{name}' ({dtype:?}, {shape:?}) does not fit a head of width {}: that layer starts afresh.",
                config.hidden
            ));
        }
        unused.extend(names.iter().filter_map(|name| tensors.remove(name)));
    }
    sentences
}

/// The names of the last layer's rows. A configuration that is silent on labels takes their number from the tensor.
pub(super) fn stored_labels(
    config: &mut ModelConfig,
    path: &Path,
    weights: &WeightFiles,
    tensors: &HashMap<String, String>,
) -> Result<Option<Vec<String>>, CheckpointError> {
    let Some(view) = tensors.get("head.output.weight").and_then(|name| weights.get(name)) else { return Ok(None) };
    let rows = view.shape.first().copied().unwrap_or(0);
    if config.labels.len() != rows {
        let silent = ["id2label", "num_labels"].iter().all(|key| config.raw.get(*key).is_none_or(Value::is_null));
        if !silent {
            let reason = format!(
                "names {} labels, but tensor '{}' in {} has shape {:?}",
                config.labels.len(),
                view.name,
                view.path.display(),
                view.shape
            );
            let hint = format!("give \"id2label\" {rows} names, one a row of that tensor");
            let (path, field) = (path.to_owned(), "id2label".to_owned());
            return Err(CheckpointError::Field { path, field, reason, hint: hint.into() });
        }
        config.labels = (0..rows).map(|id| format!("LABEL_{id}")).collect();
        config.set_labels(config.labels.clone(), config.problem_type());
    }
    Ok(Some(config.labels.clone()))
}
