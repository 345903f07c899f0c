//! A card behind NVIDIA's driver: one context, its streams, and the kernels compiled for it.

#![allow(unsafe_code)] // calls the driver

use super::pinned::Pinned;
use super::queue::{Launch, Queue, Task};
use super::{Address, After, Device, Grid, Traits, libraries};
use crate::compile::{self, Compiler, Image};
use crate::error::CudaError;
use crate::kernel::{Kernel, Program};
use crate::launch::Argument;
use crate::products::{CublasLt, Product};
use cudarc::driver::sys::{self, CUdevice_attribute, CUfunction, CUfunction_attribute, CUmodule, CUresult, CUstream};
use cudarc::driver::{DriverError, result};
use serin_tensor::DType;
use std::collections::HashMap;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// 0: work is launched kernel by kernel, never as a graph.
pub const SERIN_CUDA_GRAPHS: &str = "SERIN_CUDA_GRAPHS";

/// Dynamic shared memory that a kernel may use without asking.
const SHARED_UNASKED: u32 = 48 << 10;

/// A card, until the end of the process: its context is the process's primary one and is not released.
pub(crate) struct Card {
    name: String,
    memory: usize,
    traits: Traits,
    context: sys::CUcontext,
    compiler: Compiler,
    /// Who multiplies.
    products: String,
    loaded: Mutex<Loaded>,
    queue: Mutex<Queue>,
    moments: Arc<AtomicU64>,
}

/// Handles of what is on the card already.
#[derive(Default)]
struct Loaded {
    programs: HashMap<Program, CUmodule>,
    kernels: HashMap<Kernel, (CUfunction, u32)>,
}

// SAFETY: the driver's handles may be used from any thread whose current context is set, and `bind` sets it before each use.
unsafe impl Send for Card {}
// SAFETY: as above; the driver synchronises access to a stream itself.
unsafe impl Sync for Card {}

/// The driver's words.
pub(super) fn said(call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
    move |error| {
        let text =
            |words: Result<&std::ffi::CStr, DriverError>| words.map(|words| words.to_string_lossy().into_owned());
        let name = text(error.error_name()).unwrap_or_else(|_| format!("{:?}", error.0));
        let reason = text(error.error_string()).map_or(name.clone(), |words| format!("{words} ({name})"));
        CudaError::Driver { call, reason }
    }
}

impl Card {
    /// Opens the card with this number and finds what compiles its kernels.
    pub(crate) fn open(ordinal: u32, cache: Option<PathBuf>) -> Result<Card, CudaError> {
        libraries::driver()?;
        match result::init() {
            Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(CudaError::NoCard),
            other => other.map_err(said("starting the driver"))?,
        }
        let count = result::device::get_count().map_err(said("counting cards"))?;
        if i64::from(ordinal) >= i64::from(count) {
            return Err(CudaError::NoCard);
        }
        let device = result::device::get(ordinal as i32).map_err(said("opening the card"))?;
        let name = result::device::get_name(device).map_err(said("asking for the card's name"))?;
        // SAFETY: `device` is one that the driver just gave.
        let attribute = |which| unsafe { result::device::get_attribute(device, which) }.map(|value| value as u32);
        let capability = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
            .and_then(|major| Ok((major, attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?)))
            .map_err(said("asking for the compute capability"))?;
        if capability < (8, 0) {
            return Err(CudaError::OldCard { card: name, capability });
        }
        let traits = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .and_then(|processors| {
                let cache = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?;
                Ok(Traits { processors, shared_cache: cache as usize })
            })
            .map_err(said("asking for processors and cache"))?;
        let compiler = Compiler::new(capability, cache)?;
        // SAFETY: as above.
        let memory = unsafe { result::device::total_mem(device) }.map_err(said("asking for the card's memory"))?;
        // SAFETY: as above; the context is made current before the stream is made in it.
        let context = unsafe {
            let context = result::primary_ctx::retain(device).map_err(said("opening a context"))?;
            result::ctx::set_current(context).map_err(said("opening a context"))?;
            context
        };
        let products = CublasLt::new()?;
        let description = products.describe();
        let queue = Queue::new(context, products, graphs_are_wanted())?;
        let moments = queue.streams().moments();
        let (queue, loaded) = (Mutex::new(queue), Mutex::default());
        Ok(Card { name, memory, traits, context, compiler, products: description, loaded, queue, moments })
    }

    /// What decides how results round: the card, what kernels are compiled by, and who multiplies.
    pub(crate) fn arithmetic(&self) -> String {
        format!("{}, {}, {}", self.name, self.compiler.describe(), self.products)
    }

    /// Makes the card's context that of this thread.
    fn bind(&self) -> Result<(), CudaError> {
        // SAFETY: the context lives as long as the process.
        unsafe { result::ctx::set_current(self.context) }.map_err(said("entering the context"))
    }

    fn queue(&self) -> Result<MutexGuard<'_, Queue>, CudaError> {
        self.bind()?;
        Ok(self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A kernel ready to launch with `shared` bytes of dynamic shared memory; compiled and loaded at its first use.
    fn ready(&self, kernel: Kernel, shared: u32) -> Result<CUfunction, CudaError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let Loaded { programs, kernels } = &mut *loaded;
        if let Some((function, granted)) = kernels.get_mut(&kernel) {
            return raise_shared_memory(*function, granted, shared);
        }
        let module = match programs.get(&kernel.program) {
            Some(module) => *module,
            None => {
                let module = load(&self.compiler.image(kernel.program)?)?;
                programs.insert(kernel.program, module);
                module
            }
        };
        let name = CString::new(kernel.name).expect("kernels' names hold no zero");
        // SAFETY: the module is loaded and never unloaded.
        let function = unsafe { result::module::get_function(module, name) }.map_err(said("finding a kernel"))?;
        let (function, granted) = kernels.entry(kernel).or_insert((function, SHARED_UNASKED));
        raise_shared_memory(*function, granted, shared)
    }
}

/// Puts a compiled program on the card, whose context is current.
fn load(Image(image): &Image) -> Result<CUmodule, CudaError> {
    // SAFETY: the image is a CUBIN or PTX with its closing zero, as the compiler wrote it.
    unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(said("loading compiled kernels"))
}

/// Asks for more dynamic shared memory where the kernel has been granted less.
fn raise_shared_memory(function: CUfunction, granted: &mut u32, shared: u32) -> Result<CUfunction, CudaError> {
    if shared > *granted {
        let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function belongs to a module that is never unloaded.
        unsafe { result::function::set_function_attribute(function, attribute, shared as i32) }
            .map_err(said("asking for shared memory"))?;
        *granted = shared;
    }
    Ok(function)
}

// SAFETY: `cuMemAlloc` gives the bytes that were asked for, aligned to at least 256.
unsafe impl Device for Card {
    fn name(&self) -> &str {
        &self.name
    }

    fn traits(&self) -> Traits {
        self.traits
    }

    fn total_memory(&self) -> usize {
        self.memory
    }

    fn prepare(&self, storage: DType, slow: &dyn Fn()) -> Result<(), CudaError> {
        self.bind()?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = compile::programs(storage);
        missing.retain(|program| !loaded.programs.contains_key(program));
        for (program, image) in self.compiler.images(&missing, slow)? {
            loaded.programs.insert(program, load(&image)?);
        }
        Ok(())
    }

    fn free_memory(&self) -> Result<usize, CudaError> {
        self.bind()?;
        let (free, _) = result::mem_get_info().map_err(said("asking for the free memory"))?;
        Ok(free)
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>, CudaError> {
        self.bind()?;
        // SAFETY: the memory is handed on as bytes with anything in it.
        match unsafe { result::malloc_sync(bytes) } {
            Ok(address) => Ok(Some(address)),
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => Ok(None),
            Err(error) => Err(said("allocating memory")(error)),
        }
    }

    unsafe fn free(&self, address: Address) {
        // A failure here can only repeat one that was reported: nobody is left to hear of it.
        if self.queue().and_then(|mut queue| queue.flush()).is_ok() {
            // SAFETY: the caller's; the driver waits for what was enqueued.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn moment(&self) -> u64 {
        self.moments.load(Ordering::Relaxed)
    }

    unsafe fn write(&self, to: Address, bytes: &[u8], after: After) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        unsafe { self.queue()?.write(to, bytes, after) }
    }

    unsafe fn read(&self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        let stream = self.queue()?.flush()?;
        // SAFETY: the caller's; and `bytes` is borrowed until the stream is done.
        unsafe { result::memcpy_dtoh_async(bytes, from, stream) }.map_err(said("copying from the card"))?;
        wait_for(stream)
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), CudaError> {
        let stream = self.queue()?.flush()?;
        // SAFETY: the caller's.
        unsafe { result::memcpy_dtod_async(to, from, bytes, stream) }.map_err(said("copying on the card"))
    }

    unsafe fn fill_zero(&self, at: Address, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        unsafe { self.queue()?.push(Task::Zero { at, bytes }) }
    }

    unsafe fn launch(&self, kernel: Kernel, grid: Grid, arguments: &[Argument]) -> Result<(), CudaError> {
        self.bind()?;
        let (name, function) = (kernel.name, self.ready(kernel, grid.shared)?);
        let task = Task::Launch(Launch { name, function, grid, arguments: arguments.to_vec() });
        // SAFETY: the caller's.
        unsafe { self.queue()?.push(task) }
    }

    unsafe fn multiply(&self, product: &Product) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        unsafe { self.queue()?.push(Task::Product(*product)) }
    }

    unsafe fn copy_from_pinned(&self, to: Address, bytes: usize) -> Result<Option<f64>, CudaError> {
        let stream = self.queue()?.flush()?;
        let source = Pinned::zeroed(bytes)?;
        wait_for(stream)?;
        let started = Instant::now();
        // SAFETY: the caller's; `source` lives until the stream is done.
        unsafe { result::memcpy_htod_async(to, source.bytes(), stream) }.map_err(said("copying to the card"))?;
        wait_for(stream)?;
        Ok(Some(started.elapsed().as_secs_f64()))
    }

    fn synchronize(&self) -> Result<(), CudaError> {
        let stream = self.queue()?.flush()?;
        wait_for(stream)
    }
}

/// Waits for a stream that lives as long as its card, whose context is current.
fn wait_for(stream: CUstream) -> Result<(), CudaError> {
    // SAFETY: as above.
    unsafe { result::stream::synchronize(stream) }.map_err(said("waiting for the card"))
}

/// Whether work that comes again is to be launched as a graph: unless [`SERIN_CUDA_GRAPHS`] is 0.
fn graphs_are_wanted() -> bool {
    std::env::var(SERIN_CUDA_GRAPHS).map_or(true, |value| value.trim() != "0")
}
