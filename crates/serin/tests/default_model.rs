//! Where no model is named, the one that ships inside answers.

mod support;

use support::{Place, json_lines};

#[test]
fn texts_alone_are_predicted_by_the_shipped_model() {
    let place = Place::new();
    let rows = json_lines(&place.run(&["predict", "What a great film!", "This was terrible, I hated it."]).well());
    let labels: Vec<&str> = rows.iter().filter_map(|row| row["predicted_label"].as_str()).collect();
    assert_eq!(labels, ["positive", "negative"]);
    let named = json_lines(&place.run(&["predict", "--model", "serin-tiny", "great"]).well());
    assert_eq!(named[0]["text"], "great");
}

#[test]
fn data_alone_evaluates_the_shipped_model() {
    let place = Place::new();
    place.write("data.csv", "text,label\nI love it,positive\nI hate it,negative\n");
    let report = place.run(&["evaluate", "data.csv", "--json", "-"]).well();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["eval_samples"], 2);
}

#[test]
fn the_shipped_model_fills_masks() {
    let place = Place::new();
    let rows =
        json_lines(&place.run(&["fill-mask", "This is the <mask> movie I have ever seen.", "--top-k", "3"]).well());
    assert_eq!(rows[0]["masks"][0].as_array().map(Vec::len), Some(3));
    assert!(!rows[0]["filled"].as_str().unwrap().contains("mask"));
}
