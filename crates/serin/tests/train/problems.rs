//! Every kind of label, and pairs of texts, from file to file.

use crate::training::{contains, entries, place, said, train_on};
use serde_json::Value;

const FILES: [&str; 2] = ["--train-file=in.csv", "--validation-file=in.csv"];

fn config(place: &crate::support::Place) -> Value {
    serde_json::from_str(&place.read("out/best/config.json")).unwrap()
}

fn rows(header: &str, row: impl Fn(usize) -> String) -> String {
    std::iter::once(header.to_owned()).chain((0..32).map(row)).map(|line| line + "\n").collect()
}

#[test]
fn multi_label_data() {
    let place = place();
    place.write(
        "in.csv",
        rows("text,joy,anger", |row| format!("{} number {row},{},{}", ["good", "meh"][row % 2], row % 2, row / 2 % 2)),
    );
    let said = said(train_on(&place, &FILES, &["--label-columns=joy,anger"]));
    contains(&said, &["Epoch 3 summary", "Eval acc: "]);
    let config = config(&place);
    assert_eq!(config["problem_type"], "multi_label_classification");
    assert_eq!(config["id2label"], serde_json::json!({"0": "joy", "1": "anger"}));
    let predicted = place.run(&["predict", "out", "good number 7"]).well();
    assert!(!predicted.is_empty());
}

#[test]
fn regression_data() {
    let place = place();
    place.write("in.csv", rows("text,score", |row| format!("{} number {row},{}.5", ["good", "meh"][row % 2], row % 2)));
    let said = said(train_on(&place, &FILES, &["--problem-type=regression"]));
    contains(&said, &["Epoch 3 summary", "Eval loss: ", "Eval pearson: ", "Best validation pearson: "]);
    assert!(!said.contains("acc:"), "{said}");
    let config = config(&place);
    assert_eq!(config["problem_type"], "regression");
    assert_eq!(entries(&place, "out", true).len(), 3);
}

#[test]
fn regression_is_told_by_its_labels() {
    let place = place();
    place.write("in.csv", rows("text,score", |row| format!("{} number {row},{}.25", ["good", "meh"][row % 2], row)));
    let said = said(train_on(&place, &FILES, &[]));
    contains(&said, &["Eval pearson: "]);
    assert_eq!(config(&place)["problem_type"], "regression");
}

#[test]
fn pairs_of_texts() {
    let place = place();
    place.write(
        "in.csv",
        rows("first,second,label", |row| {
            format!("one text,{} {row},{}", ["one", "other"][row % 2], ["same", "different"][row % 2])
        }),
    );
    let flags = ["--text-column=first", "--text-pair-column=second", "--num-train-epochs=8", "--max-length=24"];
    let said = said(train_on(&place, &FILES, &flags));
    contains(&said, &["same", "different"]);
    // The first texts are all one: only the second ones tell the labels apart.
    let best =
        entries(&place, "out", true).iter().map(|entry| entry["eval_accuracy"].as_f64().unwrap()).fold(0.0, f64::max);
    assert!(best > 0.9, "{best}");
}
