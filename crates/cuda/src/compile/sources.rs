//! The kernels' sources, in the binary.

use serin_tensor::DType;

/// A file of `kernels/`.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        &[$(Source { name: $name, text: include_str!(concat!("../../kernels/", $name)) }),*]
    };
}

/// What others include.
pub(super) const HEADERS: &[Source] = sources![
    "activation.cuh",
    "attention.cuh",
    "attention_backward.cuh",
    "attention_backward_plain.cuh",
    "attention_backward_tensor_core.cuh",
    "attention_plain.cuh",
    "attention_tensor_core.cuh",
    "chunks.cuh",
    "dropout.cuh",
    "layer_norm.cuh",
    "platform.cuh",
    "reductions.cuh",
    "storage.cuh",
    "tensor_core.cuh",
    "vectors.cuh",
];

/// Compiled for each storage type.
const TYPED: &[Source] = sources![
    "activation.cu",
    "attention.cu",
    "attention_backward.cu",
    "column_sums.cu",
    "dropout.cu",
    "first_row_attention.cu",
    "layer_norm.cu",
    "layer_norm_backward.cu",
    "vocabulary_loss.cu",
];

/// Compiled once: types are arguments, or there are none.
const UNTYPED: &[Source] = sources!["adamw.cu", "convert.cu", "embedding.cu", "gradient_norm.cu", "loss.cu", "rows.cu"];

/// Compiled once, and run by no model.
const OF_CEILINGS: &[Source] = sources!["memory_speed.cu"];

/// Typed sources that every model runs in f32 too: a classification head is in f32.
const OF_HEADS: [&str; 3] = ["activation.cu", "column_sums.cu", "dropout.cu"];

/// What a model of a storage type may run, with the type that each is compiled for.
pub(super) fn of(storage: DType) -> impl Iterator<Item = (&'static Source, DType)> {
    let heads = OF_HEADS.iter().filter(move |_| storage != DType::F32).map(|name| (find(name), DType::F32));
    // The first take longest.
    let typed = TYPED.iter().map(move |source| (source, storage));
    typed.chain(UNTYPED.iter().map(|source| (source, DType::F32))).chain(heads)
}

/// The source of a name that a launch uses.
pub(super) fn find(name: &str) -> &'static Source {
    let mut all = [TYPED, UNTYPED, OF_CEILINGS].into_iter().flatten();
    all.find(|source| source.name == name).expect("launches name sources of kernels/")
}

/// All that can be asked to be compiled.
pub(super) fn all() -> impl Iterator<Item = (&'static Source, DType)> {
    let typed = TYPED.iter().flat_map(|source| [DType::F32, DType::BF16, DType::F16].map(|storage| (source, storage)));
    typed.chain(UNTYPED.iter().chain(OF_CEILINGS).map(|source| (source, DType::F32)))
}

#[test]
fn every_file_of_the_folder_is_here() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".cu") || name.ends_with(".cuh"))
        .collect();
    let mut known: Vec<String> =
        [HEADERS, TYPED, UNTYPED, OF_CEILINGS].into_iter().flatten().map(|source| source.name.to_owned()).collect();
    files.sort();
    known.sort();
    assert_eq!(files, known);
}
