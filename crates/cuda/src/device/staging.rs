//! Copies to the card through pinned memory.
//!
//! From other memory the driver may copy when the caller's bytes are gone already, or wait for the whole stream: which of
//! both depends on the machine. So bytes are copied into one of two pinned halves first, and the card fetches them from
//! there while the host goes on. A half is filled again once the card has fetched what was in it.

#![allow(unsafe_code)] // calls the driver, writes to memory that it gave

use super::Address;
use super::card::said;
use crate::error::CudaError;
use cudarc::driver::result;
use cudarc::driver::sys::{CUevent, CUevent_flags, CUstream};
use std::ptr::NonNull;

/// Bytes of a half: a batch's indices many times over, and large copies in few parts.
const HALF: usize = 8 << 20;

/// Two pinned halves, of which one is being filled. Never freed: it lives as long as its card.
pub(super) struct Staging {
    halves: [Half; 2],
    filling: usize,
}

struct Half {
    memory: NonNull<u8>,
    used: usize,
    /// What was enqueued when the half was left.
    left: CUevent,
}

// SAFETY: the memory and the events belong to this value alone and may be used from any thread.
unsafe impl Send for Staging {}

impl Staging {
    /// The context must be current.
    pub(super) fn new() -> Result<Staging, CudaError> {
        Ok(Staging { halves: [Half::new()?, Half::new()?], filling: 0 })
    }

    /// Enqueues a copy; the bytes may change at once.
    ///
    /// # Safety
    /// The context is current, `bytes.len()` bytes from `to` are in one allocation, and all calls give the same stream.
    pub(super) unsafe fn write(&mut self, to: Address, bytes: &[u8], stream: CUstream) -> Result<(), CudaError> {
        let mut to = to;
        for part in bytes.chunks(HALF) {
            if self.halves[self.filling].used + part.len() > HALF {
                self.turn(stream)?;
            }
            let half = &mut self.halves[self.filling];
            // SAFETY: `used + part.len()` is at most HALF, and the card has fetched what was here before, or nothing was.
            let staged = unsafe {
                let place = half.memory.add(half.used).as_ptr();
                place.copy_from_nonoverlapping(part.as_ptr(), part.len());
                std::slice::from_raw_parts(place, part.len())
            };
            half.used += part.len();
            // SAFETY: the caller's; `staged` is not written to before an event says that it was fetched.
            unsafe { result::memcpy_htod_async(to, staged, stream) }.map_err(said("copying to the card"))?;
            to += part.len() as u64;
        }
        Ok(())
    }

    /// Goes on with the other half, once it is free.
    fn turn(&mut self, stream: CUstream) -> Result<(), CudaError> {
        // SAFETY: events and stream live as long as the card. An event that was never recorded has nothing to wait for.
        unsafe {
            result::event::record(self.halves[self.filling].left, stream).map_err(said("marking a copy"))?;
            self.filling = 1 - self.filling;
            result::event::synchronize(self.halves[self.filling].left).map_err(said("waiting for a copy"))?;
        }
        self.halves[self.filling].used = 0;
        Ok(())
    }
}

impl Half {
    fn new() -> Result<Half, CudaError> {
        // SAFETY: the memory is written before it is read.
        let memory = unsafe { result::malloc_host(HALF, 0) }.map_err(said("pinning memory"))?;
        let memory = NonNull::new(memory.cast());
        let missing = || CudaError::Driver { call: "pinning memory", reason: "the driver gave none".into() };
        let left = result::event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(said("making an event"))?;
        Ok(Half { memory: memory.ok_or_else(missing)?, used: 0, left })
    }
}
