//! Where the heads of packed sequences lie in memory, and how they become tasks.

use crate::Cpu;
use serin_ops::AttentionShape;
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
