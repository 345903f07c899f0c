//! Texts for which a model's output is not a number: predicted, evaluated and compared with the others.

mod support;

use serde_json::{Value, json};
use serin::{Classifier, ClassifierOptions};
use std::fs;
use std::path::Path;
use support::{Place, SENTIMENT, json_lines};

const FP32: [&str; 2] = ["--precision", "fp32"];
/// A letter that none of the other texts has.
const POISON: &str = "Z";
const TEXTS: [&str; 5] = ["a good film", "all Z", "meh", "Z Z", "I want my evening back"];
const UNDEFINED: [usize; 2] = [1, 3];

/// A model with weights that are finite, as must be, but so large for one token that the layer norm after it overflows.
fn place() -> Place {
    let place = Place::new();
    let model = place.path("model");
    let classifier = Classifier::from_pretrained(model.to_str().unwrap(), &ClassifierOptions::default()).unwrap();
    let encoded = classifier.tokenizer().encode(POISON, None, classifier.text_settings()).unwrap();
    let [_, token, _] = encoded.ids[..] else { panic!("{:?} is not one token", encoded.ids) };
    overwrite_embedding(&model.join("model.safetensors"), token as usize, f32::MAX);
    let rows = TEXTS.iter().enumerate();
    let rows = rows.map(|(id, text)| format!("{}\n", json!({"id": id, "text": text, "label": SENTIMENT[id % 3]})));
    place.write("in.jsonl", rows.collect::<String>());
    place
}

fn overwrite_embedding(path: &Path, token: usize, value: f32) {
    let mut bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let tensor = &header["roberta.embeddings.word_embeddings.weight"];
    let hidden = tensor["shape"][1].as_u64().unwrap() as usize;
    let start = 8 + length + tensor["data_offsets"][0].as_u64().unwrap() as usize + 4 * token * hidden;
    bytes[start..start + 4 * hidden].copy_from_slice(&value.to_le_bytes().repeat(hidden));
    fs::write(path, bytes).unwrap();
}

fn run(place: &Place, arguments: &[&str]) -> support::Run {
    place.run(&[arguments, &FP32].concat())
}

#[test]
fn rows_without_a_prediction_are_written_empty_and_said() {
    let place = place();
    for quiet in [&[][..], &["--quiet"]] {
        let predict = ["predict", "model", "--file", "in.jsonl", "--output", "out.jsonl", "--overwrite"];
        let run = run(&place, &[&predict, quiet].concat());
        assert!(
            run.stderr.contains("rows without a prediction") && run.stderr.contains("number: 2\n"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("--precision fp32"), "{}", run.stderr);
        run.well();
    }
    let rows = place.rows("out.jsonl");
    assert_eq!(rows.len(), TEXTS.len());
    let columns = ["predicted_label", "predicted_score", "score_negative", "score_neutral", "score_positive"];
    for (id, row) in rows.iter().enumerate() {
        for column in columns {
            assert_eq!(row[column].is_null(), UNDEFINED.contains(&id), "row {id}, {column}");
        }
        assert_eq!(row["text"], TEXTS[id]);
        assert!(row["tokens"].as_u64().unwrap() > 2);
    }
    run(&place, &["predict", "model", "--file", "in.jsonl", "--output", "out.csv", "--raw-scores"]).well();
    let csv = place.read("out.csv");
    assert!(csv.contains("\n1,all Z,neutral,,,,,,false,"), "{csv}");
}

#[test]
fn rows_without_a_prediction_are_wrong_and_reported() {
    let place = place();
    let evaluate = ["evaluate", "model", "in.jsonl", "--predictions", "scored.jsonl", "--errors", "errors.jsonl"];
    let run = run(&place, &[&evaluate[..], &["--json", "-"]].concat());
    assert!(run.stderr.contains("rows without a prediction"), "{}", run.stderr);
    let report = json_lines(&run.well().replace('\n', " ")).remove(0);
    assert_eq!((&report["eval_samples"], &report["eval_nan_predictions"]), (&json!(5), &json!(2)));
    let scored = place.rows("scored.jsonl");
    let right = scored.iter().filter(|row| row["predicted_label"] == row["label"]).count();
    assert_eq!(report["eval_accuracy"].as_f64(), Some(right as f64 / 5.0));
    assert!(UNDEFINED.iter().all(|&id| scored[id]["predicted_label"].is_null()));
    let errors = place.rows("errors.jsonl");
    assert_eq!(errors.len(), 3 - right, "what is not predicted is not confidently wrong");

    let compared = place.run(&["compare", "scored.jsonl", "scored.jsonl", "--json", "-"]);
    assert_eq!(compared.code, Some(0), "{}", compared.stderr);
}
