//! `config.json`: class defaults as `transformers` has them, and every contradiction by its key.

use crate::{Family, ModelConfig, ModelError, ProblemType};
use serde_json::{Value, json};

fn with(edit: Value) -> Value {
    let mut json = json!({"model_type": "roberta"});
    let object = json.as_object_mut().unwrap();
    object.extend(edit.as_object().unwrap().clone());
    json
}

/// `XConfig()` of transformers 5.24, printed.
#[test]
fn an_absent_key_means_the_default_of_the_class() {
    for (family, vocab, layers, types, pad, classifier) in [
        (Family::Roberta, 50265, 12, 2, 1, 0.1),
        (Family::XlmRoberta, 30522, 12, 2, 1, 0.1),
        (Family::Camembert, 30522, 12, 2, 1, 0.1),
        (Family::Bert, 30522, 12, 2, 0, 0.1),
        (Family::DistilBert, 30522, 6, 0, 0, 0.2),
    ] {
        let config = ModelConfig::from_json(&json!({"model_type": family.model_type()})).unwrap();
        assert_eq!((config.vocab, config.layers, config.token_types), (vocab, layers, types), "{family:?}");
        assert_eq!((config.pad_token, config.classifier_dropout), (pad, classifier), "{family:?}");
        assert_eq!((config.hidden, config.heads, config.intermediate), (768, 12, 3072));
        assert_eq!((config.max_positions, config.layer_norm_epsilon, config.initializer_range), (512, 1e-12, 0.02));
        assert_eq!((config.hidden_dropout, config.attention_dropout), (0.1, 0.1));
        assert_eq!(config.labels, ["LABEL_0", "LABEL_1"]);
    }
}

#[test]
fn distilberts_epsilon_is_not_in_its_configuration() {
    let json = json!({"model_type": "distilbert", "layer_norm_eps": 1e-5});
    assert_eq!(ModelConfig::from_json(&json).unwrap().layer_norm_epsilon, 1e-12);
}

#[test]
fn what_contradicts_itself_or_is_no_such_model_is_refused_by_key() {
    for (edit, key) in [
        (json!({"hidden_size": 100}), "num_attention_heads"),
        (json!({"hidden_size": 0}), "hidden_size"),
        (json!({"hidden_size": -8}), "hidden_size"),
        (json!({"hidden_size": 1e300}), "hidden_size"),
        (json!({"num_hidden_layers": 100_000_000}), "num_hidden_layers"),
        (json!({"vocab_size": 9_223_372_036_854_775_807u64}), "vocab_size"),
        (json!({"pad_token_id": 60_000}), "pad_token_id"),
        (json!({"max_position_embeddings": 3}), "max_position_embeddings"),
        (json!({"hidden_act": "swiglu"}), "hidden_act"),
        (json!({"hidden_dropout_prob": 1.0}), "hidden_dropout_prob"),
        (json!({"hidden_dropout_prob": "0.1"}), "hidden_dropout_prob"),
        (json!({"layer_norm_eps": 0}), "layer_norm_eps"),
        (json!({"initializer_range": -0.02}), "initializer_range"),
        (json!({"initializer_range": 1e300}), "initializer_range"),
        (json!({"position_embedding_type": "relative_key"}), "position_embedding_type"),
        (json!({"is_decoder": true}), "is_decoder"),
        (json!({"problem_type": "ranking"}), "problem_type"),
        (json!({"id2label": {"0": "a", "2": "b"}}), "id2label"),
        (json!({"id2label": {"0": "a", "00": "b"}}), "id2label"),
        (json!({"id2label": {"0": "a", "1": "a"}}), "id2label"),
        (json!({"id2label": {}}), "id2label"),
        (json!({"id2label": ["a"]}), "id2label"),
        (json!({"num_labels": 100_000_000}), "num_labels"),
        (json!({"model_type": 3}), "model_type"),
    ] {
        match ModelConfig::from_json(&with(edit.clone())) {
            Err(ModelError::Key { key: named, .. }) => assert_eq!(named, key, "{edit}"),
            other => panic!("{edit}: {other:?}"),
        }
    }
    assert!(matches!(ModelConfig::from_json(&json!([])), Err(ModelError::NotAnObject)));
    assert!(matches!(ModelConfig::from_json(&json!({"model_type": "gpt2"})), Err(ModelError::UnknownArchitecture(_))));
}

#[test]
fn labels_are_ordered_by_number_whatever_the_file_does() {
    let names: serde_json::Map<String, Value> =
        (0..12).rev().map(|id| (id.to_string(), format!("name {id}").into())).collect();
    let config = ModelConfig::from_json(&with(json!({"id2label": names}))).unwrap();
    assert_eq!(config.labels[2], "name 2");
    assert_eq!(config.labels[10], "name 10");
}

#[test]
fn changed_settings_reach_the_file_under_the_familys_names() {
    let mut config =
        ModelConfig::from_json(&json!({"model_type": "distilbert", "mine": [1], "num_labels": 2})).unwrap();
    config.set_labels(vec!["no".into(), "yes".into()], ProblemType::MultiLabelClassification);
    config.set_dropout(Some(0.0), Some(0.3), Some(0.25));
    let written = config.to_json("float32");
    assert_eq!(written["label2id"], json!({"no": 0, "yes": 1}));
    assert_eq!(written["architectures"], json!(["DistilBertForSequenceClassification"]));
    assert_eq!((&written["dropout"], &written["attention_dropout"]), (&json!(0.0), &json!(0.3)));
    assert_eq!((&written["seq_classif_dropout"], &written["mine"]), (&json!(0.25), &json!([1])));
    assert!(written.get("num_labels").is_none());
    let read = ModelConfig::from_json(&written).unwrap();
    assert_eq!((read.labels, read.problem_type), (config.labels, config.problem_type));
    assert_eq!((read.hidden_dropout, read.attention_dropout, read.classifier_dropout), (0.0, 0.3, 0.25));
}
