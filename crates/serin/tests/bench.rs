//! `serin bench` on a tiny model: everything is measured, and what is written can be read.

mod support;

use serde_json::Value;
use std::time::Instant;
use support::{Place, labelled_rows};

fn json(place: &Place, arguments: &[&str]) -> Value {
    let mut all = vec!["bench", "--device", "cpu", "--seconds", "0.05", "--json", "-"];
    all.extend(arguments);
    serde_json::from_str(&place.run(&all).well()).unwrap()
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is no number in {value}"))
}

#[test]
fn everything_is_measured_quickly_on_a_tiny_model() {
    let place = Place::new();
    let started = Instant::now();
    let report = json(&place, &["--model", "model", "--tokens", "64", "--batch-size", "4", "--steps", "2"]);
    let seconds = started.elapsed().as_secs_f64();
    assert!(seconds < 30.0, "{seconds} s even on a slow and busy machine is too long");
    for part in ["machine", "ops", "layers", "inference"] {
        assert!(report[part].as_array().is_some_and(|list| list.len() > 3), "{part}: {}", report[part]);
    }
    for measured in report["ops"].as_array().unwrap().iter().chain(report["layers"].as_array().unwrap()) {
        let [min, median, max] = ["min", "median", "max"].map(|key| number(measured, &format!("/milliseconds/{key}")));
        assert!(0.0 < min && min <= median && median <= max, "{measured}");
    }
    let weights = report.pointer("/conditions/model").and_then(Value::as_str).unwrap();
    assert!(weights.contains("weights of "), "{weights}");
}

#[test]
fn steps_without_and_with_the_cache_train_on_the_same_tokens() {
    let place = Place::new();
    let report = json(&place, &["step", "--model", "model", "--batch-size", "4", "--steps", "3", "--examples", "1000"]);
    let (first, later) = (&report["step"]["first_epoch"], &report["step"]["later_epochs"]);
    for steps in [first, later] {
        assert_eq!((number(steps, "/examples"), number(steps, "/step/milliseconds/repetitions")), (4.0, 3.0));
        let forecast = 1000.0 / number(steps, "/examples_per_second");
        assert!((number(steps, "/epoch_seconds") / forecast - 1.0).abs() < 1e-9);
        assert!((number(steps, "/steps_per_second") * 4.0 / number(steps, "/examples_per_second") - 1.0).abs() < 1e-9);
    }
    let forecast = &report["step"]["forecast"];
    let seconds = |name: &str| number(forecast, &format!("/{name}seconds"));
    let [train, evaluate] = ["first_epoch_", "first_evaluation_"].map(seconds);
    let [train_later, evaluate_later] = ["later_epoch_", "later_evaluation_"].map(seconds);
    assert!([train, evaluate, train_later, evaluate_later].iter().all(|&seconds| seconds > 0.0), "{forecast}");
    let twelve = train + evaluate + 11.0 * (train_later + evaluate_later);
    assert!((seconds("") / twelve - 1.0).abs() < 1e-9, "{forecast}");
    assert_eq!(number(first, "/tokens"), number(later, "/tokens"));
    // Two layers, one frozen: the cache saves its forward pass and the embeddings, and nothing else.
    let flops = |steps: &Value, part: &str| {
        let parts = steps["parts"].as_array().unwrap();
        parts.iter().find(|found| found["name"] == part).map(|found| number(found, "/flops"))
    };
    assert!(flops(first, "layer 0 forward").is_some_and(|flops| flops > 0.0));
    assert_eq!(flops(later, "layer 0 forward"), None);
    for part in ["layer 1 forward", "layer 1 backward", "head backward"] {
        assert_eq!(flops(first, part), flops(later, part), "{part}");
    }
}

#[test]
fn steps_read_a_file() {
    let place = Place::new();
    place.write("train.jsonl", labelled_rows(&["a", "b"]));
    let arguments = ["step", "--model", "model", "--train-file", "train.jsonl", "--batch-size", "5", "--steps", "4"];
    let report = json(&place, &arguments);
    assert_eq!(number(&report["step"]["first_epoch"], "/examples"), 5.0);
    let mut arguments = vec!["bench", "-q", "--seconds", "0.05"];
    arguments.extend([
        "step",
        "--model",
        "model",
        "--train-file",
        "train.jsonl",
        "--batch-size",
        "500",
        "--steps",
        "4",
    ]);
    place.run(&arguments).fails_with(&["train.jsonl", "2000 are needed"]);
}

#[test]
fn inference_takes_the_shapes_that_are_asked_for() {
    let place = Place::new();
    let report = json(&place, &["inference", "--model", "model", "--shapes", "3x16,300x32"]);
    let shapes = report["inference"].as_array().unwrap();
    assert_eq!(shapes.len(), 2);
    assert_eq!((number(&shapes[1], "/sequences"), number(&shapes[1], "/length")), (300.0, 32.0));
    let rate = 3.0 * 16.0 / (number(&shapes[0], "/measured/milliseconds/median") / 1e3);
    assert!((number(&shapes[0], "/tokens_per_second") / rate - 1.0).abs() < 1e-9);
    place
        .run(&["bench", "-q", "inference", "--model", "model", "--shapes", "1x33"])
        .fails_with(&["33 tokens", "reads 32"]);
}

#[test]
fn inference_classifies_the_texts_of_a_file() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&["a", "b"]));
    let report = json(&place, &["inference", "--model", "model", "--file", "in.jsonl", "--max-samples", "3"]);
    assert!(report.get("inference").is_none(), "the sweeps are not asked for");
    let texts = &report["texts"];
    assert_eq!(number(texts, "/texts"), 3.0);
    place.run(&["predict", "model", "--file", "in.jsonl", "--output", "out.jsonl", "--device", "cpu"]).well();
    let tokens: f64 = place.rows("out.jsonl").iter().take(3).map(|row| number(row, "/tokens").min(32.0)).sum();
    assert_eq!(number(texts, "/tokens"), tokens);
    for part in ["model", "whole"] {
        let rate =
            number(texts, &format!("/{part}_tokens_per_second")) * number(texts, &format!("/{part}_seconds/median"));
        assert!((rate / tokens - 1.0).abs() < 1e-9, "{texts}");
    }
    let refused = place.run(&["bench", "-q", "inference", "--file", "in.jsonl"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--model"), "{}", refused.stderr);
}

#[test]
fn tables_are_for_eyes_and_files_for_programs() {
    let place = Place::new();
    let run = place.run(&[
        "bench",
        "layers",
        "--device",
        "cpu",
        "--model",
        "model",
        "--seconds",
        "0.05",
        "--json",
        "report.json",
    ]);
    let (stderr, table) = (run.stderr.clone(), run.well());
    assert!(stderr.contains("layers …"), "{stderr}");
    for part in ["The machine at most", "DRAM read", "layer 0 forward", "layer 1 backward", "weights of"] {
        assert!(table.contains(part), "{part} is not in:\n{table}");
    }
    assert!(serde_json::from_str::<Value>(&place.read("report.json")).is_ok_and(|report| report["layers"].is_array()));
}

#[test]
fn senseless_numbers_are_refused() {
    let place = Place::new();
    place.run(&["bench", "-q", "--seconds", "0"]).misused_with(&["--seconds"]);
    place.run(&["bench", "-q", "ops", "--tokens", "0"]).misused_with(&["--tokens"]);
    for flag in ["--batch-size", "--steps", "--micro-batch-tokens"] {
        place.run(&["bench", "-q", "step", flag, "0"]).misused_with(&[flag]);
    }
}
