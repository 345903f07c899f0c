//! What cannot be pretrained with: an exit code, a message that names it, and no model left.

use crate::place::{place, pretrain, pretrain_from, pretrain_on, text};
use crate::support::{Place, Run};
use crate::training::{fails, left, misused, said};

/// Asserts that a run failed with `parts` and left nothing but, perhaps, the tokenized text.
fn refused(place: &Place, run: Run, parts: &[&str]) {
    left_nothing(place, run, |run| fails(run, parts));
}

/// The same of settings that make no sense.
fn refused_settings(place: &Place, run: Run, parts: &[&str]) {
    left_nothing(place, run, |run| misused(run, parts));
}

fn left_nothing(place: &Place, run: Run, ended: impl FnOnce(Run)) {
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    ended(run);
    let entries = std::fs::read_dir(place.path("out")).into_iter().flatten();
    let left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).filter(|name| name != "corpus").collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn text_that_is_absent_empty_or_blank() {
    let place = place();
    place.write("empty.txt", "");
    place.write("blank.txt", "\n \n\t\n");
    refused(&place, pretrain_on(&place, "absent.txt", &[]), &["absent.txt", "No such file"]);
    refused(&place, pretrain_on(&place, "empty.txt", &[]), &["empty.txt"]);
    refused(&place, pretrain_on(&place, "blank.txt", &[]), &["blank.txt"]);
    refused(&place, pretrain(&place, &["--validation-file=empty.txt"]), &["empty.txt"]);
    refused(&place, pretrain(&place, &["--exclude-file=absent.txt"]), &["absent.txt", "No such file"]);
}

#[test]
fn text_that_is_not_utf_8_is_named_with_its_line() {
    let place = place();
    place.write("bad.txt", b"one two\n\nthree \xff four\n");
    refused(&place, pretrain_on(&place, "bad.txt", &[]), &["bad.txt", "line 3", "UTF-8"]);
}

#[test]
fn a_column_that_a_table_lacks() {
    let place = place();
    place.write("rows.csv", "id,review\n1,one two three\n");
    refused(&place, pretrain_on(&place, "rows.csv", &["--text-column=body"]), &["rows.csv", "body", "review"]);
}

#[test]
fn nothing_left_to_evaluate_with() {
    let place = place();
    place.write("few.txt", text(3));
    let share = ["validation_fraction: of 3 documents, 0.01 holds out none", "--validation-file"];
    refused_settings(&place, pretrain_on(&place, "few.txt", &["--validation-fraction=0.01"]), &share);
    refused_settings(&place, pretrain(&place, &["--validation-fraction=0"]), &["held-out", "--validation-file"]);
}

#[test]
fn nothing_to_start_from() {
    let place = place();
    refused_settings(&place, pretrain_from(&place, &[], &[]), &["--model", "--tokenizer-name"]);
    refused(&place, pretrain_from(&place, &["--model=absent"], &[]), &["absent"]);
    refused(&place, pretrain_from(&place, &["--tokenizer-name=absent"], &[]), &["absent"]);
    std::fs::create_dir(place.path("hollow")).unwrap();
    refused(&place, pretrain_from(&place, &["--tokenizer-name=hollow"], &[]), &["hollow", "tokenizer"]);
}

#[test]
fn shapes_that_are_none() {
    let place = place();
    for (flag, part) in [
        ("--num-attention-heads=5", "num_attention_heads"),
        ("--num-attention-heads=0", "num_attention_heads"),
        ("--hidden-size=0", "hidden_size"),
        ("--num-hidden-layers=0", "num_hidden_layers"),
        ("--intermediate-size=0", "intermediate_size"),
        ("--max-positions=0", "max_position_embeddings"),
        ("--hidden-size=18446744073709551615", "hidden_size"),
        ("--num-hidden-layers=1000000000", "num_hidden_layers"),
        ("--max-positions=18446744073709551615", "max_position_embeddings"),
    ] {
        refused(&place, pretrain(&place, &[flag]), &[part]);
    }
}

#[test]
fn settings_that_make_no_sense() {
    let place = place();
    for (flag, part) in [
        ("--mlm-probability=0", "mlm_probability"),
        ("--mlm-probability=1.5", "mlm_probability"),
        ("--mlm-probability=nan", "mlm_probability"),
        ("--validation-fraction=1", "validation_fraction"),
        ("--validation-fraction=nan", "validation_fraction"),
        ("--max-length=2", "max_length"),
        ("--batch-size=0", "train_batch_size"),
        ("--learning-rate=nan", "learning_rate"),
        ("--hidden-dropout-prob=1.5", "hidden_dropout_prob"),
        ("--attention-probs-dropout-prob=nan", "attention_probs_dropout_prob"),
        ("--num-train-epochs=0", "num_train_epochs"),
        ("--max-steps=0", "--max-steps 0"),
        ("--max-steps=-5", "--max-steps -5"),
        ("--save-steps=0", "--save-steps 0"),
        ("--logging-steps=0", "--logging-steps 0"),
        ("--eval-steps=0", "--eval-steps 0"),
        ("--micro-batch-tokens=0", "micro_batch_tokens"),
        ("--micro-batch-tokens=18446744073709551615", "micro_batch_tokens"),
    ] {
        refused_settings(&place, pretrain(&place, &[flag]), &[part]);
    }
}

#[test]
fn a_tokenizer_larger_than_the_vocabulary() {
    let place = place();
    std::fs::create_dir(place.path("small")).unwrap();
    let shape = r#"{"model_type": "roberta", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 34, "pad_token_id": 1}"#;
    place.write("small/config.json", shape);
    let start = ["--config-name=small", "--tokenizer-name=tokenizer"];
    refused(&place, pretrain_from(&place, &start, &[]), &["tokenizer", "vocab_size", "50"]);
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let place = place();
    place.write("file", "mine");
    fails(pretrain(&place, &["--output-dir=file"]), &["file", "--output-dir"]);
    fails(pretrain(&place, &["--output-dir=file/out"]), &["file/out", "--output-dir"]);
    assert_eq!(place.read("file"), "mine");
}

#[test]
fn a_failed_run_leaves_the_one_before_it_whole() {
    let place = place();
    said(pretrain(&place, &["--num-train-epochs=1"]));
    let before = left(&place, "out");
    place.write("bad.txt", [text(40).as_bytes(), b"\xff\n"].concat());
    fails(pretrain_on(&place, "bad.txt", &["--overwrite-output-dir"]), &["bad.txt", "UTF-8"]);
    before.equals(&left(&place, "out"));
    fails(pretrain(&place, &["--num-attention-heads=5", "--overwrite-output-dir"]), &["num_attention_heads"]);
    before.equals(&left(&place, "out"));
    said(pretrain(&place, &["--num-train-epochs=1", "--resume"]));
    before.equals(&left(&place, "out"));
}
