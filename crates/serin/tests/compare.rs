//! `serin compare` as a user runs it.

mod support;

use serde_json::{Value, json};
use serin_model::ProblemType;
use support::{Place, SENTIMENT, labelled_rows, write_model};

/// Predictions of two models on the same rows.
fn two() -> Place {
    let place = Place::new();
    write_model(&place.path("other"), &SENTIMENT, ProblemType::SingleLabelClassification, 99);
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    for (model, output) in [("model", "a.csv"), ("other", "b.parquet")] {
        let arguments = ["evaluate", model, "in.jsonl", "--precision", "fp32", "--predictions", output];
        place.run(&arguments).well();
    }
    place
}

#[test]
fn numbers_equal_those_of_both_evaluations() {
    let place = two();
    let accuracy = |model: &str| {
        let json = place.run(&["evaluate", model, "in.jsonl", "--precision", "fp32", "--json", "-"]).well();
        let report: Value = serde_json::from_str(&json).unwrap();
        (report["eval_accuracy"].as_f64().unwrap(), report["eval_f1_macro"].as_f64().unwrap())
    };
    let (first, second) = (accuracy("model"), accuracy("other"));
    let json = place.run(&["compare", "a.csv", "b.parquet", "--json", "-"]).well();
    let found: Value = serde_json::from_str(&json).unwrap();
    let number = |path: &str| found.pointer(path).unwrap().as_f64().unwrap();
    assert!((number("/accuracy/first") - first.0).abs() < 1e-9);
    assert!((number("/accuracy/second") - second.0).abs() < 1e-9);
    assert!((number("/f1_macro/first") - first.1).abs() < 1e-9);
    assert!((number("/f1_macro/second") - second.1).abs() < 1e-9);
    assert!((number("/accuracy/difference") - (second.0 - first.0)).abs() < 1e-9);
    assert!(number("/accuracy/interval/low") <= number("/accuracy/difference"));
    let only = number("/mcnemar/only_second") - number("/mcnemar/only_first");
    assert!((only / number("/rows") - (second.0 - first.0)).abs() < 1e-9);
    let table = place.run(&["compare", "a.csv", "b.parquet"]).well();
    assert!(table.contains("McNemar") && table.contains(&format!("{:.4}", first.0)), "{table}");
}

#[test]
fn a_file_does_not_differ_from_itself() {
    let place = two();
    let json = place.run(&["compare", "a.csv", "a.csv", "--json", "-"]).well();
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["accuracy"]["difference"], json!(0.0));
    assert_eq!(found["mcnemar"]["exact_p"], json!(1.0));
}

fn scored(rows: &[(&str, &str, &str)]) -> String {
    let lines = rows.iter().map(|(text, label, predicted)| format!("{text},{label},{predicted},0.9,0.1,0.9,false,3\n"));
    let head = "text,label,predicted_label,predicted_score,score_n,score_p,truncated,tokens\n".to_owned();
    [head].into_iter().chain(lines).collect()
}

#[test]
fn mcnemar_counts_rows_that_one_alone_got_right() {
    let place = Place::new();
    place
        .write("a.csv", scored(&[("1", "p", "p"), ("2", "p", "n"), ("3", "n", "n"), ("4", "n", "p"), ("5", "p", "n")]));
    place
        .write("b.csv", scored(&[("1", "p", "p"), ("2", "p", "p"), ("3", "n", "p"), ("4", "n", "n"), ("5", "p", "p")]));
    let json = place.run(&["compare", "a.csv", "b.csv", "--json", "-"]).well();
    let found: Value = serde_json::from_str(&json).unwrap();
    // 1 against 3 of 4: twice (1 + 4) / 16.
    assert_eq!((&found["mcnemar"]["only_first"], &found["mcnemar"]["only_second"]), (&json!(1), &json!(3)));
    assert_eq!(found["mcnemar"]["exact_p"], json!(0.625));
}

#[test]
fn the_first_row_that_differs_is_named() {
    let place = Place::new();
    place.write("a.csv", scored(&[("same", "p", "p"), ("this", "p", "n")]));
    place.write("b.csv", scored(&[("same", "p", "p"), ("that", "p", "n")]));
    place.run(&["compare", "a.csv", "b.csv"]).fails_with(&["row 2", "\"this\"", "\"that\""]);
    place.write("b.csv", scored(&[("same", "p", "p"), ("this", "n", "n")]));
    place.run(&["compare", "a.csv", "b.csv"]).fails_with(&["row 2", "another label"]);
    place.write("b.csv", scored(&[("same", "p", "p")]));
    place.run(&["compare", "a.csv", "b.csv"]).fails_with(&["b.csv ends after row 1, a.csv goes on"]);
}

#[test]
fn files_without_predictions_or_labels_are_refused() {
    let place = Place::new();
    place.write("a.csv", scored(&[("1", "p", "p")]));
    place.write("rows.csv", "text,label\n1,p\n");
    place.run(&["compare", "a.csv", "rows.csv"]).fails_with(&["rows.csv", "predicted_label", "`serin predict`"]);
    place.write("unlabelled.csv", scored(&[("1", "p", "p")]).replace("text,label,", "text,gold,"));
    place.run(&["compare", "unlabelled.csv", "a.csv"]).fails_with(&["unlabelled.csv", "--label-column"]);
    place.run(&["compare", "unlabelled.csv", "unlabelled.csv", "--label-column", "gold"]).well();
    place.write("others.csv", scored(&[("1", "p", "p")]).replace("score_n", "score_x"));
    place.run(&["compare", "a.csv", "others.csv"]).fails_with(&["different labels"]);
    place.write("bad.csv", scored(&[("1", "p", "p"), ("2", "q", "p")]));
    place.run(&["compare", "a.csv", "bad.csv"]).fails_with(&["bad.csv, line 3", "`q`"]);
}
