//! Memory between the kernels of one op.

use super::arena::Arena;
use super::region::Region;
use crate::device::Address;
use crate::error::CudaError;
use std::sync::Arc;

/// Grows to the most that was ever asked for. What is enqueued next may overwrite it.
pub(crate) struct Scratch {
    arena: Arc<Arena>,
    region: Option<Region>,
}

impl Scratch {
    pub(crate) fn new(arena: &Arc<Arena>) -> Scratch {
        Scratch { arena: arena.clone(), region: None }
    }

    /// Room for `bytes` bytes with anything in them.
    pub(crate) fn room(&mut self, bytes: usize) -> Result<Address, CudaError> {
        Ok(self.region(bytes)?.at(bytes))
    }

    /// Room for `bytes` bytes that begins with `values`.
    pub(crate) fn holding(&mut self, values: &[u8], bytes: usize) -> Result<Address, CudaError> {
        let region = self.region(bytes)?;
        region.write_in_turn(0, values)?;
        Ok(region.at(bytes))
    }

    /// Copies from `offset` on to the host.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), CudaError> {
        self.region.as_ref().expect("read after room was made").read(offset, bytes)
    }

    fn region(&mut self, bytes: usize) -> Result<&mut Region, CudaError> {
        if self.region.as_ref().is_none_or(|region| region.bytes() < bytes) {
            // The old one first: what is enqueued for it comes before what will be.
            self.region = None;
            self.region = Some(Region::new(&self.arena, bytes)?);
        }
        Ok(self.region.as_mut().expect("just made"))
    }
}
