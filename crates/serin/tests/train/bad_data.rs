//! Data that cannot be trained on: one exit code, one message with file and place, and no model.

use crate::training::{fails, misused, place, said, train};

/// Asserts that training on `content` fails with `parts` in the message.
fn refused(content: impl AsRef<[u8]>, parts: &[&str]) {
    let place = place();
    place.write("train.csv", content);
    fails(train(&place, &[]), parts);
    assert!(!place.path("out/best").exists() && !place.path("out/run.json").exists());
}

#[test]
fn an_empty_file() {
    refused("", &["train.csv holds no data rows"]);
}

#[test]
fn a_header_alone() {
    refused("text,label\n", &["train.csv holds no data rows"]);
}

#[test]
fn a_quote_that_is_never_closed_is_named_by_its_line() {
    refused("text,label\na good one,positive\n\"open,negative\nmore,positive\n", &["train.csv", "line 3", "quote"]);
}

#[test]
fn a_row_with_a_field_too_many() {
    refused("text,label\na,positive\nb,negative,extra\n", &["train.csv", "line 3"]);
}

#[test]
fn a_validation_label_that_training_never_saw() {
    let place = place();
    place.write("validation.csv", "text,label\na,positive\nb,mixed\n");
    fails(train(&place, &[]), &["validation.csv", "line 3", "mixed", "negative, positive"]);
    assert!(!place.path("out/best").exists());
}

#[test]
fn one_class_only() {
    refused("text,label\na,positive\nb,positive\n", &["train", "all 2 training examples have the label 'positive'"]);
}

#[test]
fn bytes_that_are_not_utf_8_are_named_by_their_line_and_read_on_demand() {
    let place = place();
    let mut bytes = crate::training::data(40, 0).into_bytes();
    bytes.extend_from_slice(b"caf\xe9,positive\n");
    place.write("train.csv", bytes);
    fails(train(&place, &[]), &["train.csv", "line 42", "UTF-8", "--lossy"]);
    said(train(&place, &["--lossy"]));
}

#[test]
fn a_missing_column_is_said_with_those_there_are() {
    refused("body,label\na,positive\nb,negative\n", &["train.csv", "body", "label", "--text-column"]);
    refused("text,stars\na,positive\nb,negative\n", &["train.csv", "stars", "--label-column"]);
}

#[test]
fn labels_of_minus_one_as_of_unlabelled_test_sets() {
    refused("text,label\na,-1\nb,-1\n", &["train", "-1"]);
    let place = place();
    place.write("train.csv", "text,label\na,0\nb,1\n");
    place.write("validation.csv", "text,label\na,-1\nb,-1\n");
    fails(train(&place, &[]), &["validation.csv", "line 2", "2 of 2 rows have the label -1"]);
}

#[test]
fn an_empty_label() {
    refused("text,label\na,positive\nb,negative\nc,\n", &["train.csv", "line 4"]);
}

#[test]
fn a_missing_file() {
    let place = place();
    fails(train(&place, &["--validation-file=absent.csv"]), &["absent.csv", "No such file"]);
}

#[test]
fn a_line_of_ten_megabytes_is_read_and_cut() {
    let place = place();
    let text = "very ".repeat(2 << 20);
    place.write("train.csv", format!("{}{text},positive\n", crate::training::data(40, 0)));
    let said = said(train(&place, &["--num-train-epochs=1"]));
    assert!(said.lines().any(|line| line.trim_start().starts_with("longest") && line.contains("10,485,7")), "{said}");
}

#[test]
fn no_training_data_is_not_the_shipped_data() {
    let place = place();
    let run = place.run(&["train", "--validation-file=validation.csv", "--output-dir=out"]);
    misused(run, &["no training data", "--train-file"]);
}
