//! `--device cuda` as a user runs it, on stand-ins for NVIDIA's libraries with the emulator of the kernels behind them.

#[path = "../../cuda/tests/support/mod.rs"]
mod gpu;
mod support;

use gpu::stand_ins::StandIns;
use serde_json::Value;
use std::fs;
use support::{Place, Run, SENTIMENT, json_lines, labelled_rows};

/// How far losses and scores in fp32 may be apart: the CPU sums in another order.
const APART: f64 = 1e-4;

fn place() -> Place {
    let place = Place::new();
    let rows = labelled_rows(&SENTIMENT);
    place.write("few.jsonl", rows.lines().take(10).map(|row| format!("{row}\n")).collect::<String>());
    place.write("in.jsonl", rows);
    place
}

fn serin(place: &Place, stand_ins: &StandIns, arguments: &[&str]) -> Run {
    let mut command = place.command(arguments);
    command.env("SERIN_CACHE", place.path("cache"));
    stand_ins.found_by(&mut command);
    Run::of(command.output().unwrap())
}

fn train(place: &Place, stand_ins: &StandIns, device: &str, output: &str, more: &[&str]) -> Run {
    let files = ["train", "--model=model", "--train-file=in.jsonl", "--validation-file=few.jsonl", "--freeze-layers=1"];
    let flags = ["--batch-size=8", "--num-train-epochs=2", "--logging-steps=1", "--precision=fp32"];
    serin(place, stand_ins, &[&files[..], &flags, &["--device", device, "--output-dir", output], more].concat())
}

/// The losses of every step and epoch.
fn losses(place: &Place, output: &str) -> Vec<f64> {
    let lines = json_lines(&place.read(&format!("{output}/train_log.jsonl")));
    lines.iter().flat_map(|line| [&line["loss"], &line["eval_loss"]]).filter_map(Value::as_f64).collect()
}

fn assert_near(one: &[f64], other: &[f64]) {
    assert!(one.len() == other.len() && one.len() > 4, "{one:?} {other:?}");
    for (one, other) in one.iter().zip(other) {
        assert!((one - other).abs() <= APART * one.abs().max(1.0), "{one} and {other}");
    }
}

#[test]
fn it_trains_and_predicts_as_the_cpu_does_and_twice_to_the_same_bits() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    for (device, output) in [("cpu", "cpu"), ("cuda", "gpu"), ("auto", "again")] {
        train(&place, stand_ins, device, output, &[]).well();
    }
    assert_near(&losses(&place, "cpu"), &losses(&place, "gpu"));
    let weights = |output: &str| fs::read(place.path(output).join("best/model.safetensors")).unwrap();
    assert!(weights("gpu") == weights("again"), "the same run gave other bits");
    assert!(weights("gpu") != weights("cpu"), "the GPU was not used");

    let scores = |device: &str| -> Vec<f64> {
        let (input, output) = ("in.jsonl", format!("{device}.jsonl"));
        let arguments = ["predict", "gpu/best", "--file", input, "--output", &output, "--device", device];
        serin(&place, stand_ins, &[&arguments[..], &["--precision=fp32"]].concat()).well();
        place.rows(&output).iter().filter_map(|row| row["predicted_score"].as_f64()).collect()
    };
    assert_near(&scores("cpu"), &scores("cuda"));
}

#[test]
fn a_run_is_resumed_on_its_own_device_only() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    let constant = ["--lr-scheduler-type=constant"];
    let more = ["--lr-scheduler-type=constant", "--num-train-epochs=3", "--resume"];
    train(&place, stand_ins, "cuda", "run", &constant).well();
    let refused = train(&place, stand_ins, "cpu", "run", &more);
    assert!(refused.code == Some(1) && refused.stderr.contains("isa: was \"stand-in, sm_90"), "{}", refused.stderr);
    train(&place, stand_ins, "cuda", "run", &more).well();
    train(&place, stand_ins, "cuda", "whole", &more[..2]).well();
    let weights = |output: &str| fs::read(place.path(output).join("best/model.safetensors")).unwrap();
    assert!(weights("run") == weights("whole"), "a resumed run gave other bits");
}

#[test]
fn kernels_are_compiled_together_and_no_others_are_needed() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    let kernels = || fs::read_dir(place.path("cache/kernels")).unwrap().count();
    // Opening the device compiles what the precision needs; an inspection runs none of it.
    serin(&place, stand_ins, &["inspect", "model", "--device=cuda", "--precision=bf16"]).well();
    let together = kernels();
    assert!(together > 10, "{together}");
    train(&place, stand_ins, "cuda", "run", &["--precision=bf16", "--freeze-layers=0"]).well();
    assert_eq!(kernels(), together);
}
