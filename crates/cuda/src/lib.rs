//! [`Backend`](serin_ops::Backend) on NVIDIA GPUs.
//!
//! Nothing of CUDA is needed to build. At run time the crate looks for the driver, for NVRTC, which compiles `kernels/` for
//! the card in the machine, and for cuBLASLt, which multiplies matrices. For machines without a GPU there is an emulator of
//! the kernels, a device for tests: see `kernels/README.md`.

mod backend;
pub mod ceiling;
mod compile;
mod device;
mod error;
mod kernel;
mod launch;
mod memory;
mod products;

pub use backend::{Cuda, CudaOptions};
pub use compile::check as compile_all;
pub use device::SERIN_CUDA_GRAPHS;
pub use device::libraries::{SERIN_CUBLAS, SERIN_NVRTC};
pub use error::CudaError;
pub use memory::{Buffer, Indices, Sequences};
pub use products::linear::Weight;
