//! Which tensors change, and that the kept folder is a whole model.

use crate::support::Place;
use crate::training::{contains, place, said, train};
use serin_checkpoint::model::LoadedFolder;
use std::collections::BTreeMap;
use std::fs;

fn tensors(place: &Place, model: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(place.path(model).join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let entries = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    let place_of = |offset: &serde_json::Value| 8 + length + offset.as_u64().unwrap() as usize;
    entries
        .map(|(name, entry)| {
            let range = place_of(&entry["data_offsets"][0])..place_of(&entry["data_offsets"][1]);
            (name.clone(), bytes[range].to_vec())
        })
        .collect()
}

fn changed(place: &Place, flags: &[&str], is_frozen: impl Fn(&str) -> bool) {
    let said = said(train(place, &[flags, &["--overwrite-output-dir", "--weight-decay=0.01"]].concat()));
    let (before, after) = (tensors(place, "model"), tensors(place, "out/best"));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before.len() > 30, "{} tensors", before.len());
    for (name, old) in &before {
        let same = *old == after[name];
        assert_eq!(same, is_frozen(name), "{name} with {flags:?}");
    }
    contains(&said, &["Trained:", "head", "lr "]);
}

#[test]
fn what_is_trained_changes_and_what_is_frozen_keeps_its_bits() {
    let place = place();
    changed(&place, &[], |_| false);
    changed(&place, &["--freeze-layers=0"], |name| name.contains("embeddings"));
    changed(&place, &["--freeze-layers=1"], |name| name.contains("embeddings") || name.contains("layer.0."));
    changed(&place, &["--freeze-layers=2"], |name| !name.starts_with("classifier."));
}

#[test]
fn best_opens_as_a_model_with_a_trained_head() {
    let place = place();
    said(train(&place, &[]));
    let folder = LoadedFolder::open(&place.path("out/best")).unwrap();
    assert!(folder.has_trained_head());
    assert_eq!(folder.config().labels, ["negative", "positive"]);
    let predicted = place.run(&["predict", "out", "good text number 4"]).well();
    assert!(predicted.contains("positive") || predicted.contains("negative"), "{predicted}");
}

#[test]
fn a_head_of_three_labels_lends_the_two_that_are_asked_for() {
    let place = place();
    let said = said(train(&place, &["--learning-rate=0", "--num-train-epochs=1"]));
    contains(&said, &["negative", "positive"]);
    let (before, after) = (tensors(&place, "model"), tensors(&place, "out/best"));
    let (old, new) = (&before["classifier.out_proj.weight"], &after["classifier.out_proj.weight"]);
    let row = old.len() / 3;
    assert_eq!(new[..row], old[..row], "negative");
    assert_eq!(new[row..], old[2 * row..], "positive");
    let carried = said.lines().find(|line| line.contains("classifier.out_proj") || line.contains("carried"));
    assert!(carried.is_some(), "{said}");
}
