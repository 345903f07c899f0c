//! Tiny models in double precision: gradients against finite differences, batches against their parts.

mod batching;
mod configuration;
mod finite_differences;
mod positions;

use crate::{
    Batch, Family, Initializer, LossSettings, MaskedTokens, ModelConfig, ModelError, ParameterKind, ParameterSource,
    ParameterSpec, ProblemType, Sequence, Target, Targets,
};
use serde_json::json;

/// Two layers, two heads of 4, every dropout on.
fn tiny(family: Family, activation: &str, problem_type: ProblemType) -> ModelConfig {
    let labels = if problem_type == ProblemType::Regression { 1 } else { 3 };
    let names: serde_json::Map<_, _> = (0..labels).map(|id| (id.to_string(), format!("label {id}").into())).collect();
    let json = json!({
        "model_type": family.model_type(), "vocab_size": 13, "max_position_embeddings": 12, "id2label": names,
        "problem_type": problem_type.hugging_face_name(),
        "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 6,
        "hidden_act": activation, "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3,
        "classifier_dropout": 0.25, "type_vocab_size": if family == Family::Bert { 2 } else { 1 },
        "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 6, "activation": activation, "dropout": 0.2,
        "attention_dropout": 0.3, "seq_classif_dropout": 0.25,
    });
    ModelConfig::from_json(&json).unwrap()
}

/// Large random parameters of which none is at its neutral value: what is left out shows.
struct Large;

impl ParameterSource for Large {
    fn values(&mut self, spec: &ParameterSpec) -> Result<Vec<f32>, ModelError> {
        let neutral = if spec.kind == ParameterKind::NormWeight { 1.0 } else { 0.0 };
        let drawn = ParameterSpec { kind: ParameterKind::Matrix, ..spec.clone() };
        let values = Initializer { seed: 5, range: 0.4 }.values(&drawn)?;
        Ok(values.into_iter().map(|value| neutral + value).collect())
    }
}

/// Four sequences of 5, 1, 9 and 3 tokens.
fn batch(config: &ModelConfig) -> Batch {
    let ids: [&[u32]; 4] = [&[2, 9, 4, 12, 3], &[7], &[2, 5, 6, 7, 8, 9, 10, 11, 3], &[2, 4, 3]];
    let types: [&[u8]; 4] = [&[0, 0, 1, 1, 1], &[1], &[0, 0, 0, 0, 0, 1, 1, 1, 1], &[0, 0, 0]];
    Batch::pack(config, ids.into_iter().zip(types).map(|(ids, types)| Sequence { ids, types }))
}

/// Five of the batch's tokens, the first and last rows among them, and what stood there.
fn masked() -> MaskedTokens {
    MaskedTokens { rows: vec![0, 3, 7, 12, 17], targets: vec![4, 12, 0, 7, 12] }
}

/// Targets of the four sequences, with class weights and smoothing where there are classes.
fn targets(config: &ModelConfig) -> Targets {
    let problem_type = config.problem_type();
    let single = problem_type == ProblemType::SingleLabelClassification;
    let targets = (0..4u32).map(|row| match problem_type {
        ProblemType::SingleLabelClassification => Target::Class(row % 3),
        ProblemType::MultiLabelClassification => Target::Multi(vec![row % 2 == 0, row > 1, row == 3]),
        ProblemType::Regression => Target::Score(row as f32 - 1.5),
    });
    let settings = LossSettings {
        problem_type,
        labels: config.labels.len(),
        label_smoothing: if single { 0.1 } else { 0.0 },
        class_weights: single.then(|| vec![0.5, 1.0, 2.0]),
    };
    settings.targets(&targets.collect::<Vec<_>>())
}
