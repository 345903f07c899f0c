//! Something that holds memory and runs kernels: a card behind its driver, or the emulator that tests use.

#![allow(unsafe_code)] // what a device is asked to do is sound only with the right addresses

mod card;
mod emulator;
mod graphs;
pub(crate) mod libraries;
mod pinned;
mod queue;
mod staging;
mod streams;

pub(crate) use card::Card;
pub use card::SERIN_CUDA_GRAPHS;
pub(crate) use emulator::Emulator;

use crate::error::CudaError;
use crate::kernel::Kernel;
use crate::launch::Argument;
use crate::products::Product;
use serin_tensor::DType;

/// A place in a device's memory. Host code never dereferences one (but the emulator, whose memory is the host's).
pub(crate) type Address = u64;

/// How many blocks of how many threads run a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Blocks along x, y and z.
    pub(crate) blocks: [u32; 3],
    /// Threads of a block.
    pub(crate) threads: u32,
    /// Bytes of dynamic shared memory a block.
    pub(crate) shared: u32,
}

/// What a copy to the device must come after.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    /// All that was enqueued.
    Everything,
    /// What was enqueued up to a moment: that of the memory's last use. See [`Device::moment`].
    Moment(u64),
}

/// What launches that fill a whole card go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// Multiprocessors.
    pub(crate) processors: u32,
    /// Bytes of the cache that they share.
    pub(crate) shared_cache: usize,
}

/// A device with one queue: what is enqueued runs as if in that order.
///
/// # Safety
/// What an implementation allocates must be memory of at least the asked size, aligned to 256 bytes, until it is freed.
pub(crate) unsafe trait Device: Send + Sync {
    /// For people: "NVIDIA H100 PCIe".
    fn name(&self) -> &str;

    /// Its processors and their cache.
    fn traits(&self) -> Traits;

    /// Bytes of memory in all.
    fn total_memory(&self) -> usize;

    /// Makes whatever a model of a storage type may launch ready, all at once; else each kernel is made ready when it is first
    /// launched. `slow` is called once if it takes long.
    fn prepare(&self, storage: DType, slow: &dyn Fn()) -> Result<(), CudaError>;

    /// Bytes of it that nobody has taken.
    fn free_memory(&self) -> Result<usize, CudaError>;

    /// Memory with anything in it; `None` when there is not enough.
    fn allocate(&self, bytes: usize) -> Result<Option<Address>, CudaError>;

    /// Gives memory back, after all that was enqueued.
    ///
    /// # Safety
    /// `address` came from `allocate`, is not freed twice, and nothing enqueued later uses it.
    unsafe fn free(&self, address: Address);

    /// The moment to which everything belongs that is enqueued before the next copy. Only copies after a moment end one, so that
    /// whoever uses memory may ask at any time between two of those.
    fn moment(&self) -> u64;

    /// Copies to the device; `bytes` may change as soon as the call is over.
    ///
    /// # Safety
    /// `bytes.len()` bytes from `to` are in one allocation, and nothing that was enqueued later than `after` touches them.
    unsafe fn write(&self, to: Address, bytes: &[u8], after: After) -> Result<(), CudaError>;

    /// Copies to the host, after all that was enqueued.
    ///
    /// # Safety
    /// `bytes.len()` bytes from `from` are in one allocation.
    unsafe fn read(&self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError>;

    /// Copies inside the device.
    ///
    /// # Safety
    /// `bytes` bytes from each address are in one allocation, and the two ranges have none in common.
    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), CudaError>;

    /// Sets bytes to zero.
    ///
    /// # Safety
    /// The range is in one allocation.
    unsafe fn fill_zero(&self, at: Address, bytes: usize) -> Result<(), CudaError>;

    /// Runs a kernel.
    ///
    /// # Safety
    /// The arguments are those of the kernel in number, order and type, and what they point at on the device is memory of
    /// the size that the kernel reads and writes.
    unsafe fn launch(&self, kernel: Kernel, grid: Grid, arguments: &[Argument]) -> Result<(), CudaError>;

    /// Multiplies matrices.
    ///
    /// # Safety
    /// The three matrices are in allocations of the device and as large as their shapes say, and so is the bias; `out`
    /// overlaps none of them.
    unsafe fn multiply(&self, product: &Product) -> Result<(), CudaError>;

    /// Seconds of a copy of `bytes` zeros from the host's pinned memory, from one wait for the queue to the next; `None` where
    /// there is no such memory.
    ///
    /// # Safety
    /// `bytes` bytes from `to` are in one allocation.
    unsafe fn copy_from_pinned(&self, to: Address, bytes: usize) -> Result<Option<f64>, CudaError>;

    /// Waits for all that was enqueued.
    fn synchronize(&self) -> Result<(), CudaError>;
}
