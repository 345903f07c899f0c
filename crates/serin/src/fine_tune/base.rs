//! The weights a run starts from, which also hold what it freezes.

use super::options::StartingModel;
use super::starting_weights::StartingWeights;
use crate::error::SerinError;
use crate::pretrained::{Pretrained, PretrainedOptions, say_shortened};
use serin_checkpoint::hub::Progress;
use serin_data::missing_path_hint;
use serin_model::{Group, ModelConfig, ParameterSource, ParameterSpec, ProblemType};
use serin_text::{EncodeSettings, Tokenizer};
use std::fs;
use std::hash::Hasher;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Weights, tokenizer and text settings of the starting model.
pub(super) struct Base {
    pub(super) weights: StartingWeights,
    pub(super) tokenizer: Tokenizer,
    pub(super) text: EncodeSettings,
    /// What it is called in logs and the model card.
    pub(super) name: String,
    /// Seeds what is new.
    seed: u64,
}

impl Base {
    /// Opens the starting model.
    pub(super) fn open(
        model: &StartingModel,
        options: &PretrainedOptions,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<Base, SerinError> {
        match model {
            StartingModel::Pretrained(name) => {
                let opened = Pretrained::open_with_progress(name, options, progress)?;
                let Pretrained { name, folder, tokenizer, text } = opened;
                Ok(Base { weights: StartingWeights::Checkpoint(Box::new(folder)), tokenizer, text, name, seed })
            }
            StartingModel::Fresh { config, tokenizer } => {
                let config = read_config(config)?;
                let name = format!("random weights ({})", config.family.model_type());
                let tokenizer = Tokenizer::from_dir(tokenizer, config.family.model_type(), config.max_length())?;
                let base = Base::fresh(config, tokenizer, options, name, seed)?;
                say_shortened(options, &base.text, progress);
                Ok(base)
            }
        }
    }

    fn fresh(
        config: ModelConfig,
        tokenizer: Tokenizer,
        options: &PretrainedOptions,
        name: String,
        seed: u64,
    ) -> Result<Base, SerinError> {
        let weights = StartingWeights::fresh(config, &tokenizer)?;
        let text = EncodeSettings {
            max_length: options.max_length.unwrap_or(usize::MAX).min(tokenizer.max_length()),
            truncation: options.truncation.unwrap_or_default(),
            normalization: options.normalization.unwrap_or_default(),
        };
        Ok(Base { weights, tokenizer, text, name, seed })
    }

    /// Decides labels and problem type.
    pub(super) fn prepare_labels(&mut self, labels: &[String], problem_type: ProblemType) -> Result<(), SerinError> {
        match &mut self.weights {
            StartingWeights::Checkpoint(folder) => Ok(folder.prepare_labels(Some(labels), Some(problem_type))?),
            StartingWeights::Fresh(config) => {
                config.set_labels(labels.to_vec(), problem_type);
                Ok(())
            }
        }
    }

    pub(super) fn config(&self) -> &ModelConfig {
        self.weights.config()
    }

    pub(super) fn set_dropout(&mut self, [hidden, attention, classifier]: [Option<f32>; 3]) {
        self.weights.config_mut().set_dropout(hidden, attention, classifier);
    }

    /// The values of every parameter.
    pub(super) fn source(&self) -> Box<dyn ParameterSource + '_> {
        self.weights.source(self.seed)
    }

    /// A hash of all weights and of the tokenizer: two bases with the same hash are the same model.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Xxh3::new();
        match &self.weights {
            StartingWeights::Checkpoint(folder) => {
                hash.update(serde_json::Value::Object(folder.config().raw.clone()).to_string().as_bytes());
                for view in folder.weights().views() {
                    hash.update(view.name.as_bytes());
                    hash.update(view.data);
                }
            }
            StartingWeights::Fresh(config) => {
                hash.update(serde_json::Value::Object(config.raw.clone()).to_string().as_bytes());
                hash.write_u64(self.seed);
            }
        }
        for id in 0..=self.tokenizer.largest_id() {
            hash.update(self.tokenizer.token(id).unwrap_or_default().as_bytes());
            hash.write_u8(0);
        }
        format!("{:032x}", hash.digest128())
    }
}

impl Base {
    /// A hash of what the output of the embeddings and the first `layers` layers depends on, besides token ids and the
    /// device: their parameters and how they are put together. Labels, problem type, dropout and the layers above are
    /// left out.
    ///
    /// # Errors
    /// A parameter that cannot be read.
    pub(super) fn trunk_fingerprint(&self, layers: usize) -> Result<String, SerinError> {
        let config = self.config();
        let mut hash = Xxh3::new();
        // With the last layer in it, the trunk ends in first rows only.
        let is_whole = layers == config.layers;
        let shape = format!(
            "{} {} {} {:?} {} {layers} {is_whole}",
            config.first_position(),
            config.hidden,
            config.heads,
            config.activation,
            config.layer_norm_epsilon
        );
        hash.update(shape.as_bytes());
        let is_in_trunk = |spec: &ParameterSpec| match spec.group {
            Group::Embeddings => true,
            Group::Layer(layer) => layer < layers,
            Group::Head => false,
        };
        let mut source = self.source();
        for spec in config.parameters().iter().filter(|spec| is_in_trunk(spec)) {
            hash.update(format!("{} {:?}", spec.name, spec.shape).as_bytes());
            hash.update(bytemuck::cast_slice(&source.values(spec)?));
        }
        Ok(format!("{:032x}", hash.digest128()))
    }
}

/// Reads a `config.json`, named itself or by its folder.
pub(crate) fn read_config(path: &Path) -> Result<ModelConfig, SerinError> {
    let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    let fail = |error: String| SerinError::Refused(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fail(format!("{error}{}", missing_path_hint(&file))),
        _ => fail(error.to_string()),
    })?;
    let json = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    ModelConfig::from_json(&json).map_err(|error| fail(error.to_string()))
}
