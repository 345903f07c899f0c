//! Which device computes, with how many threads, and in which precision.

use crate::environment::SERIN_CPU_ISA;
use crate::error::SerinError;
use serin_cpu::{Cpu, CpuOptions, Isa, IsaLevel};
use serin_tensor::DType;
use std::fmt;
use std::str::FromStr;

/// The storage type of the encoder's weights and activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// bf16 where the machine multiplies it natively (AMX, AVX-512 BF16), else fp32.
    #[default]
    Auto,
    /// 32 bits everywhere.
    Fp32,
    /// bfloat16 storage and products, fp32 sums, statistics and master weights.
    Bf16,
    /// IEEE half storage, fp32 products and master weights, dynamic loss scaling.
    Fp16,
}

impl Precision {
    /// The storage type on this machine.
    pub fn dtype(self, cpu: &Cpu) -> DType {
        match self {
            Precision::Auto if cpu.isa().best() >= IsaLevel::Avx512Bf16 => DType::BF16,
            Precision::Auto | Precision::Fp32 => DType::F32,
            Precision::Bf16 => DType::BF16,
            Precision::Fp16 => DType::F16,
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Precision, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "auto" => Precision::Auto,
            "fp32" | "float32" | "f32" | "no" => Precision::Fp32,
            "bf16" | "bfloat16" => Precision::Bf16,
            "fp16" | "float16" | "f16" => Precision::Fp16,
            _ => return Err(format!("`{text}` is no precision; take auto, fp32, bf16 or fp16")),
        })
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::Auto => "auto",
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
            Precision::Fp16 => "fp16",
        })
    }
}

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOptions {
    /// Threads; by default as many as there are cores.
    pub threads: Option<usize>,
    /// The storage type.
    pub precision: Precision,
}

impl DeviceOptions {
    /// The CPU, with the instruction sets that [`SERIN_CPU_ISA`] allows.
    pub fn open(&self) -> Result<Cpu, SerinError> {
        let isa = match std::env::var(SERIN_CPU_ISA) {
            Ok(name) if !name.trim().is_empty() => {
                Isa::forced(&name).map_err(|error| SerinError::Usage(format!("{SERIN_CPU_ISA}={name}: {error}")))?
            }
            _ => Isa::detect(),
        };
        let defaults = CpuOptions::default();
        let threads = self.threads.unwrap_or(defaults.threads);
        if threads == 0 {
            return Err(SerinError::Usage("--threads must be at least 1".into()));
        }
        Ok(Cpu::new(CpuOptions { threads, isa })?)
    }
}
