//! What is said about the data before it is learned from.

use crate::training::{contains, data, misused, place, said, train};

#[test]
fn duplicates_overlaps_and_truncation_are_reported() {
    let place = place();
    let long = format!("{},positive\n", "good ".repeat(40));
    place.write("train.csv", format!("{}same text,positive\nsame text,negative\n{long}", data(40, 0)));
    place.write("validation.csv", format!("{}same text,positive\n", data(16, 100)));
    let said = said(train(&place, &[]));
    let line = |name: &str| {
        let line = said.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no line on {name} in: {said}"))
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(line("examples")[1..], ["43", "17"]);
    assert_eq!(line("duplicates")[1], "1");
    assert_eq!(line("with another label")[3], "1");
    assert_ne!(line("truncated")[1], "0");
    contains(&said, &["warning: 1 of 17 validation texts", "also in train"]);
}

#[test]
fn validation_data_split_off_is_told_and_held_out() {
    let place = place();
    let files = ["--train-file=train.csv"];
    let said = said(crate::training::train_on(&place, &files, &["--validation-fraction=0.25"]));
    contains(&said, &["10 of 40 training examples", "stratified"]);
    for fraction in ["0", "1", "-0.5", "NaN"] {
        let flags = [format!("--validation-fraction={fraction}"), "--output-dir=other".to_owned()];
        let run = crate::training::train_on(&place, &files, &[&flags[0], &flags[1]]);
        misused(run, &[&format!("--validation-fraction {fraction}: give a share")]);
    }
}
