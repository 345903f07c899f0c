//! What must not change a bit of the result.

use crate::training::{left, place, said, train, train_on};

#[test]
fn one_two_and_three_threads_give_the_same_bits() {
    let place = place();
    for threads in ["1", "2", "3"] {
        said(train(&place, &[&format!("--threads={threads}"), &format!("--output-dir={threads}")]));
    }
    left(&place, "1").equals(&left(&place, "2"));
    left(&place, "1").equals(&left(&place, "3"));
}

#[test]
fn accumulating_two_batches_of_four_gives_the_bits_of_a_batch_of_eight() {
    let place = place();
    said(train(&place, &[]));
    said(train(&place, &["--batch-size=4", "--gradient-accumulation-steps=2", "--output-dir=accumulated"]));
    left(&place, "out").equals(&left(&place, "accumulated"));
}

#[test]
fn equal_class_weights_are_no_weights_and_others_are() {
    let place = place();
    said(train(&place, &[]));
    said(train(&place, &["--class-weights=2,2", "--output-dir=equal"]));
    let said = said(train(&place, &["--class-weights=0,1", "--output-dir=one"]));
    assert!(left(&place, "out").best == left(&place, "equal").best);
    assert!(left(&place, "out").best != left(&place, "one").best);
    assert!(said.contains("texts were given the label 'positive'"), "{said}");
}

#[test]
fn balanced_class_weights_are_those_that_even_out_the_labels() {
    let place = place();
    place.write("uneven.csv", "text,label\nfine,positive\ngood,positive\ngreat,positive\nbad,negative\n");
    let on_uneven = |weights: &str, out: &str| {
        let files = ["--train-file=uneven.csv", "--validation-file=validation.csv"];
        said(train_on(&place, &files, &["--output-dir", out, "--class-weights", weights]))
    };
    let balanced = on_uneven("balanced", "balanced");
    assert!(balanced.contains("Class weights: [2.000, 0.667]"), "{balanced}");
    on_uneven("2,0.6666667", "given");
    assert!(left(&place, "balanced").best == left(&place, "given").best);
}

#[test]
fn another_seed_gives_other_weights() {
    let place = place();
    said(train(&place, &[]));
    said(train(&place, &["--seed=2", "--output-dir=other"]));
    assert!(left(&place, "out").best != left(&place, "other").best);
}
