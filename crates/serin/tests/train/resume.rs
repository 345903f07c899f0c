//! A run that is ended at any moment and gone on with is the run that was never ended, bit for bit.

use crate::support::{Place, Run};
use crate::training::{Left, command, contains, fails, left, place, said, train};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LONG: [&str; 3] = ["--num-train-epochs=8", "--save-steps=3", "--metric-for-best-model=loss"];

fn start(place: &Place, flags: &[&str]) -> Child {
    let mut command = command(place, flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `there`, or the run's end.
fn wait_until(child: &mut Child, there: impl Fn() -> bool) {
    let started = Instant::now();
    while !there() && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn signal(child: &Child, name: &str) {
    let kill = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

/// Whether something that begins with `prefix` lies in the folder.
fn holds(folder: &Path, prefix: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

fn reference(place: &Place, flags: &[&str]) -> Left {
    said(train(place, &[&LONG, flags, &["--output-dir=reference"]].concat()));
    left(place, "reference")
}

#[test]
fn killed_at_random_moments_and_resumed_equals_the_uninterrupted_run() {
    let place = place();
    let started = Instant::now();
    let expected = reference(&place, &[]);
    let whole = started.elapsed();
    let mut random = 0x9e37_79b9_u64;
    for _ in 0..8 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = 0.05 + 0.55 * (random >> 40) as f64 / (1u64 << 24) as f64;
        let mut child = start(&place, &[&LONG[..], &["--resume"]].concat());
        std::thread::sleep(whole.mul_f64(share));
        let _ = child.kill();
        child.wait().unwrap();
    }
    said(train(&place, &[&LONG[..], &["--resume"]].concat()));
    expected.equals(&left(&place, "out"));
}

#[test]
fn killed_while_writing_best_and_state_and_resumed_equals_the_uninterrupted_run() {
    let place = place();
    let expected = reference(&place, &[]);
    let mut hit = 0;
    for prefix in [".best", ".state", ".best", ".state", ".trainer_state", ".best"] {
        let mut child = start(&place, &[&LONG[..], &["--resume"]].concat());
        wait_until(&mut child, || holds(&place.path("out"), prefix));
        hit += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(hit >= 3, "only {hit} of 6 writes were hit");
    said(train(&place, &[&LONG[..], &["--resume"]].concat()));
    expected.equals(&left(&place, "out"));
    let left_behind: Vec<String> = std::fs::read_dir(place.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".best") || name.starts_with(".state"))
        .collect();
    assert_eq!(left_behind, Vec::<String>::new());
}

fn interrupted(signal_name: &str) {
    let place = place();
    let flags = ["--freeze-layers=1"];
    let expected = reference(&place, &flags);
    let mut child = start(&place, &[&LONG[..], &flags].concat());
    let log = place.path("out/state");
    wait_until(&mut child, || log.exists());
    signal(&child, signal_name);
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    contains(&run.stderr, &["Interrupted", "state is saved in out/state", "--resume"]);
    assert!(place.path("out/state/state.safetensors").exists());
    let said = said(train(&place, &[&LONG[..], &flags, &["--resume"]].concat()));
    contains(&said, &["Going on after step"]);
    expected.equals(&left(&place, "out"));
}

#[test]
fn sigint_ends_with_130_says_how_to_resume_and_resumes_to_the_same_bits() {
    interrupted("-INT");
}

#[test]
fn sigterm_ends_with_130_says_how_to_resume_and_resumes_to_the_same_bits() {
    interrupted("-TERM");
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let place = place();
    place.write("test.csv", crate::training::data(10, 300));
    let flags = ["--test-file=test.csv"];
    let first = train(&place, &flags).well();
    let before = left(&place, "out");
    let card = place.read("out/best/README.md");
    contains(&card, &["## Results on the validation data", "## Results on the test data"]);
    let second = train(&place, &[&flags[..], &["--resume"]].concat()).well();
    before.equals(&left(&place, "out"));
    assert_eq!(first, second, "the test report");
    let without_command = |card: &str| card.split("## Made by").next().unwrap().to_owned();
    assert_eq!(without_command(&place.read("out/best/README.md")), without_command(&card));
}

#[test]
fn resuming_where_nothing_is_starts_a_run() {
    let place = place();
    said(train(&place, &["--output-dir=started", "--resume"]));
    said(train(&place, &[]));
    left(&place, "out").equals(&left(&place, "started"));
}

#[test]
fn resuming_with_other_settings_is_refused_by_name() {
    let place = place();
    said(train(&place, &[]));
    let before = left(&place, "out");
    place.write("other.csv", crate::training::data(24, 7));
    for (flags, parts) in [
        (&["--learning-rate=1e-3"][..], &["learning_rate: was 0.003, now 0.001"][..]),
        (&["--precision=bf16"], &["precision: was \"fp32\", now \"bf16\""]),
        (&["--batch-size=4"], &["train_batch_size: was 8, now 4"]),
        (&["--validation-file=other.csv"], &["validation_data: was "]),
    ] {
        fails(train(&place, &[flags, &["--resume"]].concat()), &[parts, &["cannot resume", "hint"]].concat());
    }
    before.equals(&left(&place, "out"));
}

#[test]
fn a_constant_rate_lets_a_run_grow_to_the_bits_of_a_longer_one() {
    let place = place();
    let constant = ["--lr-scheduler-type=constant", "--warmup-steps=0"];
    let run = |flags: &[&str]| train(&place, &[&constant[..], flags].concat());
    said(run(&["--num-train-epochs=3", "--output-dir=long"]));
    said(run(&["--num-train-epochs=1"]));
    said(run(&["--num-train-epochs=3", "--resume"]));
    left(&place, "long").equals(&left(&place, "out"));
    fails(run(&["--num-train-epochs=2", "--resume"]), &["num_train_epochs: was 3, now 2"]);
    said(train(&place, &["--output-dir=linear", "--num-train-epochs=1"]));
    let longer = train(&place, &["--output-dir=linear", "--num-train-epochs=2", "--resume"]);
    fails(longer, &["num_train_epochs: was 1, now 2", "other rates", "--lr-scheduler-type constant"]);
}
