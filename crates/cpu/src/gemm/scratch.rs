//! Working memory that each thread keeps from call to call: it grows once and is then reused.

use serin_tensor::{AlignedBuffer, DType, Element};
use std::cell::RefCell;

/// What a piece of working memory is for; a thread holds at most one of each at a time without allocating.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Left panels of a task.
    Left,
    /// Right panels that all tasks of a call share.
    SharedRight,
    /// Blocks of C.
    Sums,
}

thread_local! {
    static KEPT: RefCell<[Option<AlignedBuffer>; 3]> = const { RefCell::new([const { None }; 3]) };
}

/// Calls `body` with `len` elements of unspecified value, aligned to 64 bytes.
pub(super) fn with<T: Element, R>(purpose: Purpose, len: usize, body: impl FnOnce(&mut [T]) -> R) -> R {
    let bytes = len * size_of::<T>();
    let slot = purpose as usize;
    let kept = KEPT.with_borrow_mut(|kept| kept[slot].take());
    let words = bytes.div_ceil(size_of::<f32>());
    let mut buffer = match kept {
        Some(buffer) if buffer.len() >= words => buffer,
        _ => AlignedBuffer::zeroed(DType::F32, words),
    };
    let start = buffer.as_mut_bytes().as_mut_ptr().cast::<T>();
    // SAFETY: the buffer holds at least `len` initialised elements' bytes, aligned to 64, any bits of which are a valid T,
    // and it is borrowed by this slice alone.
    let result = body(unsafe { std::slice::from_raw_parts_mut(start, len) });
    KEPT.with_borrow_mut(|kept| kept[slot] = Some(buffer));
    result
}
