//! The one layout of operands: panels of 32 rows, cut along the depth into chunks of two 16×16 tiles of units.
//!
//! Every product is `C = L Rᵀ` with L `[rows, depth]` and R `[columns, depth]`. A unit is what a 32-bit lane multiplies at
//! once: one number, or for dot-product instructions a pair of bf16 that are neighbours along the depth. A left tile is
//! `[16 rows][16 units]` (an AMX A tile; rows of 64 bytes to broadcast from), a right tile its transpose `[16 units][16
//! columns]` (an AMX B tile, "VNNI"; vectors of 16 columns). Rows and depth beyond the matrix are zeros, so kernels know
//! no edges.

use half::bf16;
use serin_tensor::Element;
use std::marker::PhantomData;

/// Rows of a panel, and so rows and columns of a block of C.
pub(crate) const PANEL: usize = 32;
/// Rows, and units along the depth, of a tile.
pub(crate) const TILE: usize = 16;

/// What the units of a panel are.
pub(crate) trait Layout: Send + Sync + 'static {
    /// The type stored.
    type Element: Element;
    /// Elements of a unit.
    const PER_UNIT: usize;
    /// Depth of a chunk.
    const DEPTH: usize = TILE * Self::PER_UNIT;
    /// Elements of a panel's chunk.
    const CHUNK: usize = PANEL * Self::DEPTH;
}

/// Units that are pairs of bf16.
pub(crate) struct Pairs;

/// Units that are single numbers, widened to f32 when used.
pub(super) struct Singles<T>(PhantomData<T>);

impl Layout for Pairs {
    type Element = bf16;
    const PER_UNIT: usize = 2;
}

impl<T: Element> Layout for Singles<T> {
    type Element = T;
    const PER_UNIT: usize = 1;
}

/// Chunks that cover a depth.
pub(super) fn chunks<L: Layout>(depth: usize) -> usize {
    depth.div_ceil(L::DEPTH)
}

/// A matrix `[rows, depth]` over row-major storage, itself or transposed.
#[derive(Clone, Copy)]
pub(super) struct View<'a, T> {
    values: &'a [T],
    pub(super) rows: usize,
    pub(super) depth: usize,
    row_stride: usize,
    depth_stride: usize,
}

impl<'a, T: Element> View<'a, T> {
    /// The row-major matrix `[rows, depth]` at the start of `values`.
    pub(super) fn of(values: &'a [T], rows: usize, depth: usize) -> View<'a, T> {
        View { values: &values[..rows * depth], rows, depth, row_stride: depth, depth_stride: 1 }
    }

    /// The transpose of the row-major matrix `[depth, rows]` at the start of `values`.
    pub(super) fn transposed(values: &'a [T], depth: usize, rows: usize) -> View<'a, T> {
        View { values: &values[..rows * depth], rows, depth, row_stride: 1, depth_stride: rows }
    }

    /// The part of the depth from `start` on, `depth` long.
    pub(super) fn along_depth(self, start: usize, depth: usize) -> View<'a, T> {
        assert!(start + depth <= self.depth);
        View { values: &self.values[start * self.depth_stride..], depth, ..self }
    }

    fn get(&self, row: usize, at: usize) -> f32 {
        if row < self.rows && at < self.depth {
            self.values[row * self.row_stride + at * self.depth_stride].to_f32()
        } else {
            0.0
        }
    }
}

/// Which operand a panel is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Lays out the 32 rows from `first_row` on, over the whole depth of `matrix`.
pub(super) fn pack_panel<L: Layout, T: Element>(
    matrix: View<'_, T>,
    first_row: usize,
    side: Side,
    panel: &mut [L::Element],
) {
    let tiles = panel.chunks_exact_mut(L::CHUNK / 2).enumerate();
    for (index, tile) in tiles.take(2 * chunks::<L>(matrix.depth)) {
        let row = first_row + index % 2 * TILE;
        pack_tile::<L, T>(&matrix, row, index / 2 * L::DEPTH, side, tile);
    }
}

fn pack_tile<L: Layout, T: Element>(
    matrix: &View<'_, T>,
    first_row: usize,
    first_depth: usize,
    side: Side,
    tile: &mut [L::Element],
) {
    for row in 0..TILE {
        for unit in 0..TILE {
            let place = if side == Side::Left { row * TILE + unit } else { unit * TILE + row };
            for part in 0..L::PER_UNIT {
                let value = matrix.get(first_row + row, first_depth + unit * L::PER_UNIT + part);
                tile[place * L::PER_UNIT + part] = L::Element::from_f32(value);
            }
        }
    }
}
