//! `serin evaluate` as a user runs it, against numbers computed here from what `serin predict` says.

mod support;

use serde_json::{Value, json};
use serin_model::ProblemType;
use support::{MAX_LENGTH, Place, Run, SENTIMENT, labelled_rows, texts, write_model};

const FP32: [&str; 2] = ["--precision", "fp32"];

fn evaluate(place: &Place, arguments: &[&str]) -> Run {
    place.run(&[&["evaluate", "model"], arguments, &FP32].concat())
}

fn report(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&evaluate(place, &[arguments, &["--json", "-"]].concat()).well()).unwrap()
}

fn predictions(place: &Place, model: &str) -> Vec<Value> {
    place.run(&[&["predict", model, "--file", "in.jsonl", "-o", "predicted.jsonl"][..], &FP32].concat()).well();
    place.rows("predicted.jsonl")
}

fn close(report: &Value, key: &str, expected: f64) {
    let found = report[key].as_f64().unwrap_or_else(|| panic!("{key} is not in {report}"));
    assert!((found - expected).abs() < 1e-6, "{key}: {found}, but {expected} by hand");
}

#[test]
fn numbers_equal_those_computed_from_predict_s_output() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let rows = predictions(&place, "model");
    let report = report(&place, &["in.jsonl"]);
    let count = |test: &dyn Fn(&Value) -> bool| rows.iter().filter(|row| test(row)).count() as f64;
    close(&report, "eval_accuracy", count(&|row| row["label"] == row["predicted_label"]) / rows.len() as f64);
    let f1 = SENTIMENT.map(|label| {
        let both = count(&|row| row["label"] == label && row["predicted_label"] == label);
        let either = count(&|row| row["label"] == label) + count(&|row| row["predicted_label"] == label);
        2.0 * both / either
    });
    close(&report, "eval_f1_macro", f1.iter().sum::<f64>() / 3.0);
    let likelihood = |row: &Value| row[format!("score_{}", row["label"].as_str().unwrap())].as_f64().unwrap();
    let nll = -rows.iter().map(|row| likelihood(row).ln()).sum::<f64>() / rows.len() as f64;
    assert!((report["eval_loss"].as_f64().unwrap() - nll).abs() < 1e-5);
    close(&report, "eval_samples", rows.len() as f64);
    close(&report, "eval_truncated", count(&|row| row["truncated"] == true));
    let matrix = &report["confusion_matrix"]["rows"];
    for (truth, label) in SENTIMENT.iter().enumerate() {
        for (said, prediction) in SENTIMENT.iter().enumerate() {
            let expected = count(&|row| row["label"] == *label && row["predicted_label"] == *prediction);
            assert_eq!(matrix[truth][said].as_f64(), Some(expected));
        }
    }
}

#[test]
fn slices_by_length_and_truncation_hold_all_rows() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let rows = predictions(&place, "model");
    let report = report(&place, &["in.jsonl"]);
    let slices = report["slices"].as_array().unwrap();
    let sum = |group: &str| {
        slices.iter().filter(|slice| slice["group"] == group).map(|slice| slice["rows"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("length"), sum("truncation")), (texts().len() as u64, texts().len() as u64));
    let cut: Vec<&Value> = rows.iter().filter(|row| row["truncated"] == true).collect();
    let right = cut.iter().filter(|row| row["label"] == row["predicted_label"]).count();
    let slice = slices.iter().find(|slice| slice["name"] == "truncated").unwrap();
    assert_eq!(slice["accuracy"].as_f64(), Some(right as f64 / cut.len() as f64));
}

#[test]
fn the_table_is_on_standard_output_and_json_in_its_file() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let table = evaluate(&place, &["in.jsonl", "--json", "report.json"]).well();
    for word in ["accuracy", "f1-score", "neutral", "macro avg", "true \\ predicted", "truncated"] {
        assert!(table.contains(word), "{word} is not in: {table}");
    }
    let report: Value = serde_json::from_str(&place.read("report.json")).unwrap();
    let accuracy = format!("{:.4}", report["eval_accuracy"].as_f64().unwrap());
    assert!(table.contains(&accuracy));
    evaluate(&place, &["in.jsonl", "--json", "report.json"]).fails_with(&["report.json already exists", "--overwrite"]);
}

#[test]
fn labels_are_aligned_by_name_number_and_map() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&["negative", "positive"]));
    let by_name = report(&place, &["in.jsonl"]);
    let variants: [(&[&str], &[&str]); 4] = [
        (&["Negative", "POSITIVE"], &[]),
        (&["0", "2"], &[]),
        (&["LABEL_0", "LABEL_2"], &[]),
        (&["neg", "pos"], &["--label-map", "neg=negative", "--label-map", "pos=positive"]),
    ];
    for (labels, flags) in variants {
        place.write("other.jsonl", labelled_rows(labels));
        let other = report(&place, &[&["other.jsonl"], flags].concat());
        assert_eq!(other["eval_accuracy"], by_name["eval_accuracy"], "{labels:?}");
        assert_eq!(other["confusion_matrix"], by_name["confusion_matrix"], "{labels:?}");
    }
    place.write("numbers.jsonl", labelled_rows(&["0", "2"]).replace("\"0\"", "0.0").replace("\"2\"", "2"));
    assert_eq!(report(&place, &["numbers.jsonl"])["confusion_matrix"], by_name["confusion_matrix"]);
}

#[test]
fn an_unknown_label_is_an_error_with_its_line() {
    let place = Place::new();
    place.write("in.csv", "text,label\na,positive\nb,mixed\n");
    evaluate(&place, &["in.csv"]).fails_with(&[
        "in.csv, line 3",
        "`mixed`",
        "negative, neutral, positive",
        "--label-map",
    ]);
    place.write("in.csv", "text,label\na,3\n");
    evaluate(&place, &["in.csv"]).fails_with(&["out of the range of ids, 0 to 2"]);
    place.write("in.csv", "text,label\na,-1\n");
    evaluate(&place, &["in.csv"]).fails_with(&["unlabelled"]);
    place.write("in.csv", "text,label\na,\n");
    evaluate(&place, &["in.csv"]).fails_with(&["in.csv, line 2", "label is empty"]);
}

#[test]
fn a_missing_label_column_lists_the_columns() {
    let place = Place::new();
    place.write("in.csv", "text,stars\na,1\n");
    evaluate(&place, &["in.csv"]).fails_with(&["`text`, `stars`", "--label-column"]);
    evaluate(&place, &["in.csv", "--label-column", "stars"]).well();
}

#[test]
fn errors_are_the_wrong_rows_by_confidence() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let mut wrong: Vec<(f64, u64)> = predictions(&place, "model")
        .iter()
        .filter(|row| row["label"] != row["predicted_label"])
        .map(|row| (row["predicted_score"].as_f64().unwrap(), row["id"].as_u64().unwrap()))
        .collect();
    wrong.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    assert!(wrong.len() > 6);
    evaluate(&place, &["in.jsonl", "--errors", "all.jsonl"]).well();
    evaluate(&place, &["in.jsonl", "--errors", "few.csv", "--max-errors", "5"]).well();
    let rows = place.rows("all.jsonl");
    let found: Vec<(f64, u64)> =
        rows.iter().map(|row| (row["predicted_score"].as_f64().unwrap(), row["id"].as_u64().unwrap())).collect();
    assert_eq!(found, wrong);
    assert!(rows.iter().all(|row| row["true_label"] == row["label"] && row["true_label"] != row["predicted_label"]));
    let few = place.read("few.csv");
    let ids: Vec<u64> = few.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(ids, wrong[..5].iter().map(|(_, id)| *id).collect::<Vec<_>>());
}

#[test]
fn predictions_are_those_of_predict() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    predictions(&place, "model");
    evaluate(&place, &["in.jsonl", "--predictions", "evaluated.jsonl"]).well();
    assert_eq!(place.read("evaluated.jsonl"), place.read("predicted.jsonl"));
}

#[test]
fn multi_label_data_is_measured_by_label() {
    let place = Place::new();
    let labels = ["a", "b", "c"];
    write_model(&place.path("model"), &labels, ProblemType::MultiLabelClassification, 11);
    let truth = |id: usize| -> Vec<&str> {
        labels.into_iter().enumerate().filter(|(at, _)| (id >> at) & 1 == 1).map(|(_, label)| label).collect()
    };
    let rows = |label: &dyn Fn(usize) -> Value| -> String {
        texts()
            .iter()
            .enumerate()
            .map(|(id, text)| format!("{}\n", json!({"text": text, "labels": label(id)})))
            .collect()
    };
    place.write("in.jsonl", rows(&|id| json!(truth(id))));
    let predicted = predictions(&place, "model");
    let by_list = report(&place, &["in.jsonl"]);
    let exact = predicted.iter().filter(|row| row["labels"] == row["predicted_labels"]).count();
    close(&by_list, "eval_accuracy", exact as f64 / predicted.len() as f64);
    place.write("flags.jsonl", rows(&|id| json!([id & 1, (id >> 1) & 1, (id >> 2) & 1])));
    place.write("cells.jsonl", rows(&|id| json!(truth(id).join("|"))));
    for arguments in [&["flags.jsonl"][..], &["cells.jsonl", "--label-delimiter", "|"]] {
        assert_eq!(report(&place, arguments)["eval_f1_micro"], by_list["eval_f1_micro"], "{arguments:?}");
    }
}

#[test]
fn pairs_of_0_and_1_under_two_labels_are_flags_where_they_cannot_be_ids() {
    let place = Place::new();
    write_model(&place.path("model"), &["a", "b"], ProblemType::MultiLabelClassification, 11);
    let rows = |labels: &[&str]| -> String {
        texts()
            .iter()
            .zip(labels.iter().cycle())
            .map(|(text, labels)| format!("{{\"text\":{},\"labels\":{labels}}}\n", json!(text)))
            .collect()
    };
    place.write("names.jsonl", rows(&["[\"b\"]", "[\"a\",\"b\"]", "[]"]));
    place.write("flags.jsonl", rows(&["[0,1]", "[1,1]", "[0,0]"]));
    place.write("ids.jsonl", rows(&["[1]", "[0,1]", "[]"]));
    let names = report(&place, &["names.jsonl"]);
    for file in ["flags.jsonl", "ids.jsonl"] {
        let other = report(&place, &[file]);
        assert_eq!(other["classification_report"], names["classification_report"], "{file}");
    }
}

#[test]
fn regressions_are_measured_by_distance() {
    let place = Place::new();
    write_model(&place.path("model"), &["LABEL_0"], ProblemType::Regression, 5);
    let rows = texts().into_iter().enumerate();
    place.write(
        "in.jsonl",
        rows.map(|(id, text)| format!("{}\n", json!({"text": text, "score": id as f32 / 7.0}))).collect::<String>(),
    );
    let squares = predictions(&place, "model")
        .iter()
        .map(|row| (row["predicted_score"].as_f64().unwrap() - row["score"].as_f64().unwrap()).powi(2))
        .collect::<Vec<f64>>();
    let report = report(&place, &["in.jsonl"]);
    let expected = squares.iter().sum::<f64>() / squares.len() as f64;
    assert!((report["eval_mse"].as_f64().unwrap() - expected).abs() < 1e-5 * expected);
    place.write("in.jsonl", "{\"text\":\"a\",\"score\":\"many\"}\n");
    evaluate(&place, &["in.jsonl"]).fails_with(&["in.jsonl, line 1", "`many`", "number"]);
}

#[test]
fn a_folder_is_measured_on_its_test_split_or_aloud_on_another() {
    let place = Place::new();
    std::fs::create_dir(place.path("data")).unwrap();
    place.write("data/train.csv", "text,label\na,positive\nb,negative\n");
    let run = evaluate(&place, &["data"]);
    assert!(run.stderr.contains("no test split; measuring on its train split"), "{}", run.stderr);
    place.write("data/test.csv", "text,label\na,positive\n");
    let samples = |arguments: &[&str]| report(&place, arguments)["eval_samples"].clone();
    assert_eq!((samples(&["data"]), samples(&["data", "--split", "train"])), (json!(1), json!(2)));
    evaluate(&place, &["data", "--split", "validation"]).fails_with(&["no validation split", "train, test"]);
}

#[test]
fn the_official_tweeteval_score_is_reported_where_the_task_is_known() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let report_of = |arguments: &[&str]| report(&place, arguments);
    assert!(report_of(&["in.jsonl"]).get("eval_tweeteval").is_none());
    let named = report_of(&["in.jsonl", "--tweeteval", "sentiment"]);
    assert_eq!(named["eval_tweeteval"], named["eval_recall_macro"]);
    std::fs::create_dir(place.path("sentiment")).unwrap();
    place.write("sentiment/test_text.txt", "a\nb\n");
    place.write("sentiment/test_labels.txt", "0\n2\n");
    place.write("sentiment/mapping.txt", "0\tnegative\n1\tneutral\n2\tpositive\n");
    let by_folder = report_of(&["sentiment"]);
    assert_eq!((&by_folder["eval_samples"], by_folder["eval_tweeteval"].is_number()), (&json!(2), true));
}

#[test]
fn empty_data_and_broken_rows_are_errors() {
    let place = Place::new();
    place.write("in.csv", "text,label\n");
    evaluate(&place, &["in.csv"]).fails_with(&["in.csv", "no data rows", "--no-header"]);
    place.write("in.csv", "text,label\n\"a,positive\n");
    evaluate(&place, &["in.csv"]).fails_with(&["in.csv, line 2", "quote"]);
    place.write("in.csv", b"text,label\ncaf\xe9,positive\n");
    evaluate(&place, &["in.csv"]).fails_with(&["in.csv, line 2", "UTF-8"]);
    evaluate(&place, &["nowhere.csv"]).fails_with(&["nowhere.csv"]);
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_anything_is_computed() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    for flag in ["--json", "--errors", "--predictions"] {
        evaluate(&place, &["in.jsonl", flag, "no/folder/file.jsonl"]).fails_with(&["no/folder/file.jsonl"]);
    }
}

#[test]
fn max_length_decides_what_is_truncated() {
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let truncated =
        |length: &str| report(&place, &["in.jsonl", "--max-length", length])["eval_truncated"].as_u64().unwrap();
    let full = report(&place, &["in.jsonl"]);
    assert_eq!(full["max_length"], MAX_LENGTH);
    assert!(truncated("8") > full["eval_truncated"].as_u64().unwrap());
}

#[test]
fn a_sample_is_spread_over_data_that_is_sorted_by_label() {
    let place = Place::new();
    let rows = (0..30).map(|row| format!("text {row},{}\n", SENTIMENT[row / 10]));
    place.write("sorted.csv", format!("text,label\n{}", rows.collect::<String>()));
    let report = place.run(&["evaluate", "model", "sorted.csv", "--max-samples", "6", "--json", "-"]).well();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["eval_samples"], 6);
    for label in SENTIMENT {
        assert_eq!(report["classification_report"][label]["support"], 2, "{report}");
    }
}

#[test]
fn one_word_is_a_dataset_of_the_hub_wherever_data_is_named() {
    let place = Place::new();
    let hub = ["nothing here is named imdb", "datasets/imdb", "HF_HUB_OFFLINE"];
    place.run(&["evaluate", "model", "imdb", "-q"]).fails_with(&hub[1..]);
    for command in [
        &["evaluate", "model", "imdb"][..],
        &["predict", "model", "--file", "imdb"],
        &["train", "--dataset-name", "imdb"],
    ] {
        let run = place.run(command);
        assert_eq!(run.code, Some(1));
        hub.iter().for_each(|part| assert!(run.stderr.contains(part), "{command:?}: {}", run.stderr));
    }
    for command in [
        &["evaluate", "model", "./imdb"][..],
        &["predict", "model", "--file", "./imdb"],
        &["train", "--dataset-name", "./imdb"],
    ] {
        let run = place.run(command);
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.contains("cannot open ./imdb"), "{command:?}: {}", run.stderr);
    }
}
