//! A place with data to train on, and what a run leaves behind.

use crate::support::{Place, Run, json_lines};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What every run here is given; a test's own flags come after and win.
const COMMON: [&str; 15] = [
    "train",
    "--train-file=train.csv",
    "--validation-file=validation.csv",
    "--precision=fp32",
    "--batch-size=8",
    "--num-train-epochs=3",
    "--learning-rate=3e-3",
    "--logging-steps=2",
    "--max-length=16",
    "--cache-dir=cache",
    "--report-to=none",
    "--seed=1",
    "--threads=2",
    "--warmup-steps=2",
    "--output-dir=out",
];

/// Texts that tell their label, and some that do not.
pub(crate) fn data(rows: usize, offset: usize) -> String {
    let mut csv = "text,label\n".to_owned();
    for row in offset..offset + rows {
        let (word, label) = if row % 2 == 0 { ("good", "positive") } else { ("meh", "negative") };
        csv.push_str(&format!("{word} text number {row}{},{label}\n", " very".repeat(row % 5)));
    }
    csv
}

/// A place with `model`, `train.csv` and `validation.csv`.
pub(crate) fn place() -> Place {
    let place = Place::new();
    place.write("train.csv", data(40, 0));
    place.write("validation.csv", data(16, 100));
    place
}

/// `serin train` from `model`.
pub(crate) fn command(place: &Place, flags: &[&str]) -> Command {
    place.command(&[&COMMON, &["--model=model"][..], flags].concat())
}

/// Runs it to its end.
pub(crate) fn train(place: &Place, flags: &[&str]) -> Run {
    Run::of(command(place, flags).output().unwrap())
}

/// Trains from other files than those of [`place`].
pub(crate) fn train_on(place: &Place, files: &[&str], flags: &[&str]) -> Run {
    let common: Vec<&str> = COMMON.into_iter().filter(|flag| !flag.contains("-file=")).collect();
    place.run(&[&common, &["--model=model"][..], files, flags].concat())
}

/// The bits that a run leaves, timings left out.
#[derive(PartialEq)]
pub(crate) struct Left {
    pub(crate) best: Vec<u8>,
    pub(crate) state: Vec<u8>,
    pub(crate) progress: Value,
    pub(crate) history: Vec<Value>,
    pub(crate) log: Vec<Value>,
}

impl Left {
    pub(crate) fn by(out: &Path) -> Left {
        let json = |name: &str| -> Value { serde_json::from_slice(&fs::read(out.join(name)).unwrap()).unwrap() };
        let mut progress = json("state/progress.json");
        progress["progress"]["totals"]["seconds"] = Value::Null;
        let history = json("trainer_state.json")["log_history"].as_array().unwrap().clone();
        let log = json_lines(&fs::read_to_string(out.join("train_log.jsonl")).unwrap());
        Left {
            best: fs::read(out.join("best/model.safetensors")).unwrap(),
            state: fs::read(out.join("state/state.safetensors")).unwrap(),
            progress,
            history: history.into_iter().map(without_timings).collect(),
            log: log.into_iter().map(without_timings).collect(),
        }
    }

    /// Asserts that another run left the same, by part.
    pub(crate) fn equals(&self, other: &Left) {
        assert!(self.best == other.best, "best/model.safetensors differs");
        assert!(self.state == other.state, "state/state.safetensors differs");
        assert_eq!(self.progress, other.progress, "progress.json");
        assert_eq!(self.history, other.history, "log_history");
        assert_eq!(self.log, other.log, "train_log.jsonl");
    }
}

fn without_timings(entry: Value) -> Value {
    let Value::Object(entry) = entry else { panic!("{entry} is no entry of a log") };
    let timed = |name: &str| name.ends_with("_runtime") || name.ends_with("_per_second");
    Value::Object(entry.into_iter().filter(|(name, _)| !timed(name)).collect::<Map<_, _>>())
}

/// What the run in `out` left.
pub(crate) fn left(place: &Place, out: &str) -> Left {
    Left::by(&place.path(out))
}

/// The entries of a run's log that are of steps, or of evaluations.
pub(crate) fn entries(place: &Place, out: &str, evaluations: bool) -> Vec<Value> {
    let log = place.rows(&format!("{out}/train_log.jsonl"));
    log.into_iter().filter(|entry| entry.get("eval_samples").is_some() == evaluations).collect()
}

/// Asserts that a text has all parts.
pub(crate) fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Runs to exit code 0; returns what it said.
pub(crate) fn said(run: Run) -> String {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stderr
}

/// Asserts that a run failed with exit code 1 and an error with all `parts`, which may come after other talk.
pub(crate) fn fails(run: Run, parts: &[&str]) {
    ends_with(1, run, parts);
}

/// The same of settings that make no sense, whose exit code is 2.
pub(crate) fn misused(run: Run, parts: &[&str]) {
    ends_with(2, run, parts);
}

fn ends_with(code: i32, run: Run, parts: &[&str]) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{}", run.stderr);
    let error = run.stderr.split_once("error: ").map(|(_, error)| error);
    contains(error.unwrap_or_else(|| panic!("no error in: {}", run.stderr)), parts);
}
