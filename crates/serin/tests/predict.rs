//! `serin predict` as a user runs it.

mod support;

use serde_json::{Value, json};
use serin::data::{DataSpec, LabelUse, load_dataset};
use serin::{Classifier, ClassifierOptions, DeviceKind, DeviceOptions, Precision};
use serin_model::ProblemType;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{MAX_LENGTH, Place, Run, SENTIMENT, json_lines, labelled_rows, texts, write_model};

const FP32: [&str; 2] = ["--precision", "fp32"];

fn predict<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "model"], arguments, &FP32].concat()
}

/// In whatever precision the machine is fastest.
fn fast<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "model"], arguments].concat()
}

/// The library's predictions, text by text: never in a batch with another.
fn alone(place: &Place, model: &str) -> Vec<serin::Prediction> {
    let device = DeviceOptions { kind: DeviceKind::Cpu, threads: Some(1), precision: Precision::Fp32 };
    let options = ClassifierOptions { device, ..ClassifierOptions::default() };
    let path = place.path(model);
    let mut classifier = Classifier::from_pretrained(path.to_str().unwrap(), &options).unwrap();
    texts().iter().map(|text| classifier.predict(&[text.as_str()]).unwrap().remove(0)).collect()
}

fn score(row: &Value, column: &str) -> f32 {
    row[column].as_f64().unwrap() as f32
}

#[test]
fn a_file_comes_back_in_order_with_its_columns_and_the_library_s_predictions() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    place.run(&predict(&["--file", "in.jsonl", "--output", "out.jsonl"])).well();
    let (rows, expected) = (place.rows("out.jsonl"), alone(&place, "model"));
    assert_eq!(rows.len(), texts().len());
    for (id, ((row, text), expected)) in rows.iter().zip(texts()).zip(expected).enumerate() {
        assert_eq!((&row["id"], &row["text"]), (&json!(id), &json!(text)));
        assert_eq!(row["label"], SENTIMENT[id % 3]);
        assert_eq!(row["predicted_label"], expected.label.as_str());
        assert_eq!(score(row, "predicted_score"), expected.score);
        for (label, expected) in SENTIMENT.iter().zip(&expected.scores) {
            assert_eq!(score(row, &format!("score_{label}")), *expected, "{text:?}, whatever it is batched with");
        }
        assert_eq!(row["truncated"], expected.truncated);
        assert!(row["tokens"].as_u64().unwrap() >= expected.tokens as u64);
    }
    let labels: std::collections::BTreeSet<String> =
        rows.iter().map(|row| row["predicted_label"].to_string()).collect();
    assert!(labels.len() > 1, "a model that always says the same proves little");
}

#[test]
fn truncated_rows_are_flagged_counted_and_said() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let run = place.run(&predict(&["--file", "in.jsonl", "--output", "out.jsonl"]));
    let rows = place.rows("out.jsonl");
    let cut = |row: &&Value| row["tokens"].as_u64().unwrap() > MAX_LENGTH as u64;
    let expected: Vec<bool> = rows.iter().map(|row| cut(&row)).collect();
    let flags: Vec<bool> = rows.iter().map(|row| row["truncated"].as_bool().unwrap()).collect();
    assert_eq!(flags, expected);
    let count = flags.iter().filter(|&&flag| flag).count();
    assert!(count >= 2);
    assert!(
        run.stderr.contains(&format!("longer than {MAX_LENGTH} tokens, of which only a part was read: {count}\n")),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("empty texts, scored like any other: 1"), "{}", run.stderr);
}

#[test]
fn every_format_gives_the_same_predictions() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    for output in ["out.jsonl", "out.csv", "out.tsv", "out.parquet", "out.csv.gz", "out.jsonl.gz"] {
        place.run(&predict(&["--file", "in.jsonl", "--output", output])).well();
        // Round again: the first output as input, whose prediction columns get another name.
        place.run(&predict(&["--file", output, "--output", "again.jsonl", "--overwrite"])).well();
        for (row, text) in place.rows("again.jsonl").iter().zip(texts()) {
            assert_eq!(row["text"], text.as_str(), "{output}");
            assert_eq!(row["predicted_label"], row["predicted_label_2"], "{output}");
            let first = match &row["score_positive"] {
                Value::String(text) => text.parse::<f32>().unwrap(),
                number => number.as_f64().unwrap() as f32,
            };
            assert_eq!(first, score(row, "score_positive_2"), "{output}");
        }
        assert_eq!(place.rows("again.jsonl").len(), texts().len(), "{output}");
    }
}

#[test]
fn parquet_keeps_the_types_of_columns() {
    let place = Place::new();
    place.write("in.jsonl", "{\"text\":\"a\",\"n\":1,\"f\":0.5}\n{\"text\":\"b\",\"n\":2,\"f\":1.5}\n");
    place.run(&predict(&["--file", "in.jsonl", "--output", "out.parquet"])).well();
    place.run(&predict(&["--file", "out.parquet", "--output", "out.jsonl"])).well();
    let rows = place.rows("out.jsonl");
    assert_eq!((&rows[1]["n"], &rows[1]["f"]), (&json!(2), &json!(1.5)));
}

#[test]
fn arguments_give_a_line_of_json_each_where_no_terminal_looks() {
    let place = Place::new();
    let rows = json_lines(&place.run(&predict(&["one\ntext", "another"])).well());
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["text"], "one\ntext");
    assert!(SENTIMENT.contains(&rows[0]["predicted_label"].as_str().unwrap()));
}

#[test]
fn lines_of_standard_input_are_predicted_in_order() {
    let place = Place::new();
    let lines: Vec<String> = (0..5000).map(|number| format!("line {number}")).collect();
    let out = place.pipe(&predict(&["--output-format", "csv"]), &(lines.join("\n") + "\n")).well();
    let texts: Vec<&str> = out.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(texts, lines);
}

#[test]
fn a_slow_pipe_gets_each_answer_at_once() {
    let place = Place::new();
    let mut child = place
        .command(&predict(&[]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for text in ["first", "second", "third"] {
        writeln!(stdin, "{text}").unwrap();
        let mut line = String::new();
        // Waits for ever, and with it the test, if the answer only comes with the end of the input.
        stdout.read_line(&mut line).unwrap();
        assert_eq!(json_lines(&line)[0]["text"], text);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn standard_input_may_be_rows() {
    let place = Place::new();
    let out = place.pipe(&predict(&["--format", "jsonl"]), "{\"n\":3,\"text\":\"a\"}\n").well();
    assert_eq!(json_lines(&out)[0]["n"], 3);
}

#[test]
fn whoever_has_read_enough_is_no_error() {
    let place = Place::new();
    let mut child = place
        .command(&predict(&[]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    let writer = std::thread::spawn(move || drop(stdin.write_all("line\n".repeat(100_000).as_bytes())));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
    writer.join().unwrap();
}

#[test]
fn pairs_are_read_as_pairs() {
    let place = Place::new();
    place.write("in.csv", "premise,hypothesis\na man eats,a man sleeps\na man eats,nobody\n");
    place.run(&predict(&["--file", "in.csv", "--output", "out.jsonl"])).well();
    let rows = place.rows("out.jsonl");
    assert_eq!(rows[0]["hypothesis"], "a man sleeps");
    assert_ne!(rows[0]["score_positive"], rows[1]["score_positive"], "the second text counts");
}

#[test]
fn multi_label_models_give_lists_by_the_sigmoid() {
    let place = Place::new();
    write_model(&place.path("multi"), &["a", "b", "c", "d"], ProblemType::MultiLabelClassification, 3);
    place.write("in.jsonl", labelled_rows(&["x"]));
    place.run(&[&["predict", "multi", "--file", "in.jsonl", "-o", "out.jsonl"][..], &FP32].concat()).well();
    place
        .run(&[&["predict", "multi", "--file", "in.jsonl", "-o", "raw.jsonl", "--raw-scores"][..], &FP32].concat())
        .well();
    for (row, raw) in place.rows("out.jsonl").iter().zip(place.rows("raw.jsonl")) {
        let labels = ["a", "b", "c", "d"];
        let chosen: Vec<&str> =
            labels.into_iter().filter(|label| row[format!("score_{label}")].as_f64().unwrap() > 0.5).collect();
        assert_eq!(row["predicted_labels"], json!(chosen));
        for label in labels {
            let column = format!("score_{label}");
            let sigmoid = 1.0 / (1.0 + (-raw[&column].as_f64().unwrap()).exp());
            assert!((sigmoid - row[&column].as_f64().unwrap()).abs() < 1e-6);
        }
    }
}

#[test]
fn regressions_give_a_number() {
    let place = Place::new();
    write_model(&place.path("regression"), &["LABEL_0"], ProblemType::Regression, 3);
    place.write("in.jsonl", labelled_rows(&["x"]));
    place.run(&[&["predict", "regression", "--file", "in.jsonl", "-o", "out.jsonl"][..], &FP32].concat()).well();
    for (row, expected) in place.rows("out.jsonl").iter().zip(alone(&place, "regression")) {
        assert_eq!(score(row, "predicted_score"), expected.score);
        assert!(row.get("predicted_label").is_none());
    }
}

#[test]
fn raw_scores_are_the_logits_of_the_probabilities() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    place.run(&predict(&["--file", "in.jsonl", "--output", "out.jsonl"])).well();
    place.run(&predict(&["--file", "in.jsonl", "--output", "raw.jsonl", "--raw-scores"])).well();
    for (row, raw) in place.rows("out.jsonl").iter().zip(place.rows("raw.jsonl")) {
        let logits = SENTIMENT.map(|label| raw[format!("score_{label}")].as_f64().unwrap());
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        for (label, logit) in SENTIMENT.iter().zip(logits) {
            assert!((logit.exp() / sum - row[format!("score_{label}")].as_f64().unwrap()).abs() < 1e-6);
        }
    }
}

fn many_rows(count: usize) -> String {
    (0..count).map(|id| format!("{{\"id\":{id},\"text\":\"row {id} {}\"}}\n", "word ".repeat(id % 23))).collect()
}

fn held(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Begins or continues a run into `output`, and sends it a signal when it has written more than `bytes`.
fn stopped_half_way(place: &Place, output: &str, signal: &str, bytes: u64) -> Option<i32> {
    let arguments = fast(&["--file", "in.jsonl", "--output", output, "--resume"]);
    let mut child = place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let written = || {
        let parts = (0..9).map(|part| held(&place.path(&format!("{output}.partial-0000{part}"))));
        held(&place.path(&format!("{output}.partial"))) + parts.sum::<u64>()
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    while written() <= bytes {
        assert!(Instant::now() < deadline && !place.path(output).exists(), "it was to be stopped half-way");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let code = child.wait().unwrap().code();
    assert!(!place.path(output).exists(), "it was to be stopped half-way");
    code
}

fn durable_rows(place: &Place, output: &str) -> u64 {
    let progress: Value = serde_json::from_str(&place.read(&format!("{output}.progress"))).unwrap();
    progress["rows"].as_u64().unwrap()
}

#[test]
fn a_run_resumed_after_kill_9_equals_an_uninterrupted_one() {
    let place = Place::new();
    place.write("in.jsonl", many_rows(12_000));
    for output in ["out.jsonl", "out.csv"] {
        let whole = format!("whole.{output}");
        place.run(&fast(&["--file", "in.jsonl", "--output", &whole])).well();
        // Ctrl-C leaves a state; kill -9 leaves rows after it that the state does not know of.
        assert_eq!(stopped_half_way(&place, output, "-INT", 0), Some(130));
        let (rows, bytes) = (durable_rows(&place, output), held(&place.path(&format!("{output}.partial"))));
        assert!(rows > 0 && rows < 12_000, "{rows}");
        assert_eq!(stopped_half_way(&place, output, "-KILL", bytes), None);
        assert!(held(&place.path(&format!("{output}.partial"))) > bytes);
        let run = place.run(&fast(&["--file", "in.jsonl", "--output", output, "--resume"]));
        assert!(run.stderr.contains(&format!("after row {rows} of")), "{}", run.stderr);
        assert!(std::fs::read(place.path(&whole)).unwrap() == std::fs::read(place.path(output)).unwrap(), "{output}");
    }
    assert!(!place.names().iter().any(|name| name.contains("partial") || name.contains("progress")));
}

#[test]
fn parquet_output_goes_on_after_kill_9() {
    let place = Place::new();
    place.write("in.jsonl", many_rows(12_000));
    place.run(&fast(&["--file", "in.jsonl", "--output", "whole.jsonl"])).well();
    // A part is written when it is complete: only Ctrl-C leaves one early.
    let arguments = fast(&["--file", "in.jsonl", "--output", "out.parquet", "--resume"]);
    for signal in ["-INT", "-KILL"] {
        let mut child = place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
        while !place.names().iter().any(|name| name.starts_with("out.parquet.partial-")) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(30));
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
        assert!(!place.path("out.parquet").exists(), "it was to be stopped half-way");
    }
    assert!(durable_rows(&place, "out.parquet") > 0);
    place.run(&arguments).well();
    place.run(&fast(&["--file", "out.parquet", "--output", "again.jsonl"])).well();
    let (whole, again) = (place.rows("whole.jsonl"), place.rows("again.jsonl"));
    assert_eq!(whole.len(), again.len());
    for (expected, found) in whole.iter().zip(&again) {
        assert_eq!((&found["id"], &found["score_positive"]), (&expected["id"], &expected["score_positive"]));
    }
}

#[test]
fn a_run_does_not_go_on_with_other_settings() {
    let place = Place::new();
    place.write("in.jsonl", many_rows(12_000));
    let arguments = fast(&["--file", "in.jsonl", "--output", "out.csv"]);
    assert_eq!(stopped_half_way(&place, "out.csv", "-INT", 0), Some(130));
    place.run(&arguments).fails_with(&["out.csv.progress already exists", "--resume"]);
    let other = [arguments.as_slice(), &["--resume", "--max-length", "16"]].concat();
    place.run(&other).fails_with(&["cannot resume out.csv", "text settings"]);
    let raw = [arguments.as_slice(), &["--resume", "--raw-scores"]].concat();
    place.run(&raw).fails_with(&["--raw-scores was `false` and is `true` now"]);
}

#[test]
fn a_model_without_a_trained_head_is_refused() {
    let place = Place::new();
    let path = place.path("model/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    // The head's tensors under another name of the same length are no head.
    for at in 0..bytes.len() - 11 {
        if &bytes[at..at + 11] == b"classifier." {
            bytes[at] = b'k';
        }
    }
    std::fs::write(&path, bytes).unwrap();
    place.run(&predict(&["text"])).fails_with(&["model", "no trained classification head", "serin train"]);
}

#[test]
fn a_missing_model_is_named() {
    let place = Place::new();
    place.run(&["predict", "no/such/model", "text"]).fails_with(&["no/such/model"]);
}

#[test]
fn corrupt_weights_are_named() {
    let place = Place::new();
    let path = place.path("model/model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    place.run(&predict(&["text"])).fails_with(&["model.safetensors"]);
    assert_eq!(place.names(), ["model"]);
}

#[test]
fn a_missing_text_column_lists_the_columns() {
    let place = Place::new();
    place.write("in.csv", "id,body\n1,a\n");
    place.run(&predict(&["--file", "in.csv"])).fails_with(&["in.csv", "`id`, `body`", "--text-column"]);
    place.run(&predict(&["--file", "in.csv", "--text-column", "bodi"])).fails_with(&["no column `bodi`"]);
    place.run(&predict(&["--file", "in.csv", "--text-column", "body"])).well();
}

#[test]
fn a_broken_quote_is_named_with_its_line_and_nothing_gets_the_output_s_name() {
    let place = Place::new();
    place.write("in.csv", "text\nfine\n\"never closed\nand on\n");
    place.run(&predict(&["--file", "in.csv", "-o", "out.csv"])).fails_with(&["in.csv, line 3", "quote", "--overwrite"]);
    assert!(!place.path("out.csv").exists());
}

#[test]
fn invalid_utf_8_is_named_with_its_line() {
    let place = Place::new();
    place.write("in.txt", b"fine\ncaf\xe9\n");
    place.run(&predict(&["--file", "in.txt", "-o", "out.csv"])).fails_with(&["in.txt, line 2", "UTF-8", "--lossy"]);
    place.run(&predict(&["--file", "in.txt", "--lossy", "-o", "out.csv", "--overwrite"])).well();
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    let place = Place::new();
    for name in ["empty.csv", "empty.jsonl"] {
        place.write(name, "");
        place.run(&predict(&["--file", name])).fails_with(&[name, "no data rows"]);
    }
}

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    place.run(&predict(&["--file", "nowhere.csv"])).fails_with(&["nowhere.csv"]);
}

#[test]
fn an_output_that_exists_is_kept() {
    let place = Place::new();
    place.write("in.csv", "text\na\n");
    place.write("out.csv", "precious");
    place.run(&predict(&["--file", "in.csv", "-o", "out.csv"])).fails_with(&["out.csv already exists", "--overwrite"]);
    assert_eq!(place.read("out.csv"), "precious");
    place.run(&predict(&["--file", "in.csv", "-o", "out.csv", "--overwrite"])).well();
    assert!(place.read("out.csv").starts_with("text,predicted_label"));
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let place = Place::new();
    place.write("in.csv", "text\na\n");
    place.run(&predict(&["--file", "in.csv", "-o", "no/folder/out.csv"])).fails_with(&["no/folder/out.csv"]);
    place.run(&predict(&["--file", "in.csv", "-o", "out.doc"])).fails_with(&["out.doc", ".parquet"]);
}

#[test]
fn misuse_is_exit_code_2() {
    let place = Place::new();
    for arguments in [
        &["predict", "--nonsense"][..],
        &["predict", "model", "text", "--file", "in.csv"],
        &["predict", "model", "--resume"],
        &["predict", "model", "text", "--threads", "0"],
    ] {
        assert_eq!(place.run(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_first_text_of_one_word_is_told_from_a_model_by_naming_one() {
    let place = Place::new();
    place.run(&["predict", "Great"]).fails_with(&[
        "no such local folder",
        "hint: \"Great\" was taken for a model",
        "--model",
    ]);
    let named = place.run(&["predict", "--model", "Great", "text"]);
    assert!(!named.stderr.contains("was taken for a model"), "{}", named.stderr);
    assert!(place.run(&["predict", "--model", "model", "Great"]).well().contains("\"text\":\"Great\""));
}

#[test]
fn prediction_files_can_be_loaded_as_data() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    place.run(&predict(&["--file", "in.jsonl", "--output", "out.parquet"])).well();
    let spec =
        DataSpec { paths: vec![place.path("out.parquet")], label_use: LabelUse::Required, ..DataSpec::default() };
    assert_eq!(load_dataset(&spec).unwrap().len(), texts().len());
}

#[test]
fn max_samples_ends_after_the_first_rows() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    place.run(&["predict", "model", "--file", "in.jsonl", "-o", "out.jsonl", "--max-samples", "5"]).well();
    let ids: Vec<_> = place.rows("out.jsonl").into_iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    assert_eq!(place.run(&["predict", "model", "a", "--max-samples", "5"]).code, Some(2));
}

#[test]
fn a_panic_that_becomes_an_error_is_not_printed() {
    let place = Place::new();
    let model = place.path("model");
    serin::text::Tokenizer::from_dir(&model, "roberta", MAX_LENGTH).unwrap().save(&model).unwrap();
    let path = model.join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    // A character map of no entries: the library indexes into it at the first letter.
    tokenizer["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="});
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    let mut command = place.command(&["predict", "model", "a text"]);
    let run = Run::of(command.env_remove("RUST_BACKTRACE").output().unwrap());
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run.fails_with(&["the tokenizers library failed"]);
}
