//! `serin inspect` as a user runs it.

mod support;

use serde_json::{Value, json};
use support::{MAX_LENGTH, Place};

#[test]
fn a_model_is_described_in_numbers() {
    let place = Place::new();
    let json = place.run(&["inspect", "model", "--json", "-", "--precision", "fp32"]).well();
    let found: Value = serde_json::from_str(&json).unwrap();
    // Tables 400 + 34 + 1 of 32, a norm; two layers of 4·(32² + 32), 32·64 + 64, 64·32 + 32, two norms; a head of
    // 32² + 32 and 3·32 + 3.
    let embeddings = (400 + MAX_LENGTH + 2 + 1) * 32 + 64;
    let layer = 4 * (32 * 32 + 32) + 32 * 64 + 64 + 64 * 32 + 32 + 2 * 64;
    let head = 32 * 32 + 32 + 3 * 32 + 3;
    assert_eq!(found["parameters"], json!(embeddings + 2 * layer + head));
    let groups: Vec<u64> =
        found["groups"].as_array().unwrap().iter().map(|group| group["parameters"].as_u64().unwrap()).collect();
    assert_eq!(groups, [embeddings, layer, layer, head].map(|count| count as u64));
    assert_eq!(found["memory"]["weights"], json!(4 * (embeddings + 2 * layer + head)));
    assert_eq!(found["labels"], json!(["negative", "neutral", "positive"]));
    assert_eq!((&found["max_length"], &found["positions"]), (&json!(MAX_LENGTH), &json!(MAX_LENGTH + 2)));
    assert_eq!(found["device"]["precision"], "fp32");
    assert!(found["tokenizer"]["Ok"]["kind"].as_str().unwrap().starts_with("byte-level BPE"));
    assert!(found["files"].as_array().unwrap().iter().any(|file| file["name"] == "model.safetensors"));
}

#[test]
fn the_same_is_said_in_words() {
    let place = Place::new();
    let text = place.run(&["inspect", "model"]).well();
    for word in
        ["roberta: 2 layers", "2 layers", "  2  positive", "byte-level BPE", "model.safetensors", "CPU: ", "Read "]
    {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[test]
fn the_forced_instruction_set_is_the_one_shown() {
    let place = Place::new();
    let run = place.command(&["inspect", "model", "--json", "-"]).env("SERIN_CPU_ISA", "portable").output().unwrap();
    let found: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&found["device"]["kernels"], &found["device"]["precision"]), (&json!(["portable"]), &json!("fp32")));
}

#[test]
fn a_folder_without_tokenizer_is_described_all_the_same() {
    let place = Place::new();
    std::fs::remove_file(place.path("model/vocab.json")).unwrap();
    std::fs::remove_file(place.path("model/merges.txt")).unwrap();
    let text = place.run(&["inspect", "model"]).well();
    assert!(text.contains("none that can be used") && text.contains("2 layers"), "{text}");
}

#[test]
fn what_is_no_model_is_named() {
    let place = Place::new();
    place.write("model/config.json", "{\"model_type\": \"gpt2\"}");
    place.run(&["inspect", "model"]).fails_with(&["config.json", "gpt2"]);
    place.run(&["inspect", "nowhere"]).fails_with(&["nowhere"]);
}
