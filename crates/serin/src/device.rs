//! Which device computes, with how many threads, and in which precision.

mod check;

use crate::environment::{SERIN_CPU_ISA, cache_folder};
use crate::error::SerinError;
use serin_cpu::{Cpu, CpuOptions, Isa, IsaLevel};
use serin_cuda::{Cuda, CudaError, CudaOptions};
use serin_ops::Backend;
use serin_tensor::DType;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// More than any machine has cores, and no more than a process can start: each takes four of the 65,530 pieces of memory that
/// Linux allows one.
const MOST_THREADS: usize = 4096;

/// The storage type of the encoder's weights and activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// bf16 where the device multiplies it natively (a GPU, AMX, AVX-512 BF16), else fp32.
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
    /// The storage type on a device.
    pub fn dtype(self, device: &impl Hardware) -> DType {
        match self {
            Precision::Auto if device.multiplies_bf16() => DType::BF16,
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

/// Which device computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// A GPU where there is one that can be used and gives the CPU's numbers in a small check, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl FromStr for DeviceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceKind, String> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "auto" => DeviceKind::Auto,
            "cpu" => DeviceKind::Cpu,
            "cuda" | "gpu" => DeviceKind::Cuda,
            _ => return Err(format!("`{text}` is no device; take auto, cpu or cuda")),
        })
    }
}

/// What a program asks of a device beside its ops.
pub trait Hardware: Backend {
    /// Tokens that are computed at once in inference: enough for full speed, little enough for the caches.
    const BATCH_TOKENS: usize;

    /// Whether bf16 is faster than fp32.
    fn multiplies_bf16(&self) -> bool;

    /// What decides the bits of results: another value gives other roundings.
    fn arithmetic(&self) -> String;

    /// The kernels in use, for people; the best last.
    fn kernels(&self) -> Vec<String>;
}

impl Hardware for Cpu {
    const BATCH_TOKENS: usize = 4096;

    fn multiplies_bf16(&self) -> bool {
        self.isa().best() >= IsaLevel::Avx512Bf16
    }

    fn arithmetic(&self) -> String {
        self.isa().best().to_string()
    }

    fn kernels(&self) -> Vec<String> {
        self.isa().levels().iter().map(ToString::to_string).collect()
    }
}

impl Hardware for Cuda {
    const BATCH_TOKENS: usize = 16_384;

    fn multiplies_bf16(&self) -> bool {
        true
    }

    fn arithmetic(&self) -> String {
        Cuda::arithmetic(self).to_owned()
    }

    fn kernels(&self) -> Vec<String> {
        vec![Hardware::arithmetic(self)]
    }
}

/// A device that is ready.
pub enum Device {
    /// The CPU.
    Cpu(Cpu),
    /// A GPU.
    Cuda(Cuda),
}

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOptions {
    /// Where.
    pub kind: DeviceKind,
    /// Threads of the CPU; by default as many as there are cores.
    pub threads: Option<usize>,
    /// The storage type.
    pub precision: Precision,
}

impl DeviceOptions {
    /// The device.
    ///
    /// # Errors
    /// A GPU was asked for and what it takes is not there: the message names it.
    pub fn open(&self) -> Result<Device, SerinError> {
        match self.kind {
            DeviceKind::Cpu => Ok(Device::Cpu(self.open_cpu()?)),
            DeviceKind::Cuda => open_cuda(self.precision).map(Device::Cuda).map_err(no_cuda),
            DeviceKind::Auto => {
                let cpu = self.open_cpu()?;
                match open_cuda(self.precision).ok().filter(|cuda| check::agrees(cuda, &cpu).is_ok()) {
                    Some(cuda) => Ok(Device::Cuda(cuda)),
                    None => Ok(Device::Cpu(cpu)),
                }
            }
        }
    }

    /// The CPU, with the instruction sets that [`SERIN_CPU_ISA`] allows.
    ///
    /// # Errors
    /// An unknown instruction set; no threads, or too many.
    pub fn open_cpu(&self) -> Result<Cpu, SerinError> {
        let isa = match std::env::var(SERIN_CPU_ISA) {
            Ok(name) if !name.trim().is_empty() => {
                Isa::forced(&name).map_err(|error| SerinError::Usage(format!("{SERIN_CPU_ISA}={name}: {error}")))?
            }
            _ => Isa::detect(),
        };
        let threads = self.threads.unwrap_or_else(|| CpuOptions::default().threads);
        if !(1..=MOST_THREADS).contains(&threads) {
            return Err(SerinError::Usage(format!("--threads {threads}: give a number from 1 to {MOST_THREADS}")));
        }
        Ok(Cpu::new(CpuOptions { threads, isa })?)
    }
}

/// Lets `tell` say what takes long while a device is opened. By default nobody is told; the first caller stays.
pub fn on_waiting(tell: fn(&str)) {
    // A second caller is not worth an error.
    let _ = WAITING.set(tell);
}

static WAITING: OnceLock<fn(&str)> = OnceLock::new();

/// A GPU with the kernels for a precision.
fn open_cuda(precision: Precision) -> Result<Cuda, CudaError> {
    let cuda = Cuda::new(CudaOptions { ordinal: 0, cache: cache_folder().map(|folder| folder.join("kernels")) })?;
    cuda.prepare(precision.dtype(&cuda), &|| {
        if let Some(tell) = WAITING.get() {
            tell("compiling kernels for this GPU, which takes a few seconds the first time");
        }
    })?;
    Ok(cuda)
}

fn no_cuda(error: CudaError) -> SerinError {
    SerinError::Refused(format!("--device cuda: {error}"))
}
