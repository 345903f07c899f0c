//! fp16 with a dynamic loss scale: overflows are skipped, counted, and do not move the schedule.

use crate::support::{Place, write_model_of_range};
use crate::training::{contains, data, entries, said, train};

/// A place whose model is so large in its weights that scaled gradients overflow.
fn place() -> Place {
    let place = Place::empty();
    write_model_of_range(&place.path("model"), 0.6);
    place.write("train.csv", data(64, 0));
    place.write("validation.csv", data(16, 100));
    place
}

#[test]
fn skipped_steps_are_counted_halve_the_scale_and_leave_the_schedule() {
    let place = place();
    let flags = ["--fp16", "--logging-steps=1", "--warmup-steps=0", "--learning-rate=0.001", "--num-train-epochs=4"];
    said(train(&place, &flags));
    let log = entries(&place, "out", false);
    assert_eq!(log.len(), 32);
    let number = |row: usize, name: &str| log[row][name].as_f64().unwrap();
    let skipped = number(31, "skipped_steps");
    assert!(skipped > 0.0 && skipped < 31.0, "{skipped} of 32 steps were skipped");
    for (row, entry) in log.iter().enumerate() {
        let before = if row == 0 { 0.0 } else { number(row - 1, "skipped_steps") };
        assert_eq!(number(row, "loss_scale"), 65536.0 / 2f64.powf(before), "step {}", row + 1);
        let expected = f64::from(0.001f32) * (32.0 - (row as f64 - before)) / 32.0;
        assert!((number(row, "learning_rate") - expected).abs() < 1e-12, "step {}", row + 1);
        let skipped = number(row, "skipped_steps") > before;
        assert_eq!(entry["grad_norm"].is_null(), skipped, "step {}", row + 1);
    }
}

#[test]
fn bf16_trains() {
    let place = place();
    let said = said(train(&place, &["--bf16"]));
    contains(&said, &["bf16 storage", "Epoch 3 summary"]);
}

#[test]
fn a_run_that_diverges_says_so_and_ends() {
    let place = place();
    let flags = ["--learning-rate=1e30", "--warmup-steps=0", "--num-train-epochs=20", "--max-grad-norm=0"];
    let run = train(&place, &flags);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    contains(&run.stderr, &["--learning-rate"]);
}
