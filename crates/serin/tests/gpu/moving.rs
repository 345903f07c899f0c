//! A run that moves between the CPU and a GPU.

use crate::gpu::stand_ins::StandIns;
use crate::support::Place;
use crate::{assert_near, contains, gpu, losses, place, said, state, train, train_in};
use serde_json::Value;
use serin::train::{Optimizer, load_state, save_state};
use serin_checkpoint::model::LoadedFolder;
use serin_model::{BuildOptions, Freezing, Model};
use serin_tensor::DType;
use std::fs;

/// A rate that lets a run grow epoch by epoch.
const CONSTANT: &str = "--lr-scheduler-type=constant";
const WARNING: &str = "warning: the steps up to";

fn recorded(place: &Place, output: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{output}/run.json"))).unwrap()
}

#[test]
fn there_and_back_it_learns_what_it_would_have_learned_and_says_where_it_was() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    let epoch = |device: &str, number: u32| {
        let epochs = format!("--num-train-epochs={number}");
        said(train(&place, stand_ins, device, "moved", &[CONSTANT, &epochs, "--resume"]))
    };
    assert!(!epoch("cpu", 1).contains(WARNING));
    let here = recorded(&place, "moved")["ran_on"][0]["isa"].as_str().unwrap().to_owned();
    let there = "stand-in, sm_90, NVRTC 13.0, cuBLASLt 130000";
    contains(
        &epoch("cuda", 2),
        &[
            &format!("{WARNING} 4 were computed by {here}, those to come by {there}."),
            "there is a trunk cache for each",
            "written in the first epoch",
        ],
    );
    let back = format!("{WARNING} 8 were computed by {there}, those to come by {here}.");
    contains(&epoch("cpu", 3), &[&back, "found whole"]);
    assert!(!epoch("cpu", 4).contains(WARNING), "it did not move again");

    train(&place, stand_ins, "cpu", "stayed", &[CONSTANT, "--num-train-epochs=4"]).well();
    assert_near(&losses(&place, "stayed"), &losses(&place, "moved"));
    assert!(state(&place, "stayed") != state(&place, "moved"), "the GPU was not used");
    let parts = |output: &str| -> Vec<(u64, String)> {
        let recorded = recorded(&place, output);
        let part = |part: &Value| (part["after_step"].as_u64().unwrap(), part["isa"].as_str().unwrap().to_owned());
        recorded["ran_on"].as_array().unwrap().iter().map(part).collect()
    };
    assert_eq!(parts("moved"), [(0, here.clone()), (4, there.to_owned()), (8, here.clone())]);
    assert_eq!(parts("stayed"), [(0, here.clone())]);
    let card = format!("| `isa` | \"{here}; after step 4 {there}; after step 8 {here}\" |");
    contains(&place.read("moved/best/README.md"), &[&card]);
}

#[test]
fn the_precision_that_it_began_in_goes_with_it() {
    let Some(stand_ins) = StandIns::build() else { return };
    let place = place();
    // Where `auto` is fp32; on the GPU it is bf16.
    let portable = [("SERIN_CPU_ISA", "portable")];
    let run = |device: &str, more: &[&str]| {
        let flags = [&[CONSTANT, "--precision=auto", "--num-train-epochs=1"][..], more].concat();
        train_in(&place, stand_ins, device, "run", &flags, &portable)
    };
    let longer = ["--resume", "--num-train-epochs=2"];
    run("cuda", &[]).well();
    contains(&said(run("cpu", &longer)), &["Going on in bf16", "--precision auto would be fp32 here", WARNING]);
    assert_eq!(recorded(&place, "run")["precision"], "bf16");
    let refused = run("cpu", &[&longer[..], &["--precision=fp32"]].concat());
    assert_eq!(refused.code, Some(1));
    contains(&refused.stderr, &["cannot resume", "precision: was \"bf16\", now \"fp32\"", "hint"]);
    fs::remove_dir_all(place.path("run")).unwrap();
    run("cpu", &[]).well();
    contains(&said(run("cuda", &longer)), &["Going on in fp32", "--precision auto would be bf16 here", WARNING]);
}

#[test]
fn weights_moments_and_progress_go_through_a_gpu_unchanged() {
    let (Some(stand_ins), Some(device)) = (StandIns::build(), gpu::emulator()) else { return };
    let place = place();
    train(&place, stand_ins, "cpu", "run", &["--precision=fp16"]).well();
    let folder = LoadedFolder::open(&place.path("model")).unwrap();
    let options = BuildOptions { freezing: Freezing::Layers(1), dtype: DType::F16 };
    let mut model = Model::build(device, folder.config().clone(), &mut folder.source(0), options).unwrap();
    let mut optimizer = Optimizer::new(device, &mut model).unwrap();
    let progress = load_state(&place.path("run/state"), device, &mut model, &mut optimizer).unwrap();
    assert!(progress.optimizer_steps > 0);
    save_state(&place.path("through"), device, &mut model, &mut optimizer, &progress).unwrap();
    for file in ["state.safetensors", "progress.json"] {
        let read = |folder: &str| fs::read(place.path(folder).join(file)).unwrap();
        assert!(read("run/state") == read("through"), "{file}");
    }
}
