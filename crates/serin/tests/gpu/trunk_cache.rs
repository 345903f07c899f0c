//! The trunk cache in the GPU's memory changes nothing but the time, whatever of it fits there.

use crate::gpu::stand_ins::StandIns;
use crate::support::{Place, SENTIMENT};
use crate::{contains, place, said, state, train_in, weights};

/// The driver says that so many bytes are free, of which an eighth, and 1 GiB at least, are left alone.
const FREE: &str = "SERIN_STAND_IN_FREE";
/// The driver allocates no more at once.
const LARGEST: &str = "SERIN_STAND_IN_LARGEST";

fn assert_same(place: &Place, one: &str, other: &str) {
    assert!(weights(place, one) == weights(place, other), "best/model.safetensors of {one} and {other}");
    assert!(state(place, one) == state(place, other), "state/state.safetensors of {one} and {other}");
}

#[test]
fn held_there_whole_or_in_part_or_not_at_all_the_bits_are_those_without_a_cache() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    let run = |output: &str, limit: &str, environment: &[(&str, &str)]| {
        let flags = [limit, "--precision=bf16"];
        said(train_in(&place, stand_ins, "cuda", output, &flags, environment))
    };
    assert!(!run("none", "--cache-limit=0", &[]).contains("Trunk cache"));
    let some = ((1 << 30) + 10_000).to_string();
    for (output, free, parts) in [
        ("filled", None, ["written in the first epoch", "Trunk cache in GPU memory: 0.00 GB, all of it"]),
        ("found", None, ["found whole", "Trunk cache in GPU memory: 0.00 GB, all of it"]),
        ("some", Some(some.as_str()), ["found whole", "0.00 of 0.00 GB; the rest is read from the file"]),
        ("no-room", Some("1073741824"), ["found whole", "none of 0.00 GB; rows are read from the file"]),
    ] {
        let environment: Vec<_> = free.map(|free| (FREE, free)).into_iter().collect();
        contains(&run(output, "--cache-limit=1", &environment), &parts);
        assert_same(&place, "none", output);
    }
    std::fs::remove_dir_all(place.path("cache/trunk")).unwrap();
    contains(
        &run("some-filled", "--cache-limit=1", &[(FREE, some.as_str())]),
        &["written in the first epoch", "the rest is read"],
    );
    assert_same(&place, "none", "some-filled");
}

#[test]
fn where_less_can_be_allocated_than_was_free_the_run_goes_on_from_the_file() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    // 21,000 texts as long as the model takes: 86 MB of rows in fp32.
    let rows = SENTIMENT.map(|label| format!(r#"{{"text": "{}", "label": "{label}"}}"#, "very ".repeat(40)) + "\n");
    place.write("in.jsonl", rows.concat().repeat(7_000));
    let run = |output: &str, flag: &str| {
        let environment = [(LARGEST, "67108864")];
        said(train_in(&place, stand_ins, "cuda", output, &["--max-steps=1", flag], &environment))
    };
    run("none", "--cache-limit=0");
    contains(
        &run("file", "--cache-limit=1"),
        &[
            "0.00 of 0.09 GB; the rest is read",
            "warning: there is less GPU memory than the driver said",
            "out of GPU memory",
        ],
    );
    assert_same(&place, "none", "file");
}
