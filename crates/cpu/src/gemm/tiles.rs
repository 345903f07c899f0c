//! The one layout of operands: panels of 32 rows, cut along the depth into chunks of two 16×16 tiles of units.
//!
//! Every product is `C = L Rᵀ` with L `[rows, depth]` and R `[columns, depth]`. A unit is what a 32-bit lane multiplies at
//! once: one number, or for dot-product instructions a pair of bf16 that are neighbours along the depth. A left tile is
//! `[16 rows][16 units]` (an AMX A tile; rows of 64 bytes to broadcast from), a right tile its transpose `[16 units][16
//! columns]` (an AMX B tile, "VNNI"; vectors of 16 columns). Rows and depth beyond the matrix are zeros, so kernels know
//! no edges.

use crate::simd::Storage;
use half::bf16;
use std::marker::PhantomData;

/// Rows of a panel, and so rows and columns of a block of C.
pub(crate) const PANEL: usize = 32;
/// Rows, and units along the depth, of a tile.
pub(crate) const TILE: usize = 16;

/// What the units of a panel are.
pub(crate) trait Layout: Send + Sync + 'static {
    /// The type stored.
    type Element: Storage;
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

impl<T: Storage> Layout for Singles<T> {
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
    /// Whether the storage is `[depth, rows]`.
    pub(super) transposed: bool,
}

impl<'a, T> View<'a, T> {
    /// The row-major matrix `[rows, depth]` at the start of `values`.
    pub(super) fn of(values: &'a [T], rows: usize, depth: usize) -> View<'a, T> {
        View { values: &values[..rows * depth], rows, depth, transposed: false }
    }

    /// The transpose of the row-major matrix `[depth, rows]` at the start of `values`.
    pub(super) fn transposed(values: &'a [T], depth: usize, rows: usize) -> View<'a, T> {
        View { values: &values[..rows * depth], rows, depth, transposed: true }
    }

    /// The rows of storage from `start` on, `count` of them, of a transposed matrix: a part of its depth.
    pub(super) fn part_of_depth(self, start: usize, count: usize) -> View<'a, T> {
        assert!(self.transposed);
        View { values: &self.values[start * self.rows..][..count * self.rows], depth: count, ..self }
    }

    /// At most `most` elements of line number `line` of the storage from `first` on; none beyond the matrix.
    #[inline(always)]
    pub(super) fn line(&self, line: usize, first: usize, most: usize) -> &'a [T] {
        let (lines, len) = if self.transposed { (self.depth, self.rows) } else { (self.rows, self.depth) };
        if line >= lines || first >= len {
            return &[];
        }
        &self.values[line * len + first..][..most.min(len - first)]
    }
}
