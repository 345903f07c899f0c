//! Models that cannot be trained: one exit code, one message with file and field, and no model left.

use crate::support::Place;
use crate::training::{fails, place, train};
use serde_json::{Value, json};
use std::fs;

/// Asserts that training fails with `parts` in the message after `spoil`.
fn refused(spoil: impl FnOnce(&Place), parts: &[&str]) {
    let place = place();
    spoil(&place);
    fails(train(&place, &[]), parts);
    assert!(!place.path("out/best").exists() && !place.path("out/run.json").exists());
}

fn edit_config(place: &Place, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut config: Value = serde_json::from_str(&place.read("model/config.json")).unwrap();
    edit(config.as_object_mut().unwrap());
    place.write("model/config.json", config.to_string());
}

fn edit_weights(place: &Place, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(place.path("model/model.safetensors")).unwrap();
    edit(&mut bytes);
    place.write("model/model.safetensors", bytes);
}

#[test]
fn a_missing_folder() {
    refused(|place| fs::remove_dir_all(place.path("model")).unwrap(), &["model", "hint"]);
}

#[test]
fn a_folder_without_weights() {
    refused(|place| fs::remove_file(place.path("model/model.safetensors")).unwrap(), &["model", "safetensors"]);
}

#[test]
fn truncated_weights() {
    refused(|place| edit_weights(place, |bytes| bytes.truncate(bytes.len() - 100)), &["model/model.safetensors"]);
    refused(|place| edit_weights(place, |bytes| bytes.truncate(5)), &["model/model.safetensors"]);
}

#[test]
fn a_corrupt_header() {
    refused(|place| edit_weights(place, |bytes| bytes[20] = 0xff), &["model/model.safetensors"]);
    refused(|place| edit_weights(place, |bytes| bytes[..8].fill(0xff)), &["model/model.safetensors"]);
}

#[test]
fn a_weight_that_is_no_number_is_named() {
    let spoil = |place: &Place| {
        edit_weights(place, |bytes| {
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        });
    };
    refused(spoil, &["model/model.safetensors", "NaN"]);
}

#[test]
fn a_config_that_lacks_a_key() {
    refused(|place| edit_config(place, |config| drop(config.remove("hidden_size"))), &["config.json", "hidden_size"]);
}

#[test]
fn a_config_that_contradicts_itself_or_the_weights() {
    let set = |key: &'static str, value: Value| {
        move |place: &Place| edit_config(place, |config| drop(config.insert(key.into(), value)))
    };
    refused(set("num_attention_heads", json!(5)), &["config.json", "num_attention_heads"]);
    refused(set("intermediate_size", json!(48)), &["model.safetensors", "intermediate"]);
    refused(set("num_hidden_layers", json!(3)), &["config.json", "num_hidden_layers", "hold 2 layers"]);
    refused(set("vocab_size", json!(0)), &["config.json", "vocab_size"]);
    refused(set("hidden_act", json!("maxout")), &["config.json", "hidden_act", "maxout"]);
}

#[test]
fn an_unknown_architecture() {
    let spoil = |place: &Place| edit_config(place, |config| drop(config.insert("model_type".into(), json!("t5"))));
    refused(spoil, &["config.json", "t5", "roberta"]);
}

#[test]
fn broken_json_is_named_with_its_line() {
    refused(|place| drop(place.write("model/config.json", "{\n\"a\": ,\n}")), &["config.json", "line 2"]);
}

#[test]
fn a_pickle_that_would_run_code_is_refused() {
    // os.system("touch owned"), as pickle protocol 0.
    let pickle = b"cos\nsystem\n(S'touch owned'\ntR.";
    let place = place();
    fs::remove_file(place.path("model/model.safetensors")).unwrap();
    place.write("model/pytorch_model.bin", pickle);
    fails(train(&place, &[]), &["pytorch_model.bin"]);
    assert!(!place.path("owned").exists() && !place.path("out/best").exists());
}

#[test]
fn a_tokenizer_larger_than_the_vocabulary() {
    let spoil = |place: &Place| {
        let mut vocabulary: Value = serde_json::from_str(&place.read("model/vocab.json")).unwrap();
        vocabulary["zzzz"] = json!(5000);
        place.write("model/vocab.json", vocabulary.to_string());
    };
    refused(spoil, &["tokenizer", "5000", "vocabulary"]);
}
