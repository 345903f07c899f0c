//! The output folder: whose it is, and what is refused.

use crate::training::{contains, fails, left, place, said, train};
use serde_json::Value;

#[test]
fn a_folder_that_holds_a_run_is_refused_and_replaced_on_demand() {
    let place = place();
    said(train(&place, &[]));
    let before = left(&place, "out");
    place.write("out/notes.txt", "mine");
    fails(train(&place, &["--seed=5"]), &["out: holds a run already", "--resume", "--overwrite-output-dir"]);
    before.equals(&left(&place, "out"));
    said(train(&place, &["--seed=5", "--overwrite-output-dir"]));
    said(train(&place, &["--seed=5", "--output-dir=fresh"]));
    left(&place, "fresh").equals(&left(&place, "out"));
    assert_eq!(place.read("out/notes.txt"), "mine", "what is not the run's stays");
}

#[test]
fn bad_data_does_not_cost_the_run_that_was_to_be_replaced() {
    let place = place();
    said(train(&place, &[]));
    let before = left(&place, "out");
    assert_eq!(train(&place, &["--overwrite-output-dir", "--class-weights=1,2,3"]).code, Some(1));
    place.write("train.csv", "text,label\n");
    assert_eq!(train(&place, &["--overwrite-output-dir"]).code, Some(1));
    before.equals(&left(&place, "out"));
}

#[test]
fn an_output_folder_that_cannot_be_made_is_refused_before_anything_is_read() {
    let place = place();
    let flags = ["--output-dir=train.csv/out", "--train-file=absent.csv"];
    fails(train(&place, &flags), &["train.csv/out: cannot make the output folder", "--output-dir"]);
}

#[test]
fn best_has_labels_problem_type_tokenizer_text_settings_and_card() {
    let place = place();
    said(train(&place, &[]));
    let json = |name: &str| -> Value { serde_json::from_str(&place.read(&format!("out/best/{name}"))).unwrap() };
    let config = json("config.json");
    assert_eq!(config["id2label"], serde_json::json!({"0": "negative", "1": "positive"}));
    assert_eq!(config["label2id"], serde_json::json!({"negative": 0, "positive": 1}));
    assert_eq!(config["problem_type"], "single_label_classification");
    assert_eq!(config["architectures"], serde_json::json!(["RobertaForSequenceClassification"]));
    for file in ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"] {
        assert!(place.path(&format!("out/best/{file}")).exists(), "{file}");
    }
    assert_eq!(json("serin.json")["max_length"], 16);
    contains(
        &place.read("out/best/README.md"),
        &["learning_rate", "## Results on the validation data", "--max-length"],
    );
}

#[test]
fn tensorboard_files_are_written_unless_told_otherwise() {
    let place = place();
    said(train(&place, &[]));
    assert!(!place.path("out/runs").exists());
    said(train(&place, &["--report-to=tensorboard", "--output-dir=board"]));
    assert_eq!(std::fs::read_dir(place.path("board/runs")).unwrap().count(), 1);
}

#[test]
fn quiet_says_nothing_but_the_test_report() {
    let place = place();
    let run = train(&place, &["--quiet"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""));
}
