//! What flags do to a run, seen in its log.

use crate::support::Place;
use crate::training::{contains, entries, misused, place, said, train};
use serde_json::Value;

fn rates(log: &[Value]) -> Vec<f64> {
    log.iter().map(|entry| entry["learning_rate"].as_f64().unwrap()).collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
}

#[test]
fn max_steps_ends_the_run_and_the_schedule() {
    let place = place();
    said(train(&place, &["--max-steps=7", "--warmup-steps=0", "--logging-steps=1", "--learning-rate=0.01"]));
    let expected: Vec<f64> = (0..7).map(|step| f64::from(0.01f32) * f64::from(7 - step) / 7.0).collect();
    close(&rates(&entries(&place, "out", false)), &expected);
    assert_eq!(entries(&place, "out", true).len(), 2, "after 5 steps and at the end");
    let state: Value = serde_json::from_str(&place.read("out/trainer_state.json")).unwrap();
    assert_eq!((&state["global_step"], &state["max_steps"]), (&7.into(), &7.into()));
}

#[test]
fn warmup_steps_below_one_are_a_share_of_all_steps() {
    let place = place();
    let flags = ["--logging-steps=1", "--lr-scheduler-type=constant_with_warmup", "--learning-rate=0.01"];
    said(train(&place, &[&flags[..], &["--warmup-steps=0.2", "--output-dir=share"]].concat()));
    said(train(&place, &[&flags[..], &["--warmup-steps=3", "--output-dir=steps"]].concat()));
    let share = rates(&entries(&place, "share", false));
    close(&share, &rates(&entries(&place, "steps", false)));
    let peak = f64::from(0.01f32);
    close(&share[..4], &[0.0, peak / 3.0, peak * 2.0 / 3.0, peak]);
}

#[test]
fn the_logged_loss_is_the_mean_since_the_last_entry() {
    let place = place();
    said(train(&place, &["--logging-steps=1", "--output-dir=each"]));
    said(train(&place, &["--logging-steps=3", "--output-dir=third"]));
    let losses = |out: &str| -> Vec<(u64, f64)> {
        let entries = entries(&place, out, false);
        entries.iter().map(|entry| (entry["step"].as_u64().unwrap(), entry["loss"].as_f64().unwrap())).collect()
    };
    let each: Vec<f64> = losses("each").into_iter().map(|(_, loss)| loss).collect();
    assert_eq!(each.len(), 15);
    let mut before = 0;
    for (step, loss) in losses("third") {
        let since = &each[before as usize..step as usize];
        assert!((loss - since.iter().sum::<f64>() / since.len() as f64).abs() < 1e-12, "step {step}");
        before = step;
    }
    assert_eq!(before, 15);
}

#[test]
fn the_selection_metric_may_be_the_loss() {
    let place = place();
    let said = said(train(&place, &["--metric-for-best-model=loss"]));
    let losses: Vec<f64> =
        entries(&place, "out", true).iter().map(|entry| entry["eval_loss"].as_f64().unwrap()).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    contains(&said, &[&format!("Best validation loss: {least:.4}"), "Applying optimal model weights."]);
    let results: Value = serde_json::from_str(&place.read("out/all_results.json")).unwrap();
    assert_eq!(results["best_metric"].as_f64(), Some(least));
}

#[test]
fn selecting_on_test_needs_test_data_and_is_warned_of() {
    let place = place();
    misused(train(&place, &["--select-on=test"]), &["--select-on test needs test data", "--test-file"]);
    assert!(!place.path("out/best").exists());
    place.write("test.csv", crate::training::data(12, 300));
    let said = said(train(&place, &["--select-on=test", "--test-file=test.csv"]));
    contains(&said, &["warning: the test data selects the best epoch", "Epoch 1 summary - avg loss: ", ", Test acc: "]);
    contains(&said, &["Best test acc: "]);
    contains(&place.read("out/best/README.md"), &["optimistic"]);
}

#[test]
fn max_train_samples_limits_the_shipped_sentences_too() {
    let place = place();
    let run = place.run(&["train", "--max-train-samples=60", "--num-train-epochs=1", "-o", "out"]);
    contains(&said(run), &["5 of 54 training examples", "3,000 labelled sentences"]);
}

#[test]
fn a_length_beyond_the_model_is_said_and_the_model_s_own_taken() {
    let place = place();
    let said = said(train(&place, &["--max-length=100", "--num-train-epochs=1"]));
    contains(&said, &["--max-length 100: the model reads 32 tokens at most"]);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let place = place();
    for (flag, name) in [
        ("--learning-rate=-1", "learning_rate"),
        ("--learning-rate=NaN", "learning_rate"),
        ("--batch-size=0", "train_batch_size"),
        ("--num-train-epochs=0", "num_train_epochs"),
        ("--warmup-steps=-0.5", "warmup"),
        ("--class-weights=1,heavy", "--class-weights heavy: give a number for each label"),
        ("--early-stopping-patience=0", "early_stopping_patience"),
        ("--hidden-dropout-prob=1.5", "dropout"),
        ("--threads=0", "--threads 0"),
        ("--threads=1000000", "--threads 1000000"),
        ("--warmup-steps=1.5", "--warmup-steps 1.5: give a whole number"),
        ("--warmup-ratio=1.5", "warmup_ratio must lie in [0, 1)"),
        ("--warmup-ratio=1", "warmup_ratio must lie in [0, 1)"),
        ("--max-steps=-5", "--max-steps -5"),
        ("--max-steps=0", "--max-steps 0"),
        ("--cache-limit=-1", "--cache-limit -1"),
        ("--cache-limit=NaN", "--cache-limit NaN"),
        ("--save-steps=0", "--save-steps 0"),
        ("--logging-steps=0", "--logging-steps 0"),
        ("--max-train-samples=0", "--max-train-samples 0"),
    ] {
        refused(&place, flag, 2, name);
    }
}

#[test]
fn settings_that_do_not_fit_the_model_or_the_data_are_refused_by_name() {
    let place = place();
    for (flag, name) in [
        ("--metric-for-best-model=pearson", "metric_for_best_model"),
        ("--class-weights=1,2,3", "class_weights has 3 numbers, the model has 2 labels"),
        ("--max-length=1", "max_length"),
        ("--freeze-layers=9", "freeze"),
    ] {
        refused(&place, flag, 1, name);
    }
}

/// Asserts that a run with `flag` ends with `code`, names `name` and leaves nothing.
fn refused(place: &Place, flag: &str, code: i32, name: &str) {
    let run = train(place, &[flag]);
    assert_eq!(run.code, Some(code), "{flag}: {}", run.stderr);
    assert!(run.stderr.contains(name), "{flag}: {}", run.stderr);
    assert!(!place.path("out/best").exists() && !place.path("out/run.json").exists(), "{flag}");
}
