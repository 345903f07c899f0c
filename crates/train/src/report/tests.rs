//! Against files that TensorBoard's and transformers' own writers made (`golden/report_goldens.py`).

use std::fs;

use serde_json::{Value, json};

use super::tensorboard::{Event, What, framed};
use super::{EventFile, JsonlLog, LogEntry, ReportError, TrainerState};

#[test]
fn events_are_byte_for_byte_those_of_the_python_writer() {
    let long_tag = format!("eval/größe {}", "x".repeat(200));
    let events = [
        Event { wall_time: 1700000000.25, step: 0, what: What::FileVersion("brain.Event:2") },
        Event { wall_time: 1700000000.25, step: 300, what: What::SessionStart },
        Event { wall_time: 1700000001.5, step: 0, what: What::Scalars(&[("train/loss", 0.693)]) },
        Event {
            wall_time: 1700000002.75,
            step: 300,
            what: What::Scalars(&[("train/loss", 0.125), ("train/learning_rate", 2e-5)]),
        },
        Event { wall_time: 1700000003.0, step: 1 << 40, what: What::Scalars(&[(&long_tag, f32::NAN)]) },
    ];
    let written: Vec<u8> = events.iter().flat_map(|event| framed(&event.encoded())).collect();
    assert_eq!(written, include_bytes!("fixtures/events.tfevents"));
}

#[test]
fn an_event_file_holds_its_events_after_flush_and_after_drop() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let mut events = EventFile::create(&runs, 1700000000.25).unwrap();
    let path = events.path().to_owned();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("events.out.tfevents.1700000000."), "{name}");
    assert!(name.ends_with(&format!(".{}.0", std::process::id())), "{name}");

    let fixture = include_bytes!("fixtures/events.tfevents");
    let start =
        framed(&Event { wall_time: 1700000000.25, step: 0, what: What::FileVersion("brain.Event:2") }.encoded());
    assert_eq!(fs::read(&path).unwrap(), start, "the version is there at once");
    assert_eq!(fixture[..start.len()], start);

    let loss = framed(&Event { wall_time: 2.5, step: 7, what: What::Scalars(&[("loss", 0.5)]) }.encoded());
    events.scalars(&[("loss", 0.5)], 7, 2.5).unwrap();
    events.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [&start[..], &loss].concat());
    events.scalars(&[("loss", 0.5)], 7, 2.5).unwrap();
    drop(events);
    assert_eq!(fs::read(&path).unwrap(), [&start[..], &loss, &loss].concat());

    let second = EventFile::resume(&runs, 1700000000.25, 7).unwrap();
    assert!(second.path().to_str().unwrap().ends_with(".1"), "an existing file is never written over");
}

#[test]
fn a_trainer_state_of_transformers_is_read_and_written_back_alike() {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("fixtures/trainer_state.json");
    let path = folder.path().join("trainer_state.json");
    fs::write(&path, text).unwrap();
    let state = TrainerState::load(&path).unwrap();
    assert_eq!((state.global_step, state.best_metric, state.best_global_step), (782, Some(0.9444), Some(391)));
    let early_stopping = state.stateful_callbacks.early_stopping.clone().unwrap();
    assert_eq!(early_stopping.args.early_stopping_patience, 4);
    assert_eq!(early_stopping.attributes.early_stopping_patience_counter, 2);
    assert_eq!(state.log_history[0].get("grad_norm"), None, "NaN has no JSON form");
    assert_eq!(state.log_history[1].get("eval_accuracy"), Some(0.9444));
    assert_eq!(state.log_history[1].step(), Some(391));

    state.save(&path).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    let expected: Value = serde_json::from_str(&text.replace("NaN", "null")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);
    let keys = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(keys(&written), keys(text), "the same keys in the same order and layout");
    assert_eq!(TrainerState::load(&path).unwrap(), state);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn nan_inside_a_string_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trainer_state.json");
    fs::write(&path, r#"{"trial_name": "a \" NaN \\", "best_metric": -Infinity, "best_model_checkpoint": "NaN"}"#)
        .unwrap();
    let state = TrainerState::load(&path).unwrap();
    assert_eq!(state.trial_name.as_deref(), Some(r#"a " NaN \"#));
    assert_eq!((state.best_metric, state.best_model_checkpoint.as_deref()), (None, Some("NaN")));
}

#[test]
fn a_damaged_trainer_state_names_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trainer_state.json");
    for text in ["", "[]x", r#"{"global_step": "many"}"#, r#"{"trial_name": "a"#, r#"{"trial_name": "\"#] {
        fs::write(&path, text).unwrap();
        let message = TrainerState::load(&path).unwrap_err().to_string();
        assert!(message.contains("trainer_state.json") && message.contains("line 1"), "{message}");
    }
    assert!(matches!(TrainerState::load(&folder.path().join("none")), Err(ReportError::Io { .. })));
}

#[test]
fn log_entries_have_the_keys_of_the_trainer() {
    let entry = LogEntry::train(0.5, f64::INFINITY, 2e-5, 1.5, 300);
    let expected = json!({"epoch": 1.5, "grad_norm": null, "learning_rate": 2e-5, "loss": 0.5, "step": 300});
    assert_eq!(serde_json::to_value(&entry).unwrap(), expected);
}

fn log_of(steps: std::ops::RangeInclusive<u64>) -> String {
    steps.map(|step| format!("{{\"step\":{step}}}\n")).collect()
}

#[test]
fn a_log_cut_at_any_byte_is_mended_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let whole = log_of(1..=3);
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut log = JsonlLog::open(&path).unwrap();
        log.append(&json!({"step": 9})).unwrap();
        log.sync().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (kept, last) = text.split_at(text.len() - "{\"step\":9}\n".len());
        assert_eq!(last, "{\"step\":9}\n");
        assert!(whole.starts_with(kept) && (kept.is_empty() || kept.ends_with('\n')), "cut {cut}: {kept:?}");
        let complete = whole[..cut].matches('}').count();
        assert_eq!(kept.lines().count(), complete, "cut {cut}: whole entries stay");
    }
}

#[test]
fn resuming_forgets_the_entries_after_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let text = format!("{{\"event\":\"start\"}}\n{}{{\"event\":\"late\"}}\n{{\"st", log_of(1..=5));
    fs::write(&path, text).unwrap();
    drop(JsonlLog::resume(&path, 3).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{{\"event\":\"start\"}}\n{}", log_of(1..=3)));
}

#[test]
fn a_damaged_line_amid_a_log_is_refused_by_number_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let text = format!("{}oops\n{}", log_of(1..=2), log_of(3..=3));
    fs::write(&path, &text).unwrap();
    let error = JsonlLog::open(&path).unwrap_err();
    assert!(matches!(error, ReportError::Line { line: 3, .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn an_entry_that_is_no_object_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let mut log = JsonlLog::open(&path).unwrap();
    assert!(matches!(log.append(&[1, 2]), Err(ReportError::Entry { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}
