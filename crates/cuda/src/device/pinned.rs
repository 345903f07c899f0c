//! Pinned memory of the host, which a card reads by itself.

#![allow(unsafe_code)] // calls the driver, owns memory that it gave

use super::card::said;
use crate::error::CudaError;
use cudarc::driver::result;
use std::ptr::NonNull;

/// Pinned bytes, given back at the end.
pub(super) struct Pinned {
    memory: NonNull<u8>,
    len: usize,
}

impl Pinned {
    /// `len` zeros. The context must be current, here and at the end.
    pub(super) fn zeroed(len: usize) -> Result<Pinned, CudaError> {
        // SAFETY: the memory is written before it is read.
        let memory = unsafe { result::malloc_host(len.max(1), 0) }.map_err(said("pinning memory"))?;
        let missing = || CudaError::Driver { call: "pinning memory", reason: "the driver gave none".into() };
        let memory = NonNull::new(memory.cast::<u8>()).ok_or_else(missing)?;
        // SAFETY: as many bytes were asked for.
        unsafe { memory.write_bytes(0, len) };
        Ok(Pinned { memory, len })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes that were written, owned by this value.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: from `malloc_host`, freed once. Nothing can be done about a failure.
        let _ = unsafe { result::free_host(self.memory.as_ptr().cast()) };
    }
}
