//! Where the heads of packed sequences lie in memory, and how they become tasks.

use crate::Cpu;
use serin_ops::AttentionShape;
use std::marker::PhantomData;
use std::ops::Range;

/// One head of one sequence.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// Which sequence.
    pub(super) sequence: usize,
    /// Which head.
    pub(super) head: usize,
    /// The sequence's first row in the batch.
    pub(super) first: usize,
    /// The sequence's length.
    pub(super) len: usize,
}

impl Head {
    /// The row index of this head's first query in the dropout mask, as [`serin_ops::keep`] defines it.
    pub(super) fn mask_row(self, heads: usize) -> u64 {
        ((self.sequence * heads + self.head) as u64) << 32
    }
}

/// The rows of a packed batch.
pub(super) fn rows(offsets: &[u32]) -> usize {
    offsets.last().map_or(0, |&end| end as usize)
}

/// The number of sequences.
pub(super) fn count(offsets: &[u32]) -> usize {
    offsets.len().saturating_sub(1)
}

/// The rows of sequence `index`.
pub(super) fn sequence(offsets: &[u32], index: usize) -> Range<usize> {
    offsets[index] as usize..offsets[index + 1] as usize
}

/// Runs `body` once for every head of every sequence that is not empty, on all threads.
///
/// Heads do not depend on each other, so how many make a task cannot change a result.
pub(super) fn for_each(cpu: &Cpu, offsets: &[u32], shape: AttentionShape, body: &(dyn Fn(Head) + Sync)) {
    let heads = count(offsets) * shape.heads;
    cpu.threads.run(heads, &|task| {
        let (index, head) = (task / shape.heads, task % shape.heads);
        let rows = sequence(offsets, index);
        if !rows.is_empty() {
            body(Head { sequence: index, head, first: rows.start, len: rows.len() });
        }
    });
}

/// A row-major matrix that tasks write disjoint parts of.
pub(super) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    width: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: the only access is `part`, whose callers promise that no element is in two parts at once.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// A matrix with rows of `width` elements.
    pub(super) fn new(values: &'a mut [T], width: usize) -> Shared<'a, T> {
        Shared { start: values.as_mut_ptr(), len: values.len(), width, borrow: PhantomData }
    }

    /// Elements `columns` of row `row`, to write.
    ///
    /// # Safety
    /// While the result lives, no other part with any of these elements may be asked for.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn part(&self, row: usize, columns: Range<usize>) -> &mut [T] {
        assert!(
            columns.end <= self.width && (row * self.width + columns.end) <= self.len && columns.start <= columns.end
        );
        // SAFETY: in bounds by the assertion; exclusive by the caller's promise and the borrow that `self` holds.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.width + columns.start), columns.len()) }
    }
}
