//! Kernels from source to what the card loads: compiled for the card in the machine at first use, then kept in a folder.
//!
//! Shipping compiled kernels would mean one binary a card generation and none for the next; the compiler comes with every
//! CUDA installation, and the kernels take it a few seconds once.

mod cache;
mod nvrtc;
mod parallel;
mod sources;

pub(crate) use nvrtc::Architecture;
pub use nvrtc::check;

use crate::device::libraries::{self, NVRTC};
use crate::error::CudaError;
use crate::kernel::Program;
use cache::Cache;
use serin_tensor::DType;
use std::path::PathBuf;
use std::time::Duration;

/// How long compiling takes before somebody is told of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the driver loads: a CUBIN, or PTX with its closing zero.
pub(crate) struct Image(pub(crate) Vec<u8>);

/// Compiles for one card.
pub(crate) struct Compiler {
    architecture: Architecture,
    version: (u32, u32),
    cache: Cache,
}

impl Compiler {
    /// The compiler for cards of a compute capability, keeping what it compiled in `cache`.
    pub(crate) fn new(capability: (u32, u32), cache: Option<PathBuf>) -> Result<Compiler, CudaError> {
        libraries::toolkit(&NVRTC)?;
        Ok(Compiler {
            architecture: Architecture::for_card(capability)?,
            version: nvrtc::version()?,
            cache: Cache::new(cache),
        })
    }

    /// What decides the instructions that run: target and compiler.
    pub(crate) fn describe(&self) -> String {
        format!("{}, NVRTC {}.{}", self.architecture, self.version.0, self.version.1)
    }

    /// The compiled program, from the cache if it is there.
    pub(crate) fn image(&self, program: Program) -> Result<Image, CudaError> {
        let source = sources::find(program.file);
        let options = nvrtc::options(program.storage, self.architecture);
        let key = cache::key(source, &options, self.version);
        if let Some(image) = self.cache.read(&key) {
            return Ok(image);
        }
        let image = nvrtc::compile(source, &options, self.architecture)?;
        self.cache.write(&key, &image);
        Ok(image)
    }

    /// The compiled programs, those that are missing compiled in parallel. `slow` is called once if that takes long.
    pub(crate) fn images(&self, programs: &[Program], slow: &dyn Fn()) -> Result<Vec<(Program, Image)>, CudaError> {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
        let plan = parallel::Plan { threads, patience: PATIENCE, slow };
        parallel::all(programs, &plan, |program| self.image(program))
    }
}

/// All programs that a model of a storage type may run.
pub(crate) fn programs(storage: DType) -> Vec<Program> {
    sources::of(storage).map(|(source, storage)| Program { file: source.name, storage }).collect()
}
