//! Position ids, where fine-tuned models are most often wrong by one.

use crate::{Batch, ModelConfig, Sequence};
use serde_json::json;

fn config(model_type: &str, pad: u32, positions: usize) -> ModelConfig {
    let json = json!({"model_type": model_type, "vocab_size": 60, "pad_token_id": pad,
        "max_position_embeddings": positions, "type_vocab_size": 1});
    ModelConfig::from_json(&json).unwrap()
}

fn pack(config: &ModelConfig, sequences: &[&[u32]]) -> Batch {
    Batch::pack(config, sequences.iter().map(|&ids| Sequence { ids, types: &[] }))
}

#[test]
fn roberta_counts_from_the_padding_id_on() {
    for (pad, expected) in [(1, [2, 3, 4, 2, 3]), (3, [4, 5, 6, 4, 5])] {
        let batch = pack(&config("roberta", pad, 514), &[&[0, 7, 2], &[0, 2]]);
        assert_eq!(batch.positions, expected);
        assert_eq!(batch.offsets, [0, 3, 5]);
    }
    assert_eq!(config("roberta", 1, 514).max_length(), 512);
    assert_eq!(config("xlm-roberta", 3, 514).max_length(), 510);
}

/// `transformers` counts the tokens that are not padding and gives padding the padding id.
#[test]
fn a_padding_token_inside_a_text_is_not_counted() {
    assert_eq!(pack(&config("camembert", 1, 514), &[&[0, 7, 1, 8, 2]]).positions, [2, 3, 1, 4, 5]);
    assert_eq!(pack(&config("bert", 0, 512), &[&[5, 0, 7]]).positions, [0, 1, 2]);
}

#[test]
fn bert_counts_from_zero() {
    assert_eq!(pack(&config("bert", 0, 512), &[&[2, 7, 3], &[2, 3]]).positions, [0, 1, 2, 0, 1]);
    assert_eq!(config("bert", 0, 512).max_length(), 512);
    assert_eq!(config("distilbert", 0, 512).max_length(), 512);
}

/// RoBERTa's table has one row; tokenizers made for BERT give ones.
#[test]
fn token_types_stay_inside_the_table() {
    let sequence = Sequence { ids: &[0, 5, 2], types: &[0, 1, 1] };
    assert_eq!(Batch::pack(&config("roberta", 1, 514), [sequence]).types, [0, 0, 0]);
}

#[test]
#[should_panic(expected = "does not fit")]
fn a_text_longer_than_the_table_is_a_bug_of_the_caller() {
    let ids = [5; 13];
    pack(&config("roberta", 1, 14), &[&ids]);
}
