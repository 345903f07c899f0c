//! The arena: large blocks from the device, parts of them to buffers.
//!
//! A model asks for all its buffers at the start, so the blocks are found then and steps allocate nothing. What a buffer
//! leaves is given to the next one without waiting: everything runs in one queue, so whoever comes next is enqueued behind
//! the last use.

#![allow(unsafe_code)] // frees the device's memory

use super::ranges::Ranges;
use crate::device::{Address, Device};
use crate::error::CudaError;
use std::sync::{Arc, Mutex, PoisonError};

/// Parts begin at multiples of this: what vectorised kernels and cuBLASLt like best.
const ALIGNMENT: usize = 256;
/// The least that is asked of a device at once.
const BLOCK: usize = 64 << 20;

/// The memory of a device.
pub(crate) struct Arena {
    device: Arc<dyn Device>,
    blocks: Mutex<Vec<Block>>,
}

struct Block {
    address: Address,
    len: usize,
    free: Ranges,
}

/// Bytes of the arena, until they are given back.
pub(super) struct Part {
    pub(super) address: Address,
    len: usize,
}

impl Arena {
    pub(crate) fn new(device: Arc<dyn Device>) -> Arena {
        Arena { device, blocks: Mutex::default() }
    }

    pub(crate) fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// Memory for `bytes` bytes with anything in it.
    pub(super) fn take(&self, bytes: usize) -> Result<Part, CudaError> {
        let too_much = |held: usize| CudaError::OutOfMemory { wanted: bytes >> 20, held: held >> 20 };
        // Never nothing, so that every part has a place of its own.
        let Some(len) = bytes.max(1).checked_next_multiple_of(ALIGNMENT) else { return Err(too_much(0)) };
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        for block in blocks.iter_mut() {
            if let Some(offset) = block.free.take(len) {
                return Ok(Part { address: block.address + offset as u64, len });
            }
        }
        for size in [len.max(BLOCK), len] {
            if let Some(address) = self.device.allocate(size)? {
                let mut free = Ranges::new(size);
                let offset = free.take(len).expect("a block holds what it was made for");
                blocks.push(Block { address, len: size, free });
                return Ok(Part { address: address + offset as u64, len });
            }
        }
        Err(too_much(blocks.iter().map(|block| block.len).sum()))
    }

    pub(super) fn give_back(&self, part: &Part) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = |block: &&mut Block| (block.address..block.address + block.len as u64).contains(&part.address);
        if let Some(block) = blocks.iter_mut().find(inside) {
            block.free.give_back((part.address - block.address) as usize, part.len);
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for block in self.blocks.get_mut().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: from `allocate`, freed once; every buffer holds the arena, so none is left.
            unsafe { self.device.free(block.address) };
        }
    }
}
