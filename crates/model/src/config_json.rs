//! `config.json` in: the families' key names, their class defaults, and every contradiction refused by name.
//!
//! A key that is absent means the default of the `transformers` class, which differs from what real checkpoints hold
//! (`RobertaConfig()` has epsilon 1e-12 and 512 positions), so the defaults here are the classes', exactly.

use crate::config::{Family, ModelConfig, ProblemType, Task};
use crate::error::ModelError;
use serde_json::{Map, Value};
use serin_ops::Activation;

/// No real model comes near: a bound that keeps every product of two sizes far from overflow.
const LARGEST_SIZE: u64 = 1 << 28;
const MOST_LABELS: usize = 1 << 16;
/// A list of this many layers' parameters is still small: a lie in the file must not fill the memory.
const MOST_LAYERS: usize = 1 << 12;

/// The keys of a family and the defaults of its class in `transformers`.
struct Keys {
    hidden: (&'static str, u64),
    layers: (&'static str, u64),
    heads: (&'static str, u64),
    intermediate: (&'static str, u64),
    activation: &'static str,
    hidden_dropout: &'static str,
    attention_dropout: &'static str,
    classifier_dropout: (&'static str, Option<f32>),
}

const BERT_KEYS: Keys = Keys {
    hidden: ("hidden_size", 768),
    layers: ("num_hidden_layers", 12),
    heads: ("num_attention_heads", 12),
    intermediate: ("intermediate_size", 3072),
    activation: "hidden_act",
    hidden_dropout: "hidden_dropout_prob",
    attention_dropout: "attention_probs_dropout_prob",
    classifier_dropout: ("classifier_dropout", None),
};

const DISTILBERT_KEYS: Keys = Keys {
    hidden: ("dim", 768),
    layers: ("n_layers", 6),
    heads: ("n_heads", 12),
    intermediate: ("hidden_dim", 3072),
    activation: "activation",
    hidden_dropout: "dropout",
    attention_dropout: "attention_dropout",
    classifier_dropout: ("seq_classif_dropout", Some(0.2)),
};

impl ModelConfig {
    /// Reads the JSON of a `config.json`.
    pub fn from_json(json: &Value) -> Result<ModelConfig, ModelError> {
        let raw = json.as_object().ok_or(ModelError::NotAnObject)?;
        let family = family(raw)?;
        refuse_other_designs(raw)?;
        let distil = family == Family::DistilBert;
        let keys = if distil { DISTILBERT_KEYS } else { BERT_KEYS };
        let vocab_default = if family == Family::Roberta { 50265 } else { 30522 };
        let hidden_dropout = probability(raw, keys.hidden_dropout)?.unwrap_or(0.1);
        let (classifier_key, classifier_default) = keys.classifier_dropout;
        let pad_default = if family.positions_follow_padding() { 1 } else { 0 };
        let config = ModelConfig {
            family,
            task: Task::Classification,
            vocab: size(raw, "vocab_size", vocab_default)?,
            hidden: size(raw, keys.hidden.0, keys.hidden.1)?,
            layers: size(raw, keys.layers.0, keys.layers.1)?,
            heads: size(raw, keys.heads.0, keys.heads.1)?,
            intermediate: size(raw, keys.intermediate.0, keys.intermediate.1)?,
            activation: activation(raw, keys.activation)?,
            hidden_dropout,
            attention_dropout: probability(raw, keys.attention_dropout)?.unwrap_or(0.1),
            classifier_dropout: probability(raw, classifier_key)?.or(classifier_default).unwrap_or(hidden_dropout),
            max_positions: size(raw, "max_position_embeddings", 512)?,
            token_types: if distil { 0 } else { size(raw, "type_vocab_size", 2)? },
            // DistilBERT's class has the number in its code and reads no key.
            layer_norm_epsilon: if distil { 1e-12 } else { epsilon(raw)? },
            pad_token: size_or_zero(raw, "pad_token_id", pad_default)? as u32,
            initializer_range: initializer_range(raw)?,
            labels: labels(raw)?,
            problem_type: problem_type(raw)?,
            raw: raw.clone(),
        };
        check(config, &keys)
    }
}

fn check(config: ModelConfig, keys: &Keys) -> Result<ModelConfig, ModelError> {
    if !config.hidden.is_multiple_of(config.heads) {
        let reason = format!("{} heads do not divide {} = {}", config.heads, keys.hidden.0, config.hidden);
        return Err(ModelError::key(keys.heads.0, reason));
    }
    if config.layers > MOST_LAYERS {
        let reason = format!("at most {MOST_LAYERS} layers are possible, found {}", config.layers);
        return Err(ModelError::key(keys.layers.0, reason));
    }
    if config.pad_token as usize >= config.vocab {
        let reason = format!("{} is outside the vocabulary of {}", config.pad_token, config.vocab);
        return Err(ModelError::key("pad_token_id", reason));
    }
    if config.max_positions <= config.first_position() + 1 {
        let reason = format!(
            "{} positions leave no room for two tokens: the first position is {}",
            config.max_positions,
            config.first_position()
        );
        return Err(ModelError::key("max_position_embeddings", reason));
    }
    Ok(config)
}

fn family(raw: &Map<String, Value>) -> Result<Family, ModelError> {
    let name = match raw.get("model_type") {
        Some(Value::String(name)) => name.clone(),
        Some(other) => return Err(ModelError::key("model_type", format!("expected a string, found {other}"))),
        None => {
            let reason = "missing; add \"model_type\": \"roberta\" (or xlm-roberta, camembert, bert, distilbert)";
            return Err(ModelError::key("model_type", reason));
        }
    };
    let known = Family::ALL.into_iter().find(|family| family.model_type() == name);
    known.ok_or(ModelError::UnknownArchitecture(name))
}

fn refuse_other_designs(raw: &Map<String, Value>) -> Result<(), ModelError> {
    if let Some(kind) = raw.get("position_embedding_type").and_then(Value::as_str)
        && kind != "absolute"
    {
        let reason = format!("`{kind}` positions are not supported, only `absolute`");
        return Err(ModelError::key("position_embedding_type", reason));
    }
    for key in ["is_decoder", "add_cross_attention", "is_encoder_decoder"] {
        if raw.get(key).and_then(Value::as_bool) == Some(true) {
            return Err(ModelError::key(key_name(key), "decoders are not supported, only encoders"));
        }
    }
    Ok(())
}

fn key_name(key: &str) -> &'static str {
    match key {
        "is_decoder" => "is_decoder",
        "add_cross_attention" => "add_cross_attention",
        _ => "is_encoder_decoder",
    }
}

/// A positive whole number.
fn size(raw: &Map<String, Value>, key: &'static str, default: u64) -> Result<usize, ModelError> {
    match size_or_zero(raw, key, default)? {
        0 => Err(ModelError::key(key, "must be at least 1, found 0")),
        value => Ok(value),
    }
}

fn size_or_zero(raw: &Map<String, Value>, key: &'static str, default: u64) -> Result<usize, ModelError> {
    let value = match raw.get(key) {
        None | Some(Value::Null) => default,
        Some(value) => value
            .as_u64()
            .ok_or_else(|| ModelError::key(key, format!("expected a whole number of at least 0, found {value}")))?,
    };
    if value > LARGEST_SIZE {
        return Err(ModelError::key(key, format!("{value} is more than any model has ({LARGEST_SIZE})")));
    }
    Ok(value as usize)
}

fn number(raw: &Map<String, Value>, key: &'static str) -> Result<Option<f64>, ModelError> {
    match raw.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(ModelError::key(key, format!("expected a number, found {value}"))),
        },
    }
}

fn probability(raw: &Map<String, Value>, key: &'static str) -> Result<Option<f32>, ModelError> {
    match number(raw, key)? {
        Some(value) if !(0.0..1.0).contains(&value) => {
            Err(ModelError::key(key, format!("a dropout probability lies in [0, 1), found {value}")))
        }
        value => Ok(value.map(|value| value as f32)),
    }
}

fn initializer_range(raw: &Map<String, Value>) -> Result<f32, ModelError> {
    let value = number(raw, "initializer_range")?.unwrap_or(0.02);
    if !(0.0..=100.0).contains(&value) {
        return Err(ModelError::key("initializer_range", format!("must lie in [0, 100], found {value}")));
    }
    Ok(value as f32)
}

fn epsilon(raw: &Map<String, Value>) -> Result<f32, ModelError> {
    let value = number(raw, "layer_norm_eps")?.unwrap_or(1e-12);
    if value <= 0.0 || value > 1.0 {
        return Err(ModelError::key("layer_norm_eps", format!("must lie in (0, 1], found {value}")));
    }
    Ok(value as f32)
}

fn activation(raw: &Map<String, Value>, key: &'static str) -> Result<Activation, ModelError> {
    let name = match raw.get(key) {
        None | Some(Value::Null) => "gelu",
        Some(Value::String(name)) => name,
        Some(other) => return Err(ModelError::key(key, format!("expected a string, found {other}"))),
    };
    Activation::from_hugging_face_name(name).ok_or_else(|| {
        ModelError::key(key, format!("`{name}` is not supported; gelu, gelu_new, relu, tanh, silu and linear are"))
    })
}

fn labels(raw: &Map<String, Value>) -> Result<Vec<String>, ModelError> {
    let Some(map) = raw.get("id2label").filter(|value| !value.is_null()) else {
        let count = size(raw, "num_labels", 2)?;
        if count > MOST_LABELS {
            return Err(ModelError::key(
                "num_labels",
                format!("at most {MOST_LABELS} labels are possible, found {count}"),
            ));
        }
        return Ok((0..count).map(|id| format!("LABEL_{id}")).collect());
    };
    let map = map.as_object().ok_or_else(|| ModelError::key("id2label", "expected an object of id to name"))?;
    let mut labels = vec![None; map.len()];
    for (id, name) in map {
        let slot = id.parse::<usize>().ok().and_then(|id| labels.get_mut(id)).ok_or_else(|| {
            let reason = format!("ids must be 0 to {}, each once; found \"{id}\"", map.len() - 1);
            ModelError::key("id2label", reason)
        })?;
        let name = name.as_str().map(str::to_owned).unwrap_or_else(|| name.to_string());
        if slot.replace(name).is_some() {
            return Err(ModelError::key("id2label", format!("id {id} is there twice")));
        }
    }
    let labels: Vec<String> = labels.into_iter().flatten().collect();
    if labels.is_empty() {
        return Err(ModelError::key("id2label", "names no label"));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = labels.iter().find(|label| !seen.insert(label.as_str())) {
        return Err(ModelError::key("id2label", format!("two ids have the name \"{twice}\"")));
    }
    Ok(labels)
}

fn problem_type(raw: &Map<String, Value>) -> Result<Option<ProblemType>, ModelError> {
    let kinds =
        [ProblemType::SingleLabelClassification, ProblemType::MultiLabelClassification, ProblemType::Regression];
    match raw.get("problem_type") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let known = kinds.into_iter().find(|kind| value.as_str() == Some(kind.hugging_face_name()));
            let reason = || {
                format!("expected single_label_classification, multi_label_classification or regression, found {value}")
            };
            known.map(Some).ok_or_else(|| ModelError::key("problem_type", reason()))
        }
    }
}
