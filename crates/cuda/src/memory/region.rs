//! Bytes of the arena, and the copies that stay inside of them.

#![allow(unsafe_code)] // addresses of device memory, checked here

use super::arena::{Arena, Part};
use crate::device::Address;
use crate::error::CudaError;
use std::sync::Arc;

/// Bytes on the device; they go back to the arena with their owner.
pub(super) struct Region {
    arena: Arc<Arena>,
    part: Part,
    bytes: usize,
}

impl Region {
    /// Bytes with anything in them.
    pub(super) fn new(arena: &Arc<Arena>, bytes: usize) -> Result<Region, CudaError> {
        Ok(Region { arena: arena.clone(), part: arena.take(bytes)?, bytes })
    }

    /// Where the first byte is, for whoever accesses `bytes` of them at most. Panics if there are fewer: a bug of the caller.
    pub(super) fn at(&self, bytes: usize) -> Address {
        self.check(0, bytes)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn check(&self, offset: usize, bytes: usize) -> Address {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        assert!(inside, "{bytes} bytes from {offset} of {} in a buffer", self.bytes);
        self.part.address + offset as u64
    }

    /// Replaces bytes from `offset` on.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), CudaError> {
        let to = self.check(offset, bytes.len());
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `check` saw that the bytes are in the region.
        unsafe { self.arena.device().write(to, bytes) }
    }

    /// Copies bytes from `offset` on to the host, after all that was enqueued.
    pub(super) fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), CudaError> {
        let from = self.check(offset, bytes.len());
        if bytes.is_empty() {
            return self.arena.device().synchronize();
        }
        // SAFETY: as in `write`.
        unsafe { self.arena.device().read(from, bytes) }
    }

    /// Sets the first bytes to zero.
    pub(super) fn fill_zero(&mut self, bytes: usize) -> Result<(), CudaError> {
        let at = self.check(0, bytes);
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: as in `write`.
        unsafe { self.arena.device().fill_zero(at, bytes) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.arena.give_back(&self.part);
    }
}
