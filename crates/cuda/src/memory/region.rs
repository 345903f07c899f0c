//! Bytes of the arena, and the copies that stay inside of them.

#![allow(unsafe_code)] // addresses of device memory, checked here

use super::arena::{Arena, Part};
use crate::device::{Address, After};
use crate::error::CudaError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes on the device; they go back to the arena with their owner.
pub(super) struct Region {
    arena: Arc<Arena>,
    part: Part,
    bytes: usize,
    /// The moment of the device at the last use, by whoever had the bytes before at first.
    last_used: AtomicU64,
}

impl Region {
    /// Bytes with anything in them.
    pub(super) fn new(arena: &Arc<Arena>, bytes: usize) -> Result<Region, CudaError> {
        let last_used = AtomicU64::new(arena.device().moment());
        Ok(Region { arena: arena.clone(), part: arena.take(bytes)?, bytes, last_used })
    }

    /// Where the first byte is, for whoever accesses `bytes` of them at most. Panics if there are fewer: a bug of the caller.
    pub(super) fn at(&self, bytes: usize) -> Address {
        self.use_now();
        self.check(0, bytes)
    }

    fn use_now(&self) {
        self.last_used.store(self.arena.device().moment(), Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn check(&self, offset: usize, bytes: usize) -> Address {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        assert!(inside, "{bytes} bytes from {offset} of {} in a buffer", self.bytes);
        self.part.address + offset as u64
    }

    /// Replaces bytes from `offset` on, beside work that does not touch the region. Not while an op is half enqueued: what it
    /// will still enqueue would count as later than its use of other memory.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        let last_used = *self.last_used.get_mut();
        self.copy(offset, bytes, After::Moment(last_used))
    }

    /// The same after everything that was enqueued, at any time.
    pub(super) fn write_in_turn(&mut self, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        self.copy(offset, bytes, After::Everything)
    }

    fn copy(&mut self, offset: usize, bytes: &[u8], after: After) -> Result<(), CudaError> {
        let to = self.check(offset, bytes.len());
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `check` saw that the bytes are in the region, and `at` remembers when they are used.
        unsafe { self.arena.device().write(to, bytes, after) }
    }

    /// Copies bytes from `offset` on to the host, after all that was enqueued.
    pub(super) fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), CudaError> {
        let from = self.check(offset, bytes.len());
        if bytes.is_empty() {
            return self.arena.device().synchronize();
        }
        // SAFETY: as in `copy`.
        unsafe { self.arena.device().read(from, bytes) }
    }

    /// Fills all of it with zeros of the host's pinned memory, for the time that it takes.
    pub(super) fn copy_from_pinned(&mut self) -> Result<Option<f64>, CudaError> {
        let to = self.check(0, self.bytes);
        // SAFETY: as in `write`.
        unsafe { self.arena.device().copy_from_pinned(to, self.bytes) }
    }

    /// Replaces bytes from `offset` on by those of another region.
    pub(super) fn copy_from(
        &mut self,
        offset: usize,
        from: &Region,
        from_offset: usize,
        bytes: usize,
    ) -> Result<(), CudaError> {
        let (target, source) = (self.check(offset, bytes), from.check(from_offset, bytes));
        if bytes == 0 {
            return Ok(());
        }
        self.use_now();
        from.use_now();
        // SAFETY: as in `copy`, for both; two regions have no byte in common.
        unsafe { self.arena.device().copy(source, target, bytes) }
    }

    /// Sets the first bytes to zero.
    pub(super) fn fill_zero(&mut self, bytes: usize) -> Result<(), CudaError> {
        let at = self.check(0, bytes);
        if bytes == 0 {
            return Ok(());
        }
        self.use_now();
        // SAFETY: as in `copy`.
        unsafe { self.arena.device().fill_zero(at, bytes) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.arena.give_back(&self.part);
    }
}
