//! The model that pretraining starts from: a checkpoint, or random weights of a shape.

use super::options::{EncoderShape, PretrainModel};
use crate::error::SerinError;
use crate::fine_tune::{StartingWeights, read_config};
use crate::pretrained::{Pretrained, PretrainedOptions};
use serde_json::json;
use serin_checkpoint::hub::Progress;
use serin_model::{ModelConfig, ParameterSource};
use serin_text::{Normalization, Tokenizer};
use xxhash_rust::xxh3::Xxh3;

/// Weights, configuration and tokenizer.
pub(super) struct Base {
    pub(super) weights: StartingWeights,
    pub(super) tokenizer: Tokenizer,
    /// What the checkpoint was trained with.
    pub(super) normalization: Normalization,
    /// What it is called in logs and the model card.
    pub(super) name: String,
    /// Seeds what is new.
    seed: u64,
}

impl Base {
    pub(super) fn open(
        model: &PretrainModel,
        dropout: [Option<f32>; 2],
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<Base, SerinError> {
        let mut base = match model {
            PretrainModel::Continued { name, revision } => {
                let options = PretrainedOptions { revision: revision.clone(), ..PretrainedOptions::default() };
                let opened = Pretrained::open_masked_language(name, &options, progress)?;
                let Pretrained { name, folder, tokenizer, text } = opened;
                let (weights, normalization) = (StartingWeights::Checkpoint(Box::new(folder)), text.normalization);
                Base { weights, tokenizer, normalization, name, seed }
            }
            PretrainModel::Shape { shape, tokenizer } => {
                let tokenizer = Tokenizer::from_dir(tokenizer, "roberta", shape.max_length.saturating_add(2))?;
                let config = ModelConfig::from_json(&shape.config(&tokenizer))?;
                Base::fresh(config, tokenizer, seed)?
            }
            PretrainModel::Config { config, tokenizer } => {
                let config = read_config(config)?;
                let tokenizer = Tokenizer::from_dir(tokenizer, config.family.model_type(), config.max_length())?;
                Base::fresh(config, tokenizer, seed)?
            }
        };
        let [hidden, attention] = dropout;
        base.weights.config_mut().set_dropout(hidden, attention, None);
        Ok(base)
    }

    fn fresh(config: ModelConfig, tokenizer: Tokenizer, seed: u64) -> Result<Base, SerinError> {
        let name = format!("random weights ({})", config.family.model_type());
        let weights = StartingWeights::fresh(config.for_masked_language(), &tokenizer)?;
        Ok(Base { weights, tokenizer, normalization: Normalization::None, name, seed })
    }

    /// The values of every parameter.
    pub(super) fn source(&self) -> Box<dyn ParameterSource + '_> {
        self.weights.source(self.seed)
    }

    /// A hash of the starting weights; random ones are known by configuration and seed.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Xxh3::new();
        if let StartingWeights::Checkpoint(folder) = &self.weights {
            for view in folder.weights().views() {
                hash.update(view.name.as_bytes());
                hash.update(view.data);
            }
        }
        hash.update(serde_json::Value::Object(self.weights.config().raw.clone()).to_string().as_bytes());
        format!("{:032x}", hash.digest128())
    }
}

impl EncoderShape {
    /// A RoBERTa `config.json` for a tokenizer's vocabulary.
    fn config(&self, tokenizer: &Tokenizer) -> serde_json::Value {
        let ids = tokenizer.special_ids();
        json!({
            "architectures": ["RobertaForMaskedLM"],
            "model_type": "roberta",
            "vocab_size": tokenizer.largest_id() + 1,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": self.intermediate_size,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "max_position_embeddings": self.max_length.saturating_add(ids.pad.unwrap_or(1) as usize + 1),
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
            "initializer_range": 0.02,
            "pad_token_id": ids.pad.unwrap_or(1),
            "bos_token_id": ids.cls,
            "eos_token_id": ids.sep,
        })
    }
}
