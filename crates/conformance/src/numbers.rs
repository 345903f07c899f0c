//! Inputs that everybody can make again, exact in their storage type.

use half::{bf16, f16};
use serin_tensor::DType;

/// `value` rounded to `dtype`.
pub(crate) fn rounded(dtype: DType, value: f32) -> f32 {
    match dtype {
        DType::F32 => value,
        DType::BF16 => bf16::from_f32(value).to_f32(),
        DType::F16 => f16::from_f32(value).to_f32(),
    }
}

/// Roughly normal numbers (Irwin-Hall of 4) with deviation 1, one in 16 of them 0, rounded to `dtype`.
pub(crate) fn numbers(dtype: DType, len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let mut normal = move || {
        let sum = next() + next() + next() + next() - 2.0;
        if next() < 1.0 / 16.0 { 0.0 } else { sum * 3f32.sqrt() }
    };
    (0..len).map(|_| rounded(dtype, normal())).collect()
}

/// Rows of a table, with repetitions.
pub(crate) fn choices(rows: usize, len: usize, seed: u64) -> Vec<u32> {
    let noise = numbers(DType::F32, len, seed);
    noise.iter().map(|&noise| ((noise.abs() * 1e4) as usize % rows) as u32).collect()
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

pub(crate) fn magnitudes(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| value.abs()).collect()
}
