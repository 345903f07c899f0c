//! Any backend against what PyTorch computed: hidden states, logits, loss, gradients and ten optimizer steps.
//!
//! `golden/README.md` describes the files. Included by path from the tests of every crate that has a backend to check.
#![allow(dead_code, unused_imports)] // each test takes what it needs

mod case;
mod run;
mod tensors;

use std::path::{Path, PathBuf};

use serde_json::Value;
use serin_tensor::DType;

pub(crate) use case::Case;
pub(crate) use run::{Parameter, Run, gradient_norm, read};
pub(crate) use tensors::Tensors;

/// How exactly a backend computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precision {
    /// The unit roundoff of its arithmetic and storage.
    pub(crate) unit_roundoff: f64,
    /// How many times PyTorch's own float32 error it may be away (scaled to this roundoff): sums in another order.
    pub(crate) slack: f64,
    /// The storage type of activations.
    pub(crate) dtype: DType,
}

impl Precision {
    pub(crate) const DOUBLE: Precision =
        Precision { unit_roundoff: 1.0 / (1u64 << 53) as f64, slack: 4.0, dtype: DType::F32 };
    pub(crate) const SINGLE: Precision = Precision { unit_roundoff: UNIT, slack: 4.0, dtype: DType::F32 };
}

/// Half the distance from 1 to the next f32.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;
/// f32 roundings on the way, whatever the backend computes in: the stored golden, the value read back, 1/normalizer, and
/// class weights, smoothing, learning rates and betas.
const ROUNDINGS: f64 = 4.0;

/// The folders under `golden/models` that hold a case.
pub(crate) fn cases() -> Vec<PathBuf> {
    let all = std::fs::read_dir(models()).expect("golden/models").map(|entry| entry.expect("an entry").path());
    let mut cases: Vec<PathBuf> = all.filter(|path| path.join("golden.json").exists()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", models().display());
    cases
}

pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models")
}

pub(super) fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

pub(crate) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}
