//! What can go wrong with a GPU, its driver and its libraries.

use serin_ops::DeviceError;

/// A failure of the crate.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// The driver's library cannot be loaded.
    #[error("no NVIDIA driver was found (libcuda.so.1)\nhint: install NVIDIA's driver, or run with --device cpu")]
    NoDriver,
    /// The driver is there but no card.
    #[error("the NVIDIA driver found no GPU\nhint: check `nvidia-smi` and CUDA_VISIBLE_DEVICES")]
    NoCard,
    /// The card is older than the kernels allow.
    #[error("{card} has compute capability {}.{}; Serin's kernels need 8.0 (Ampere) or newer", capability.0, capability.1)]
    OldCard {
        /// The card's name.
        card: String,
        /// Its compute capability.
        capability: (u32, u32),
    },
    /// A library of the CUDA toolkit cannot be loaded.
    #[error(
        "{library} was not found\nhint: `pip install {package}` and set {variable} to the folder with the library, or \
         put that folder into LD_LIBRARY_PATH"
    )]
    NoLibrary {
        /// The library, as its vendor calls it.
        library: &'static str,
        /// The package on PyPI that holds it.
        package: &'static str,
        /// The environment variable that names its folder.
        variable: &'static str,
    },
    /// A call of the driver failed.
    #[error("{call}: {reason}")]
    Driver {
        /// What was asked for.
        call: &'static str,
        /// The driver's words.
        reason: String,
    },
    /// The card's memory does not suffice.
    #[error(
        "out of GPU memory: {wanted} MiB more were asked for, {held} MiB are in use by this process\nhint: a smaller \
         --micro-batch-tokens needs less"
    )]
    OutOfMemory {
        /// MiB of the request that failed.
        wanted: usize,
        /// MiB that this process holds.
        held: usize,
    },
    /// A kernel does not compile for the card.
    #[error("{file} cannot be compiled for {architecture}: {log}")]
    Compile {
        /// The source's name in `kernels/`.
        file: &'static str,
        /// The target.
        architecture: String,
        /// The compiler's words.
        log: String,
    },
    /// No attention kernel takes heads so wide.
    #[error("heads of width {head_dim}: the GPU's attention takes {widest} at most\nhint: run with --device cpu")]
    WideHead {
        /// The model's.
        head_dim: usize,
        /// The most.
        widest: usize,
    },
    /// A matrix product that cuBLASLt refuses.
    #[error("cuBLASLt cannot multiply {product}: {reason}")]
    Product {
        /// Shape and types.
        product: String,
        /// The library's words.
        reason: String,
    },
    /// The emulator's library cannot be used.
    #[error("the emulator cannot be loaded: {0}")]
    Emulator(String),
}

impl CudaError {
    /// The error as a [`serin_ops::Backend`] reports it.
    pub(crate) fn on(self, device: &str) -> DeviceError {
        DeviceError { device: device.to_owned(), reason: self.to_string() }
    }
}
