//! A run that is ended at any moment and gone on with is the run that was never ended, bit for bit.

use crate::place::{command, place, pretrain, text};
use crate::support::{Place, Run};
use crate::training::{Left, contains, fails, left, said};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LONG: [&str; 3] = ["--num-train-epochs=10", "--save-steps=3", "--eval-steps=7"];

fn start(place: &Place, flags: &[&str]) -> Child {
    let mut command = command(place, &[&LONG, flags].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn kill(mut child: Child) {
    let _ = child.kill();
    child.wait().unwrap();
}

/// Waits until `there`, or the run's end.
fn wait_until(child: &mut Child, there: impl Fn() -> bool) {
    let started = Instant::now();
    while !there() && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Whether something that begins with `prefix` lies in the folder.
fn holds(folder: &Path, prefix: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

fn reference(place: &Place) -> Left {
    said(pretrain(place, &[&LONG[..], &["--output-dir=reference"]].concat()));
    left(place, "reference")
}

fn resume(place: &Place) -> String {
    said(pretrain(place, &[&LONG[..], &["--resume"]].concat()))
}

#[test]
fn killed_at_random_moments_and_resumed_equals_the_uninterrupted_run() {
    let place = place();
    let started = Instant::now();
    let expected = reference(&place);
    let whole = started.elapsed();
    let mut random = 0x9e37_79b9_u64;
    for _ in 0..6 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = 0.02 + 0.5 * (random >> 40) as f64 / (1u64 << 24) as f64;
        let child = start(&place, &["--resume"]);
        std::thread::sleep(whole.mul_f64(share));
        kill(child);
    }
    resume(&place);
    expected.equals(&left(&place, "out"));
}

#[test]
fn killed_while_writing_text_best_and_state_and_resumed_equals_the_uninterrupted_run() {
    let place = place();
    let expected = reference(&place);
    let mut hit = 0;
    for prefix in [".corpus", ".best", ".state", ".best", ".state", ".trainer_state"] {
        let mut child = start(&place, &["--resume"]);
        wait_until(&mut child, || holds(&place.path("out"), prefix));
        hit += usize::from(child.try_wait().unwrap().is_none());
        kill(child);
    }
    assert!(hit >= 3, "only {hit} of 6 writes were hit");
    resume(&place);
    expected.equals(&left(&place, "out"));
    for prefix in [".corpus", ".best", ".state"] {
        assert!(!holds(&place.path("out"), prefix), "{prefix} is left half-written");
    }
}

#[test]
fn sigint_ends_with_130_says_how_to_resume_and_resumes_to_the_same_bits() {
    let place = place();
    let expected = reference(&place);
    let mut child = start(&place, &[]);
    wait_until(&mut child, || place.path("out/state").exists());
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    contains(&run.stderr, &["Interrupted", "--resume"]);
    contains(&resume(&place), &["Going on after step"]);
    expected.equals(&left(&place, "out"));
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let place = place();
    said(pretrain(&place, &[]));
    let (before, card) = (left(&place, "out"), place.read("out/best/README.md"));
    said(pretrain(&place, &["--resume"]));
    before.equals(&left(&place, "out"));
    assert_eq!(place.read("out/best/README.md"), card);
}

/// The card tells of every evaluation that was a new best, of those before an interruption too.
#[test]
fn the_model_card_of_a_resumed_run_has_the_whole_curve() {
    let place = place();
    reference(&place);
    let mut child = start(&place, &[]);
    // The state of step 9 lies behind the first evaluation, that of step 7.
    wait_until(&mut child, || place.path("out/best").exists());
    let kept = || std::fs::read_to_string(place.path("out/state/progress.json")).unwrap_or_default();
    let first = kept();
    wait_until(&mut child, || kept() != first);
    assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
    kill(child);
    contains(&resume(&place), &["Going on after step"]);
    let curve = |out: &str| -> Vec<String> {
        let card = place.read(&format!("{out}/best/README.md"));
        let section = card.split("## Held-out text").nth(1).unwrap().split("## Settings").next().unwrap();
        section.lines().map(str::to_owned).collect()
    };
    assert_eq!(curve("out"), curve("reference"));
}

#[test]
fn resuming_with_other_settings_is_refused_by_name() {
    let place = place();
    said(pretrain(&place, &[]));
    let before = left(&place, "out");
    place.write("other.txt", text(90));
    for (flag, part) in [
        ("--learning-rate=1e-3", "learning_rate: was 0.005, now 0.001"),
        ("--precision=bf16", "precision: was \"fp32\", now \"bf16\""),
        ("--batch-size=4", "train_batch_size: was 8, now 4"),
        ("--mlm-probability=0.2", "mlm_probability: was 0.15, now 0.2"),
        ("--max-length=16", "max_length: was 32, now 16"),
        ("--packing=doc-sentences", "packing: was \"full_sentences\", now \"doc_sentences\""),
        ("--num-train-epochs=5", "num_train_epochs: was 4, now 5"),
        ("--max-steps=9", "max_steps: was null, now 9"),
        ("--eval-steps=3", "eval_steps: was null, now 3"),
        ("--hidden-dropout-prob=0", "dropout: was \"hidden 0.1, attention 0.1\""),
        ("--exclude-file=other.txt", "train_data: was "),
        ("--validation-file=other.txt", "validation_data: was "),
    ] {
        fails(pretrain(&place, &[flag, "--resume"]), &[part, "cannot resume", "hint"]);
    }
    before.equals(&left(&place, "out"));
    said(pretrain(&place, &["--resume"]));
    before.equals(&left(&place, "out"));
}

#[test]
fn a_run_is_replaced_only_where_that_is_asked_for() {
    let place = place();
    said(pretrain(&place, &[]));
    let before = left(&place, "out");
    fails(pretrain(&place, &["--seed=2"]), &["out: holds a run already", "--resume", "--overwrite-output-dir"]);
    before.equals(&left(&place, "out"));
    said(pretrain(&place, &["--seed=2", "--overwrite-output-dir"]));
    assert!(left(&place, "out").best != before.best);
}
