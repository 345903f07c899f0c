//! The trunk cache changes nothing but the time, and is only used for the very same trunk.

use crate::support::{Place, SENTIMENT, write_model};
use crate::training::{contains, data, left, place, said, train};
use serin_model::ProblemType;

const FROZEN: &str = "--freeze-layers=1";
const FOUND: &str = "found whole";
const WRITTEN: &str = "written in the first epoch";

fn frozen(place: &Place, flags: &[&str]) -> String {
    said(train(place, &[&[FROZEN], flags].concat()))
}

#[test]
fn without_it_while_filling_it_and_from_it_the_bits_are_the_same() {
    let place = place();
    assert!(!frozen(&place, &["--cache-limit=0", "--output-dir=none"]).contains("Trunk cache"));
    contains(&frozen(&place, &["--output-dir=filling"]), &[WRITTEN]);
    contains(&frozen(&place, &["--output-dir=filled"]), &[FOUND]);
    left(&place, "none").equals(&left(&place, "filling"));
    left(&place, "none").equals(&left(&place, "filled"));
}

#[test]
fn with_the_whole_encoder_frozen_the_bits_are_the_same() {
    let place = place();
    for (out, limit) in [("none", "0"), ("filling", "1"), ("filled", "1")] {
        let flags = [format!("--cache-limit={limit}"), format!("--output-dir={out}")];
        said(train(&place, &["--freeze-layers=2", &flags[0], &flags[1]]));
    }
    left(&place, "none").equals(&left(&place, "filling"));
    left(&place, "none").equals(&left(&place, "filled"));
}

#[test]
fn the_same_examples_may_train_and_select() {
    let place = place();
    place.write("validation.csv", place.read("train.csv"));
    frozen(&place, &["--cache-limit=0", "--output-dir=none"]);
    contains(&frozen(&place, &["--output-dir=filling"]), &[WRITTEN]);
    contains(&frozen(&place, &["--output-dir=filled"]), &[FOUND]);
    left(&place, "none").equals(&left(&place, "filling"));
    left(&place, "none").equals(&left(&place, "filled"));
}

#[test]
fn a_cache_of_other_data_or_other_frozen_weights_is_not_used() {
    let place = place();
    contains(&frozen(&place, &[]), &[WRITTEN]);
    place.write("train.csv", data(40, 1));
    contains(&frozen(&place, &["--overwrite-output-dir"]), &[WRITTEN]);
    std::fs::remove_dir_all(place.path("model")).unwrap();
    write_model(&place.path("model"), &SENTIMENT, ProblemType::SingleLabelClassification, 8);
    contains(&frozen(&place, &["--overwrite-output-dir"]), &[WRITTEN]);
    contains(&frozen(&place, &["--overwrite-output-dir", "--max-length=12"]), &[WRITTEN]);
}

#[test]
fn what_lies_above_the_trunk_is_no_part_of_its_key() {
    let place = place();
    contains(&frozen(&place, &[]), &[WRITTEN]);
    for (run, flag) in
        ["--seed=9", "--hidden-dropout-prob=0.3", "--label-map=negative=bad", "--threads=1"].iter().enumerate()
    {
        contains(&frozen(&place, &[flag, &format!("--output-dir=other-{run}")]), &[FOUND]);
    }
    contains(&frozen(&place, &["--precision=bf16", "--output-dir=bf16"]), &[WRITTEN]);
    let two = train(&place, &["--freeze-layers=2", "--output-dir=two"]);
    contains(&said(two), &[WRITTEN]);
}

#[test]
fn a_folder_that_cannot_be_written_is_gone_without() {
    let place = place();
    frozen(&place, &["--cache-limit=0", "--output-dir=none"]);
    contains(&frozen(&place, &["--cache-dir=train.csv/cache"]), &["No trunk cache: train.csv/cache"]);
    left(&place, "none").equals(&left(&place, "out"));
}

#[test]
fn over_the_limit_it_is_gone_without() {
    let place = place();
    contains(&frozen(&place, &["--cache-limit=1e-6"]), &["No trunk cache: it would take"]);
    assert!(!place.path("cache").exists());
}

#[test]
fn list_shows_and_clear_removes_caches() {
    let place = place();
    frozen(&place, &[]);
    let list = place.run(&["cache", "list", "--cache-dir", "cache"]);
    assert_eq!(list.stdout.matches(".trunk").count(), 2, "{}", list.stdout);
    contains(&list.stderr, &["2 caches"]);
    contains(&place.run(&["cache", "clear", "--cache-dir", "cache"]).stderr, &["2 caches", "removed"]);
    assert_eq!(place.run(&["cache", "list", "--cache-dir", "cache"]).well(), "");
    assert_eq!(std::fs::read_dir(place.path("cache")).unwrap().count(), 0);
}
