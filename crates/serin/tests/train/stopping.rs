//! Early stopping, and what it leaves.

use crate::support::json_lines;
use crate::training::{contains, data, entries, place, said, train};
use serde_json::Value;

#[test]
fn it_stops_after_exactly_the_patience_without_a_new_best() {
    let place = place();
    let said = said(train(&place, &["--learning-rate=0", "--early-stopping-patience=2", "--num-train-epochs=9"]));
    contains(&said, &["Early stopping.", "in epoch 1"]);
    assert_eq!(entries(&place, "out", true).len(), 3);
    let state: Value = serde_json::from_str(&place.read("out/trainer_state.json")).unwrap();
    let stopping = &state["stateful_callbacks"]["EarlyStoppingCallback"];
    assert_eq!(stopping["attributes"]["early_stopping_patience_counter"], 2);
    assert_eq!(state["best_global_step"], 5);
}

#[test]
fn the_best_weights_are_tested_and_kept() {
    let place = place();
    // Weights of the last epoch are noise at this rate; the loss selects an earlier one.
    place.write("test.csv", data(30, 300));
    let flags = ["--learning-rate=0.05", "--lr-scheduler-type=constant", "--num-train-epochs=6"];
    let flags = [&flags[..], &["--metric-for-best-model=loss", "--test-file=test.csv"]].concat();
    let out = train(&place, &flags).well();
    contains(&out, &["accuracy"]);
    let results: Value = serde_json::from_str(&place.read("out/all_results.json")).unwrap();
    let evaluate = ["evaluate", "out/best", "test.csv", "--precision", "fp32", "--json", "-"];
    let report: Value = serde_json::from_str(&place.run(&evaluate).well()).unwrap();
    for key in ["eval_loss", "eval_accuracy"] {
        let (kept, tested) = (report[key].as_f64().unwrap(), results["test"][key].as_f64().unwrap());
        assert!((kept - tested).abs() < 1e-6, "{key}: {kept} of best/, {tested} of the run");
    }
    let log = json_lines(&place.read("out/train_log.jsonl"));
    let losses: Vec<f64> = log.iter().filter_map(|entry| entry["eval_loss"].as_f64()).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(results["best_metric"].as_f64(), Some(least));
    assert_eq!(results["best_epoch"].as_u64(), losses.iter().position(|&loss| loss == least).map(|at| at as u64 + 1));
}

#[test]
fn predictions_that_are_all_one_label_are_said_with_a_hint() {
    let place = place();
    place.write("train.csv", data(40, 0).replace("negative", "positive").replacen("positive", "negative", 1));
    let said = said(train(&place, &["--learning-rate=0.01"]));
    contains(&said, &["note: all 16 evaluated texts were given the label 'positive'", "hint: ", "--learning-rate"]);
}
