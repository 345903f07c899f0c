//! The [`Backend`](serin_ops::Backend) on the CPU: one folder per family of ops, inner loops per instruction set.
#![allow(unsafe_code)] // vector kernels; each use states the fact that makes it sound

mod attention;
mod backend;
mod caches;
pub mod ceiling;
mod gemm;
mod isa;
mod matrix;
mod prefetch;
mod rows;
mod simd;
mod threads;

pub use backend::{Cpu, CpuOptions};
pub use caches::Caches;
pub use isa::{Isa, IsaError, IsaLevel};
