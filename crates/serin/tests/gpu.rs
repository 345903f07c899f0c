//! `--device cuda` as a user runs it, on stand-ins for NVIDIA's libraries with the emulator of the kernels behind them.

#[path = "../../cuda/tests/support/mod.rs"]
mod gpu;
#[path = "gpu/moving.rs"]
mod moving;
mod support;
#[path = "gpu/trunk_cache.rs"]
mod trunk_cache;

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

fn serin(place: &Place, stand_ins: &StandIns, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = place.command(arguments);
    command.env("SERIN_CACHE", place.path("cache"));
    stand_ins.found_by(&mut command);
    Run::of(command.envs(environment.iter().copied()).output().unwrap())
}

fn train(place: &Place, stand_ins: &StandIns, device: &str, output: &str, more: &[&str]) -> Run {
    train_in(place, stand_ins, device, output, more, &[])
}

/// As [`train`], with variables set.
fn train_in(
    place: &Place,
    stand_ins: &StandIns,
    device: &str,
    output: &str,
    more: &[&str],
    environment: &[(&str, &str)],
) -> Run {
    let files = ["train", "--model=model", "--train-file=in.jsonl", "--validation-file=few.jsonl", "--freeze-layers=1"];
    let flags = ["--batch-size=8", "--num-train-epochs=2", "--logging-steps=1", "--precision=fp32"];
    let arguments = [&files[..], &flags, &["--device", device, "--output-dir", output], more].concat();
    serin(place, stand_ins, &arguments, environment)
}

/// What a run that ended well said.
fn said(run: Run) -> String {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stderr
}

fn contains(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "`{part}` is not in: {text}"));
}

fn weights(place: &Place, output: &str) -> Vec<u8> {
    fs::read(place.path(output).join("best/model.safetensors")).unwrap()
}

fn state(place: &Place, output: &str) -> Vec<u8> {
    fs::read(place.path(output).join("state/state.safetensors")).unwrap()
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
    assert!(weights(&place, "gpu") == weights(&place, "again"), "the same run gave other bits");
    assert!(weights(&place, "gpu") != weights(&place, "cpu"), "the GPU was not used");

    let scores = |device: &str| -> Vec<f64> {
        let (input, output) = ("in.jsonl", format!("{device}.jsonl"));
        let arguments = ["predict", "gpu/best", "--file", input, "--output", &output, "--device", device];
        serin(&place, stand_ins, &[&arguments[..], &["--precision=fp32"]].concat(), &[]).well();
        place.rows(&output).iter().filter_map(|row| row["predicted_score"].as_f64()).collect()
    };
    assert_near(&scores("cpu"), &scores("cuda"));
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_was_not_interrupted() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    let more = ["--lr-scheduler-type=constant", "--num-train-epochs=3", "--resume"];
    train(&place, stand_ins, "cuda", "run", &more[..1]).well();
    train(&place, stand_ins, "cuda", "run", &more).well();
    train(&place, stand_ins, "cuda", "whole", &more[..2]).well();
    assert!(weights(&place, "run") == weights(&place, "whole"), "a resumed run gave other bits");
}

#[test]
fn kernels_are_compiled_together_and_no_others_are_needed() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    let kernels = || fs::read_dir(place.path("cache/kernels")).unwrap().count();
    // Opening the device compiles what the precision needs; an inspection runs none of it.
    serin(&place, stand_ins, &["inspect", "model", "--device=cuda", "--precision=bf16"], &[]).well();
    let together = kernels();
    assert!(together > 10, "{together}");
    train(&place, stand_ins, "cuda", "run", &["--precision=bf16", "--freeze-layers=0"]).well();
    assert_eq!(kernels(), together);
}
