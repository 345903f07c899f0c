//! How rows and elements are divided among tasks, and memory that a thread keeps for them.
//!
//! Blocks depend on the shape alone, never on the number of threads: sums over blocks are then always the same.

use crate::Cpu;
use std::cell::RefCell;
use std::ops::Range;

/// Elements of a task: some microseconds of work, well above the hand-over to a thread.
pub(super) const BLOCK_ELEMENTS: usize = 32 * 1024;

/// Rows of a block of rows of `width`.
pub(super) fn rows_per_block(width: usize) -> usize {
    (BLOCK_ELEMENTS / width.max(1)).max(1)
}

/// Calls `body` with each block of the rows, on all threads.
pub(super) fn for_row_blocks(cpu: &Cpu, rows: usize, width: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    for_blocks(cpu, rows, rows_per_block(width), body);
}

/// Calls `body` with each block of `0..len` elements, on all threads.
pub(super) fn for_element_blocks(cpu: &Cpu, len: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    for_blocks(cpu, len, BLOCK_ELEMENTS, body);
}

/// Calls `body` with `0..len` in ranges of `block`, on all threads.
pub(super) fn for_blocks(cpu: &Cpu, len: usize, block: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    cpu.threads.run(len.div_ceil(block), &|task| body(task * block..len.min((task + 1) * block)));
}

thread_local! {
    static ROW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PARTIAL_SUMS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `body` with this thread's scratch row, of unspecified content. Allocates when wider than any before.
pub(super) fn with_scratch_row<R>(width: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    ROW.with_borrow_mut(|row| body(grown(row, width)))
}

/// Calls `body` with this thread's room for partial sums, of unspecified content. Allocates when more than any before.
pub(super) fn with_partial_sums<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    PARTIAL_SUMS.with_borrow_mut(|sums| body(grown(sums, len)))
}

fn grown(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if values.len() < len {
        values.resize(len, 0.0);
    }
    &mut values[..len]
}
