//! `serin fill-mask`.

use crate::place::{place, pretrain};
use crate::support::{Place, SENTIMENT, json_lines, write_model};
use crate::training::said;
use serin_model::ProblemType;

fn pretrained() -> Place {
    let place = place();
    said(pretrain(&place, &["--num-train-epochs=1"]));
    place
}

#[test]
fn every_mask_has_its_candidates_and_probabilities_fall_and_sum_to_one() {
    let place = pretrained();
    let all = place.run(&["fill-mask", "out", "one <mask> three <mask>", "--top-k=100000", "--precision=fp32"]).well();
    let rows = json_lines(&all);
    let masks = rows[0]["masks"].as_array().unwrap();
    assert_eq!((rows.len(), masks.len()), (1, 2));
    for mask in masks {
        let scores: Vec<f64> = mask.as_array().unwrap().iter().map(|one| one["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b));
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{}", scores.iter().sum::<f64>());
    }
    assert_eq!((&rows[0]["text"], &rows[0]["truncated"]), (&"one <mask> three <mask>".into(), &false.into()));
}

#[test]
fn standard_input_gives_what_arguments_give() {
    let place = pretrained();
    let texts = ["one <mask> three", "seven <mask>"];
    let typed = place.run(&["fill-mask", "out", texts[0], texts[1]]).well();
    assert_eq!(place.pipe(&["fill-mask", "out/best"], &format!("{}\n\n{}\n", texts[0], texts[1])).well(), typed);
    assert_eq!(json_lines(&typed).len(), 2);
}

#[test]
fn a_text_without_a_mask_is_refused_by_its_number() {
    let place = pretrained();
    place.run(&["fill-mask", "out", "one two"]).fails_with(&["text 1", "no <mask> in the text", "hint"]);
    place.run(&["fill-mask", "out", ""]).fails_with(&["text 1", "no <mask>"]);
    let far = format!("{}<mask>", "one two ".repeat(60));
    place.run(&["fill-mask", "out", &far]).fails_with(&["text 1", "beyond the model's length"]);
    let run = place.pipe(&["fill-mask", "out"], "one <mask>\nno more\n");
    assert_eq!((run.code, json_lines(&run.stdout).len()), (Some(1), 1), "{}", run.stderr);
    assert!(run.stderr.contains("text 2"), "{}", run.stderr);
}

#[test]
fn a_model_without_such_a_head_is_refused() {
    let place = Place::empty();
    write_model(&place.path("model"), &SENTIMENT, ProblemType::SingleLabelClassification, 7);
    place.run(&["fill-mask", "model", "a <mask> film"]).fails_with(&["no masked-language head", "serin pretrain"]);
    place.run(&["fill-mask", "absent", "a <mask> film"]).fails_with(&["absent"]);
}
