//! Working memory that each thread keeps between tasks.

use serin_tensor::{AlignedBuffer, DType, Element};
use std::cell::RefCell;

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::new(Memory { buffer: AlignedBuffer::zeroed(DType::F32, 0) });
}

struct Memory {
    buffer: AlignedBuffer,
}

/// Calls `body` with `len` f32 of this thread's memory, aligned to 64 bytes, holding anything. Grows, never shrinks.
pub(super) fn with<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    MEMORY.with_borrow_mut(|memory| {
        if memory.buffer.len() < len {
            memory.buffer = AlignedBuffer::zeroed(DType::F32, len.next_power_of_two());
        }
        body(&mut memory.buffer.as_mut_slice::<f32>()[..len])
    })
}

/// Cuts the first `len` elements off `memory`.
pub(super) fn cut<'a, T: Element>(memory: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (part, rest) = std::mem::take(memory).split_at_mut(len);
    *memory = rest;
    part
}
