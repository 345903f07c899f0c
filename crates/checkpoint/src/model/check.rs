//! Configuration against tensors: a contradiction is refused with the key, both numbers and the mend.

use std::collections::HashMap;
use std::path::Path;

use serin_model::{Family, Group, ModelConfig, ParameterSpec};

use super::names::{base_prefix, file_name, plain_name};
use crate::tensors::{Dtype, TensorView, WeightFiles};
use crate::{CheckpointError, Hint};

/// Missing tensors named in an error.
const NAMED: usize = 3;

/// A model's configuration file and its weights.
pub(super) struct Check<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) config_path: &'a Path,
    pub(super) weights: &'a WeightFiles,
    /// Our name to the tensor's.
    pub(super) located: &'a HashMap<String, String>,
}

impl Check<'_> {
    /// Every parameter of the encoder is there, a float, and of the shape that the configuration says.
    pub(super) fn encoder(&self, specs: &[ParameterSpec]) -> Result<(), CheckpointError> {
        self.sizes()?;
        self.layers()?;
        let mut missing = Vec::new();
        for spec in specs.iter().filter(|spec| spec.group != Group::Head) {
            match self.view(&spec.name) {
                Some(view) => self.tensor(spec, &view)?,
                None => missing.push(file_name(self.config.family, &spec.name)),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(self.missing(&missing)) }
    }

    fn view(&self, parameter: &str) -> Option<TensorView<'_>> {
        self.weights.get(self.located.get(parameter)?)
    }

    /// The sizes that one dimension of one tensor shows.
    fn sizes(&self) -> Result<(), CheckpointError> {
        let config = self.config;
        let distil = config.family == Family::DistilBert;
        let hidden = if distil { "dim" } else { "hidden_size" };
        let intermediate = if distil { "hidden_dim" } else { "intermediate_size" };
        let inner = ["intermediate.dense.weight", "output.dense.weight"].map(|part| format!("encoder.layer.0.{part}"));
        // Of the feed-forward block both matrices must disagree: one alone is a damaged tensor, not a wrong key.
        let feed_forward = match self.view(&inner[1]) {
            Some(view) if view.shape.get(1) != Some(&config.intermediate) => Some((inner[0].as_str(), 0)),
            _ => None,
        };
        let word = "embeddings.word_embeddings.weight";
        let position = "embeddings.position_embeddings.weight";
        let token_type = "embeddings.token_type_embeddings.weight";
        let sizes = [
            (hidden, config.hidden, Some((word, 1))),
            ("vocab_size", config.vocab, Some((word, 0))),
            ("max_position_embeddings", config.max_positions, Some((position, 0))),
            ("type_vocab_size", config.token_types, Some((token_type, 0))),
            (intermediate, config.intermediate, feed_forward),
        ];
        for (key, expected, place) in sizes {
            let Some((view, axis)) = place.and_then(|(name, axis)| Some((self.view(name)?, axis))) else { continue };
            match view.shape.get(axis) {
                Some(&found) if found != expected && view.shape.len() == 2 => {
                    return Err(self.contradiction(key, expected, &view, found));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn contradiction(&self, key: &str, expected: usize, view: &TensorView<'_>, found: usize) -> CheckpointError {
        let said = if self.config.raw.contains_key(key) { "is" } else { "is missing, which means" };
        let reason = format!(
            "{said} {expected}, but tensor '{}' in {} has shape {:?}",
            view.name,
            view.path.display(),
            view.shape
        );
        let hint =
            format!("set \"{key}\": {found} in config.json, or use the config.json that these weights were saved with");
        self.field(key, reason, hint)
    }

    /// As many layers as the configuration says.
    fn layers(&self) -> Result<(), CheckpointError> {
        let layer_of = |name: &str| -> Option<usize> {
            let name = plain_name(name);
            let name = name.strip_prefix(base_prefix(self.config.family)).unwrap_or(&name);
            let rest = name.strip_prefix("encoder.layer.").or_else(|| name.strip_prefix("transformer.layer."))?;
            rest.split('.').next()?.parse().ok()
        };
        let Some(last) = self.weights.views().filter_map(|view| layer_of(view.name)).max() else { return Ok(()) };
        let found = last.saturating_add(1);
        if found == self.config.layers {
            return Ok(());
        }
        let key = if self.config.family == Family::DistilBert { "n_layers" } else { "num_hidden_layers" };
        let reason = format!("is {}, but the weights hold {found} layers", self.config.layers);
        let hint =
            format!("set \"{key}\": {found} in config.json, or use the config.json that these weights were saved with");
        Err(self.field(key, reason, hint))
    }

    fn field(&self, key: &str, reason: String, hint: String) -> CheckpointError {
        let field = key.to_owned();
        CheckpointError::Field { path: self.config_path.to_owned(), field, reason, hint: hint.into() }
    }

    fn tensor(&self, spec: &ParameterSpec, view: &TensorView<'_>) -> Result<(), CheckpointError> {
        let fail = |reason: String, hint: &'static str| {
            let (path, tensor) = (view.path.to_owned(), view.name.to_owned());
            Err(CheckpointError::Tensor { path, tensor, reason, hint: hint.into() })
        };
        if !is_float(view.dtype) {
            let reason = format!("holds {:?}, a weight must be F32, F16, BF16 or F64", view.dtype);
            return fail(reason, "quantised checkpoints are not read: use the original weights");
        }
        if view.shape != spec.shape {
            let reason = format!("has shape {:?}, config.json asks for {:?}", view.shape, spec.shape);
            return fail(reason, "the file is damaged, or config.json is another model's");
        }
        Ok(())
    }

    fn missing(&self, missing: &[String]) -> CheckpointError {
        let path = self.weights.paths().first().map_or(self.config_path, |path| *path);
        let family = self.config.family;
        let others = |prefix: &&&str| self.weights.views().any(|view| plain_name(view.name).starts_with(**prefix));
        let other =
            ["roberta.", "bert.", "distilbert."].iter().filter(|prefix| **prefix != base_prefix(family)).find(others);
        let hint = match other {
            Some(prefix) => format!(
                "the tensors begin with '{prefix}': \"model_type\": \"{}\" in config.json is another family's",
                family.model_type()
            ),
            None => {
                "every tensor of the encoder must be there: the file is incomplete, or of another architecture".into()
            }
        };
        let named = missing.iter().take(NAMED).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let more = if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
        CheckpointError::format(
            path,
            format!("{} of the encoder's tensors missing: {named}{more}", missing.len()),
            Hint::from(hint),
        )
    }
}

pub(super) fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64)
}
