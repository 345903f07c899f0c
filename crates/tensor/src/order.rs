//! The order in which a matrix lies in memory: row after row, or block after block.

use std::ops::Range;

/// Rows and columns of a block.
pub const BLOCK: usize = 32;

/// Where the elements of a matrix of a width lie.
///
/// Rows come in groups of 32, of which each takes `32 * width` elements. *Row-major*, a group holds its rows one after
/// the other. *In blocks*, it holds blocks of 32 rows by 32 columns from left to right, each block row-major: what a
/// product reads and writes at once is then one piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    width: usize,
    /// From a row to the next of its group.
    row_step: usize,
    /// From 32 columns to the next 32.
    block_step: usize,
}

impl Order {
    /// Row-major.
    pub const fn rows(width: usize) -> Order {
        Order { width, row_step: width, block_step: BLOCK }
    }

    /// In blocks. Panics unless the width is whole blocks.
    pub const fn blocks(width: usize) -> Order {
        assert!(width.is_multiple_of(BLOCK), "a width of whole blocks");
        Order { width, row_step: BLOCK, block_step: BLOCK * BLOCK }
    }

    /// Whether the matrix is in blocks.
    pub const fn is_blocks(self) -> bool {
        self.block_step != BLOCK
    }

    /// Columns of the matrix.
    pub const fn width(self) -> usize {
        self.width
    }

    /// Elements of memory that so many rows take: whole groups when in blocks.
    pub const fn len(self, rows: usize) -> usize {
        if self.is_blocks() { rows.next_multiple_of(BLOCK) * self.width } else { rows * self.width }
    }

    /// The place of an element.
    #[inline(always)]
    pub const fn at(self, row: usize, column: usize) -> usize {
        row / BLOCK * (BLOCK * self.width)
            + row % BLOCK * self.row_step
            + column / BLOCK * self.block_step
            + column % BLOCK
    }

    /// How many columns of a row, from `column` on, lie one after the other.
    #[inline(always)]
    pub const fn run(self, column: usize) -> usize {
        if self.is_blocks() { BLOCK - column % BLOCK } else { self.width - column }
    }

    /// `columns` cut into parts that each lie in one piece.
    #[inline(always)]
    pub fn pieces(self, columns: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let mut next = columns.start;
        std::iter::from_fn(move || {
            let start = next;
            next = columns.end.min(start + self.run(start.min(columns.end)));
            (start < columns.end).then_some(start..next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_a_place_of_its_own() {
        for (order, rows) in
            [(Order::rows(7), 40), (Order::rows(64), 33), (Order::blocks(96), 1), (Order::blocks(64), 70)]
        {
            let mut seen = vec![false; order.len(rows)];
            for (row, column) in (0..rows).flat_map(|row| (0..order.width()).map(move |column| (row, column))) {
                assert!(!std::mem::replace(&mut seen[order.at(row, column)], true));
            }
        }
        assert_eq!(Order::rows(7).at(35, 6), 35 * 7 + 6);
        assert_eq!(Order::blocks(96).at(33, 65), 32 * 96 + 2 * 32 * 32 + 32 + 1);
    }

    #[test]
    fn pieces_cover_the_columns_and_lie_in_one_piece() {
        for order in [Order::rows(96), Order::blocks(96)] {
            for columns in [0..96, 0..0, 5..6, 10..50, 31..33, 64..96, 96..96] {
                let mut next = columns.start;
                for piece in order.pieces(columns.clone()) {
                    assert_eq!((piece.start, piece.is_empty()), (next, false));
                    next = piece.end;
                    for row in [0, 45] {
                        assert_eq!(order.at(row, piece.end - 1) - order.at(row, piece.start), piece.len() - 1);
                    }
                }
                assert_eq!(next, columns.end);
            }
        }
    }
}
