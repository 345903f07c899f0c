//! Fetches what the next queries and the next head need, beside exponentials, when memory has nothing else to do.

use super::{Forward, PANEL};
use crate::prefetch;

impl Forward<'_> {
    /// For row `row` of the sequence: its place in the output, the row 32 further on of the queries, and the next head's key and
    /// value.
    #[inline(always)]
    pub(super) fn fetch_ahead(&self, row: usize) {
        if row >= self.head.len {
            return;
        }
        let (heads, head) = (self.shape.heads, self.head.head);
        let next = (head + self.next < heads).then_some(head + self.next);
        for column in (0..self.shape.head_dim).step_by(PANEL) {
            let read = |row, part| {
                let columns = part * self.shape.head_dim + column;
                prefetch::to_read(self.qkv.piece(self.head.first + row, columns..columns).as_ptr());
            };
            prefetch::to_write(self.out.address(self.head.first + row, head * self.shape.head_dim + column));
            if row + PANEL < self.head.len {
                read(row + PANEL, head);
            } else if let Some(next) = next {
                read(row % PANEL, next);
            }
            if let Some(next) = next {
                read(row, heads + next);
                read(row, 2 * heads + next);
            }
        }
    }
}
