//! The driver's side of the crate (context, memory, loading, launches, cuBLASLt's descriptions) without a card: on stand-ins
//! for NVIDIA's libraries that do what the manuals say, with the emulator behind them. See `stand_in/stand_in.h`.

#[path = "../../model/examples/recipe/mod.rs"]
#[allow(dead_code)] // a part is for speed
mod recipe;
mod support;

use recipe::{RecipeStep, Shape};
use serin_conformance::Filter;
use serin_cuda::ceiling::pinned_copy;
use serin_cuda::{Cuda, CudaError, CudaOptions};
use serin_model::Freezing;
use serin_ops::{Backend, DeviceError};
use serin_tensor::DType;
use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;
use std::process::Command;
use support::stand_ins::StandIns;

/// Where the stand-ins are; set for the process that is to find them.
const FOLDER: &str = "SERIN_STAND_IN";
/// Copies, products in every form, updates, several kernels an op, launches of every kind.
const CASES: [&str; 6] = ["memory", "weight", "linear", "gradient_norm", "adamw", "attention: bf16"];

#[test]
#[ignore = "run by the test below, in a process that finds the stand-ins"]
fn on_the_stand_ins() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("a folder"));
    let cache = folder.join("kernels");
    let _ = std::fs::remove_dir_all(&cache);
    let open = || Cuda::new(CudaOptions { ordinal: 0, cache: Some(cache.clone()) });
    let device = open().unwrap();
    assert_eq!(device.name(), "CUDA: stand-in, 4 GiB");
    assert_eq!(device.arithmetic(), "stand-in, sm_90, NVRTC 13.0, cuBLASLt 130000");
    for cases in CASES {
        serin_conformance::run(&device, &Filter::containing(cases)).assert_ok();
    }
    // On another thread, whose context is not set; and with kernels from the folder.
    let kept = std::fs::read_dir(&cache).unwrap().count();
    assert!(kept > 5, "{kept} compiled programs were kept");
    std::thread::spawn(move || serin_conformance::run(&device, &Filter::containing("adamw")).assert_ok())
        .join()
        .unwrap();
    serin_conformance::run(&open().unwrap(), &Filter::containing("adamw")).assert_ok();
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), kept, "programs were compiled again");

    let speed = pinned_copy(&open().unwrap(), 1 << 20).unwrap();
    assert!(speed.is_some_and(|speed| speed > 0.0), "the driver's pinned memory was not used");

    // More than the pinned memory holds, in parts that end anywhere, before anyone waits.
    let device = open().unwrap();
    let expected: Vec<f32> = (0..7_000_000).map(|at| at as f32).collect();
    let mut buffer = device.buffer(DType::F32, expected.len()).unwrap();
    let mut first = 0;
    for len in (0..).map(|part| 1 + part * 100_003).take_while(|len| *len < expected.len()) {
        let part = &expected[first..expected.len().min(first + len)];
        device.write(&mut buffer, first, part);
        first += part.len();
    }
    assert_eq!(first, expected.len());
    let mut values = vec![0.0; expected.len()];
    device.read(&buffer, 0, &mut values).unwrap();
    assert!(values == expected, "bytes were lost on the way");
    let Err(DeviceError { reason, .. }) = device.buffer(DType::F32, 1 << 60) else { panic!("4 EiB were found") };
    assert!(reason.contains("out of GPU memory"), "{reason}");
    let beyond = Cuda::new(CudaOptions { ordinal: 1, cache: None });
    assert!(matches!(beyond, Err(CudaError::NoCard)));
}

/// Runs a test of this file that finds the stand-ins, with variables set; gives what it printed.
fn run(stand_ins: &StandIns, test: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", test, "--nocapture"]).env(FOLDER, &stand_ins.folder);
    stand_ins.found_by(&mut command);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{variables:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
    text(&output.stdout)
}

#[test]
fn the_driver_s_side_conforms_on_stand_ins_for_nvidia_s_libraries() {
    let Some(stand_ins) = StandIns::build() else { return };
    run(stand_ins, "on_the_stand_ins", &[]);
}

/// Steps of training with dropout, two micro-batches each, whose trunk's output is computed once and copied in afterwards.
#[test]
#[ignore = "run by the test below, in a process that finds the stand-ins"]
fn some_steps() {
    let device = Cuda::new(CudaOptions::default()).unwrap();
    let shape = Shape { layers: 3, hidden: 64, lengths: vec![5, 66, 40, 31] };
    let mut training = RecipeStep::new(&device, &shape, Freezing::Layers(1), 71).unwrap();
    assert_eq!(training.parts.len(), 2);
    let row = 64 * training.model.dtype().size();
    let mut trunks = Vec::new();
    for number in 0..4 {
        training.model.zero_gradients(&device);
        for part in 0..2 {
            let RecipeStep { model, space, parts, .. } = &mut training;
            let tokens = parts[part].batch.tokens();
            if number == 0 {
                training.trunk(&device, part);
                let mut rows = vec![0; tokens * row];
                training.model.read_trunk(&device, &training.space, 0, &mut rows).unwrap();
                trunks.push(rows);
            } else {
                // In two halves, as the examples of a batch come.
                let (first, second) = trunks[part].split_at(tokens / 2 * row);
                model.begin_trunk(space);
                model.write_trunk(&device, space, 0, first);
                model.write_trunk(&device, space, tokens / 2, second);
            }
            training.train(&device, part, number).unwrap();
        }
        training.update(&device, number).unwrap();
    }
    let mut hash = DefaultHasher::new();
    for part in training.model.trainable() {
        let mut bytes = vec![0; 4 * part.len];
        device.read_bytes(part.values, 0, &mut bytes).unwrap();
        hash.write(&bytes);
    }
    println!("weights {:016x}", hash.finish());
    println!("launches {}", count(c"stand_in_graph_launches"));
    drop(training);
    drop(device);
    println!("alive {}", count(c"stand_in_graphs_alive"));
}

/// A number that the stand-ins count.
#[allow(unsafe_code)]
fn count(name: &std::ffi::CStr) -> u32 {
    // SAFETY: the stand-in, loaded long since, whose functions of this kind have this type.
    unsafe {
        let library = libloading::Library::new("libcuda.so.1").unwrap();
        library.get::<unsafe extern "C" fn() -> u32>(name).unwrap()()
    }
}

/// What [`some_steps`] leaves.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    weights: String,
    launches: u32,
    alive: u32,
}

/// Runs [`some_steps`].
fn steps(stand_ins: &StandIns, variables: &[(&str, &str)]) -> Left {
    let text = run(stand_ins, "some_steps", variables);
    let after = |name: &str| text.split(name).nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a line");
    let number = |name| after(name).parse().expect("a number");
    Left { weights: after("weights ").to_owned(), launches: number("launches "), alive: number("alive ") }
}

#[test]
fn copies_beside_the_computation_change_nothing_whenever_they_happen() {
    let Some(stand_ins) = StandIns::build() else { return };
    let [late, early] = ["late", "early"].map(|when| steps(stand_ins, &[("SERIN_STAND_IN_COPIES", when)]));
    assert_eq!(late, early);
}

#[test]
fn graphs_give_the_bits_of_single_launches_and_are_left_where_the_driver_refuses_them() {
    let Some(stand_ins) = StandIns::build() else { return };
    let without = steps(stand_ins, &[("SERIN_CUDA_GRAPHS", "0")]);
    assert_eq!((without.launches, without.alive), (0, 0));
    // The masks of dropouts differ from step to step, and so do the losses' scale and the places of indices.
    let with = steps(stand_ins, &[]);
    assert!(with.launches > 10, "{with:?}");
    assert_eq!((&with.weights, with.alive), (&without.weights, 0));
    for captures in ["refused", "broken"] {
        assert_eq!(steps(stand_ins, &[("SERIN_STAND_IN_CAPTURES", captures)]), without, "{captures}");
    }
}
