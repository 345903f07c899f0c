//! A place with a text and a tokenizer to pretrain with.

use crate::support::{Place, Run};
use serde_json::Value;
use std::process::Command;

/// What every run here is given; a test's own flags come after and win.
const COMMON: [&str; 12] = [
    "pretrain",
    "--line-by-line",
    "--validation-fraction=0.2",
    "--num-train-epochs=4",
    "--batch-size=8",
    "--learning-rate=5e-3",
    "--precision=fp32",
    "--logging-steps=2",
    "--report-to=none",
    "--seed=1",
    "--threads=2",
    "--output-dir=out",
];
/// Random weights of a tiny RoBERTa.
pub(crate) const FRESH: [&str; 6] = [
    "--tokenizer-name=tokenizer",
    "--hidden-size=32",
    "--num-hidden-layers=2",
    "--num-attention-heads=2",
    "--intermediate-size=64",
    "--max-positions=32",
];
const WORDS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

/// Documents that say one word again and again, no two alike: a masked word can be told from those beside it.
pub(crate) fn text(lines: usize) -> String {
    (0..lines).map(|number| format!("{}\n", vec![WORDS[number % 8]; 5 + number / 8].join(" "))).collect()
}

/// A place with `text.txt` and `tokenizer`.
pub(crate) fn place() -> Place {
    let place = Place::empty();
    place.write("text.txt", text(160));
    place.run(&["tokenizer", "train", "--train-file=text.txt", "--vocab-size=360", "--output-dir=tokenizer"]).well();
    place
}

/// `serin pretrain` from random weights.
pub(crate) fn command(place: &Place, flags: &[&str]) -> Command {
    place.command(&[&COMMON[..], &["--train-file=text.txt"], &FRESH, flags].concat())
}

/// Runs it to its end.
pub(crate) fn pretrain(place: &Place, flags: &[&str]) -> Run {
    Run::of(command(place, flags).output().unwrap())
}

/// The same from a model, or whatever `start` says.
pub(crate) fn pretrain_from(place: &Place, start: &[&str], flags: &[&str]) -> Run {
    place.run(&[&COMMON[..], &["--train-file=text.txt"], start, flags].concat())
}

/// The same on one other file.
pub(crate) fn pretrain_on(place: &Place, file: &str, flags: &[&str]) -> Run {
    let file = format!("--train-file={file}");
    place.run(&[&COMMON[..], &[&file], &FRESH, flags].concat())
}

/// The losses on held-out text, in order.
pub(crate) fn held_out_losses(place: &Place, out: &str) -> Vec<f64> {
    let log = place.rows(&format!("{out}/train_log.jsonl"));
    log.iter().filter_map(|entry| entry.get("eval_loss").and_then(Value::as_f64)).collect()
}

/// The smallest of them.
pub(crate) fn best_loss(place: &Place, out: &str) -> f64 {
    held_out_losses(place, out).into_iter().fold(f64::INFINITY, f64::min)
}
