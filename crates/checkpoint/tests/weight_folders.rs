//! Which files of a folder are taken for its weights, and what is said when they are no good.

mod support;

use std::fs;
use std::path::Path;

use serin_checkpoint::tensors::{read_f32, read_into};
use serin_checkpoint::{CheckpointError, WeightFiles};
use support::fixture;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn message(files: &[(&str, &[u8])]) -> String {
    WeightFiles::open(folder(files).path()).unwrap_err().to_string()
}

fn assert_contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}

/// A safetensors file of F32 tensors of one element each.
fn shard(names: &[&str]) -> Vec<u8> {
    let tensors = names.iter().enumerate().map(|(index, name)| {
        format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#, 4 * index, 4 * index + 4)
    });
    safetensors(&format!("{{{}}}", tensors.collect::<Vec<_>>().join(",")), &vec![0; 4 * names.len()])
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn safetensors_win_over_bin_as_in_transformers() {
    let bin = fs::read(fixture("module_state.bin")).unwrap();
    let folder = folder(&[("model.safetensors", &shard(&["a"])), ("pytorch_model.bin", &bin)]);
    let weights = WeightFiles::open(folder.path()).unwrap();
    assert_eq!(weights.views().map(|view| view.name).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn shards_are_joined() {
    let index =
        br#"{"weight_map": {"c": "model-2.safetensors", "a": "model-1.safetensors", "b": "model-1.safetensors"}}"#;
    let folder = folder(&[
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", &shard(&["b", "a"])),
        ("model-2.safetensors", &shard(&["c"])),
    ]);
    let weights = WeightFiles::open(folder.path()).unwrap();
    assert_eq!(weights.views().map(|view| view.name).collect::<Vec<_>>(), ["b", "a", "c"]);
    assert_eq!(weights.paths().len(), 2);
}

#[test]
fn torch_shards_are_joined() {
    let bin = fs::read(fixture("module_state.bin")).unwrap();
    let index = br#"{"weight_map": {"0.weight": "pytorch_model-1.bin"}}"#;
    let folder = folder(&[("pytorch_model.bin.index.json", index), ("pytorch_model-1.bin", &bin)]);
    assert_eq!(WeightFiles::open(folder.path()).unwrap().get("0.weight").unwrap().shape, [2, 3]);
}

#[test]
fn shard_paths_stay_inside_the_folder() {
    for path in ["../model.safetensors", "/etc/passwd", "a/../../b.safetensors", "", "."] {
        let index = format!(r#"{{"weight_map": {{"a": "{path}"}}}}"#);
        let message = message(&[("model.safetensors.index.json", index.as_bytes())]);
        assert_contains(&message, &["weight_map.a", "leaves the model folder: refused"]);
    }
}

#[test]
fn broken_promises_of_an_index_are_named() {
    let index: &[u8] = br#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
    let name = "model.safetensors.index.json";
    assert_contains(&message(&[(name, index), ("1.safetensors", &shard(&["a"]))]), &["2.safetensors", "No such file"]);
    let lacking = [(name, index), ("1.safetensors", &shard(&["a"])), ("2.safetensors", &shard(&["c"]))];
    assert_contains(&message(&lacking), &["tensor 'b'", "promised in"]);
    let twice = [(name, index), ("1.safetensors", &shard(&["a"])), ("2.safetensors", &shard(&["b", "a"]))];
    assert_contains(&message(&twice), &["tensor 'a'", "another shard"]);
    assert_contains(&message(&[(name, b"{\"weight_map\": ")]), &[name, "not valid JSON"]);
    assert_contains(&message(&[(name, b"{}")]), &["field 'weight_map'"]);
    assert_contains(&message(&[(name, br#"{"weight_map": {"a": 3}}"#)]), &["weight_map.a", "must be a file name"]);
}

#[test]
fn an_absent_model_says_what_lies_there_instead() {
    assert_contains(&message(&[]), &["no weights found", "nothing"]);
    assert_contains(&message(&[("tf_model.h5", b"x"), ("config.json", b"{}")]), &["config.json, tf_model.h5", "hint"]);
    assert_contains(&message(&[("adapter_model.safetensors", b"x")]), &["PEFT adapter"]);
    let error = WeightFiles::open(Path::new("/absent/model")).unwrap_err();
    assert_contains(&error.to_string(), &["/absent/model", "cannot open the model folder"]);
}

#[test]
fn files_in_disguise_are_recognised() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n";
    for name in ["model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"] {
        assert_contains(&message(&[(name, pointer)]), &["Git LFS pointer", "git lfs pull"]);
        assert_contains(&message(&[(name, b"\n<!DOCTYPE html><html>")]), &["web page"]);
    }
    assert_contains(&message(&[("model.safetensors", b"")]), &["empty"]);
    assert_contains(&message(&[("pytorch_model.bin", b"hello, world")]), &["not a safetensors file"]);
}

#[test]
fn a_mislabelled_file_is_read_by_its_content() {
    let torch = fs::read(fixture("module_state.bin")).unwrap();
    assert_eq!(WeightFiles::open(folder(&[("model.safetensors", &torch)]).path()).unwrap().len(), 4);
    assert_eq!(WeightFiles::open(folder(&[("pytorch_model.bin", &shard(&["a"]))]).path()).unwrap().len(), 1);
}

#[test]
fn header_lengths_that_look_like_a_pickle_or_a_zip_are_still_safetensors() {
    for length in [0x80, usize::from(u16::from_le_bytes(*b"PK"))] {
        let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let file = safetensors(&format!("{header:length$}"), &[0; 4]);
        assert_eq!(WeightFiles::open(folder(&[("model.safetensors", &file)]).path()).unwrap().len(), 1);
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let cases = [
        (one("F32", "[2]", "[0,4]"), "not valid"),
        (one("F32", "[1]", "[4,8]"), "not valid"),
        (one("F32", "[2]", "[0,8]"), "describes 8 bytes of tensors, it holds 4"),
        (one("U8", "[1]", "[0,1]"), "describes 1 bytes of tensors, it holds 4"),
        (one("F99", "[1]", "[0,4]"), "F99"),
        (one("U8", "[18446744073709551615,2]", "[0,4]"), "not valid"),
        (one("U8", "[2305843009213693951]", "[0,2305843009213693951]"), "it holds 4"),
        ("[".repeat(100_000), "not valid"),
    ];
    for (header, expected) in cases {
        assert_contains(&message(&[("model.safetensors", &safetensors(&header, &[0; 4]))]), &[expected]);
    }
    let long = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    assert_contains(&message(&[("model.safetensors", &long)]), &["not a safetensors file"]);
}

#[test]
fn every_float_type_becomes_the_f32_that_pytorch_makes_of_it() {
    let weights = WeightFiles::open(&fixture("expected.safetensors")).unwrap();
    let read = |name| read_f32(&weights.get(name).unwrap()).unwrap();
    // As printed by torch for tensor.half().float() and so on of the fixture's edge values.
    let (inf, tiny) = (f32::INFINITY, 5.960_464_5e-8);
    assert_eq!(read("half"), [0.0, -0.0, 1.0, 65504.0, tiny, inf, -inf, 0.0]);
    assert_eq!(read("bfloat"), [0.0, -0.0, 1.0, 65536.0, 6.007_030_6e-8, inf, -inf, 0.0]);
    assert_eq!(read("double"), [0.1, inf, -2.5]);
    assert_eq!(read("scalar"), [3.5]);
    assert!(read("empty").is_empty());
    assert!(read("half")[1].is_sign_negative());
}

#[test]
fn long_half_tensors_convert_across_block_borders() {
    let halves: Vec<u8> = (0..2500u16).flat_map(|bits| bits.to_le_bytes()).collect();
    let header = r#"{"h":{"dtype":"F16","shape":[2500],"data_offsets":[0,5000]}}"#;
    let folder = folder(&[("model.safetensors", &safetensors(header, &halves))]);
    let weights = WeightFiles::open(folder.path()).unwrap();
    let values = read_f32(&weights.get("h").unwrap()).unwrap();
    for (bits, value) in (0..2500u16).zip(values) {
        assert_eq!(value, half::f16::from_bits(bits).to_f32());
    }
}

#[test]
fn other_types_are_listed_but_not_read() {
    let weights = WeightFiles::open(&fixture("expected.safetensors")).unwrap();
    let ids = weights.get("position_ids").unwrap();
    assert_eq!((ids.shape.as_slice(), ids.elements()), ([1, 5].as_slice(), 5));
    let error = read_f32(&ids).unwrap_err();
    assert!(matches!(error, CheckpointError::Tensor { .. }));
    assert_contains(&error.to_string(), &["expected.safetensors", "'position_ids'", "I64"]);
    let error = read_into(&weights.get("float").unwrap(), &mut [0.0; 3]).unwrap_err();
    assert_contains(&error.to_string(), &["24 elements", "3 were expected"]);
}
