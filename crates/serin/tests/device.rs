//! `--device` as a user types it.

mod support;

use serin::{Device, DeviceKind, DeviceOptions};
use support::{Place, SENTIMENT, labelled_rows};

/// Whether a GPU can be opened; if so, what is to be seen without one is not.
fn has_gpu() -> bool {
    let options = DeviceOptions { kind: DeviceKind::Cuda, ..DeviceOptions::default() };
    let found = options.open().is_ok();
    if found {
        eprintln!("skipped: this machine has a GPU");
    }
    found
}

#[test]
fn a_gpu_that_was_asked_for_and_is_not_there_is_an_error_that_says_what_was_not_found() {
    if has_gpu() {
        return;
    }
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    for command in [
        &["predict", "model", "--file", "in.jsonl", "--output", "out.jsonl"][..],
        &["evaluate", "model", "in.jsonl"],
        &["train", "--model", "model", "--train-file", "in.jsonl", "--validation-file", "in.jsonl"],
        &["bench", "machine", "--seconds", "0.05"],
    ] {
        let run = place.run(&[command, &["--device", "cuda"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
        for part in ["error: --device cuda: ", "found", "hint: "] {
            assert!(run.stderr.contains(part), "{command:?}: {part:?} is not in {}", run.stderr);
        }
        assert!(!place.path("out.jsonl").exists(), "{command:?}");
    }
}

#[test]
fn without_a_gpu_auto_is_the_cpu() {
    if has_gpu() {
        return;
    }
    assert!(matches!(DeviceOptions::default().open().unwrap(), Device::Cpu(_)));
    let place = Place::new();
    place.write("in.jsonl", labelled_rows(&SENTIMENT));
    let outputs = ["auto", "cpu"].map(|device| {
        let output = format!("{device}.jsonl");
        let run = ["predict", "model", "--file", "in.jsonl", "--output", &output, "--device", device];
        let run = place.run(&run);
        assert!(!run.stderr.to_lowercase().contains("cuda"), "{}", run.stderr);
        run.well();
        place.read(&output)
    });
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn another_word_is_refused_with_those_that_are_known() {
    let run = Place::new().run(&["predict", "model", "fine", "--device", "tpu"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("tpu") && run.stderr.contains("auto, cpu or cuda"), "{}", run.stderr);
}
