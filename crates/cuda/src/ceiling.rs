//! What a card's memory and its bus can do at most, measured with kernels and copies that do nothing else: a part of the
//! yardstick of `serin bench`.
//!
//! Each function does its work once, waits before and after, and says how fast it went; call it several times, the first time
//! without counting (kernels are compiled then).

use crate::Cuda;
use crate::launch::memory_speed::{self, threads};
use crate::memory::Buffer;
use serin_ops::{Backend, DeviceError};
use serin_tensor::DType;
use std::time::Instant;

/// Blocks a processor: together as many threads as one holds.
const BLOCKS: u32 = 8;
/// Words that are written to the card at once.
const WRITTEN: usize = 4 << 20;

impl Cuda {
    /// Bytes of the cache that all processors share.
    pub fn shared_cache(&self) -> usize {
        self.device().traits().shared_cache
    }
}

/// Memory of words, each of which is 1, to be read and copied.
pub struct Reading {
    from: Buffer,
    to: Option<Buffer>,
    sums: Buffer,
    blocks: u32,
}

impl Reading {
    /// Of `bytes` bytes, and as many more if they will be copied.
    ///
    /// # Errors
    /// Whatever the device says, above all that there is not so much memory.
    pub fn new(cuda: &Cuda, bytes: usize, copied: bool) -> Result<Reading, DeviceError> {
        let (blocks, words) = (BLOCKS * cuda.device().traits().processors, bytes / DType::F32.size());
        let mut from = cuda.buffer(DType::F32, words)?;
        let ones = vec![1u32; WRITTEN.min(words)];
        for first in (0..words).step_by(WRITTEN) {
            cuda.write_bytes(&mut from, first, bytemuck::cast_slice(&ones[..WRITTEN.min(words - first)]));
        }
        let to = if copied { Some(cuda.buffer(DType::F32, words)?) } else { None };
        Ok(Reading { from, to, sums: cuda.buffer(DType::F32, threads(blocks))?, blocks })
    }

    /// Bytes/s of `passes` readings.
    ///
    /// # Errors
    /// As [`Reading::new`].
    pub fn read(&mut self, cuda: &Cuda, passes: u32) -> Result<f64, DeviceError> {
        let bytes = f64::from(passes) * self.bytes();
        let Reading { from, sums, blocks, .. } = self;
        timed(cuda, bytes, || cuda.enqueue(|device| memory_speed::read(device, from, passes, *blocks, sums)))
    }

    /// Bytes/s of a copy, counted where they are read and where they are written, which is read from then on; `None` where
    /// there is no room for it.
    ///
    /// # Errors
    /// As [`Reading::new`].
    pub fn copy(&mut self, cuda: &Cuda) -> Result<Option<f64>, DeviceError> {
        let bytes = 2.0 * self.bytes();
        let Reading { from, to, blocks, .. } = self;
        let Some(to) = to else { return Ok(None) };
        let speed = timed(cuda, bytes, || cuda.enqueue(|device| memory_speed::copy(device, from, *blocks, to)))?;
        std::mem::swap(from, to);
        Ok(Some(speed))
    }

    /// How many words the last [`Reading::read`] went through, by their sum.
    ///
    /// # Errors
    /// As [`Reading::new`].
    pub fn words_read(&self, cuda: &Cuda) -> Result<u64, DeviceError> {
        let mut sums = vec![0u32; self.sums.len()];
        cuda.read_bytes(&self.sums, 0, bytemuck::cast_slice_mut(&mut sums))?;
        Ok(sums.into_iter().map(u64::from).sum())
    }

    fn bytes(&self) -> f64 {
        (self.from.len() * DType::F32.size()) as f64
    }
}

/// Bytes/s of a copy of `bytes` bytes from pinned memory of the host to the card; `None` on a device that has no such memory.
///
/// # Errors
/// Whatever the device says.
pub fn pinned_copy(cuda: &Cuda, bytes: usize) -> Result<Option<f64>, DeviceError> {
    let mut buffer = cuda.buffer(DType::F32, bytes / DType::F32.size())?;
    let bytes = buffer.len() * DType::F32.size();
    let seconds = cuda.answer(buffer.copy_from_pinned())?;
    Ok(seconds.map(|seconds| bytes as f64 / seconds.max(f64::MIN_POSITIVE)))
}

/// `amount` a second of what `run` enqueues.
fn timed(cuda: &Cuda, amount: f64, run: impl FnOnce()) -> Result<f64, DeviceError> {
    cuda.synchronize()?;
    let started = Instant::now();
    run();
    cuda.synchronize()?;
    Ok(amount / started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE))
}
