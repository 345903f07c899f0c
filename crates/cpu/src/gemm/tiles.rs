//! The one layout of operands: panels of 32 rows, cut along the depth into chunks of two 16×16 tiles of units.
//!
//! Every product is `C = L Rᵀ` with L `[rows, depth]` and R `[columns, depth]`. A unit is what a 32-bit lane multiplies at
//! once: one number, or for dot-product instructions a pair of bf16 that are neighbours along the depth. A left tile is
//! `[16 rows][16 units]` (an AMX A tile; rows of 64 bytes to broadcast from), a right tile its transpose `[16 units][16
//! columns]` (an AMX B tile, "VNNI"; vectors of 16 columns). Rows and depth beyond the matrix are zeros, so kernels know
//! no edges.

use crate::matrix::Matrix;
use crate::simd::Storage;
use half::bf16;
use serin_tensor::Element;
use std::marker::PhantomData;

/// Rows of a panel, and so rows and columns of a block of C.
pub(crate) const PANEL: usize = serin_tensor::BLOCK;
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

/// A matrix `[rows, depth]` over storage, itself or transposed.
#[derive(Clone, Copy)]
pub(super) struct View<'a, T> {
    storage: Matrix<'a, T>,
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// Whether the storage is `[depth, rows]`.
    pub(super) transposed: bool,
}

impl<'a, T> View<'a, T> {
    /// Storage of `rows` rows.
    pub(super) fn of(storage: Matrix<'a, T>, rows: usize) -> View<'a, T> {
        View { rows, depth: storage.order().width(), storage, transposed: false }
    }

    /// The transpose of storage of `depth` rows.
    pub(super) fn transposed(storage: Matrix<'a, T>, depth: usize) -> View<'a, T> {
        View { rows: storage.order().width(), depth, storage, transposed: true }
    }

    /// The rows of storage from `start` on, a multiple of 32, `count` of them, of a transposed matrix: a part of its depth.
    pub(super) fn part_of_depth(self, start: usize, count: usize) -> View<'a, T> {
        assert!(self.transposed && start + count <= self.depth);
        View { storage: self.storage.starting_at(start), depth: count, ..self }
    }

    /// Elements of storage from one piece of a line to the next.
    #[cfg(target_arch = "x86_64")] // only packing of pairs asks
    pub(super) fn piece_step(&self) -> usize {
        self.storage.order().at(0, PANEL.min(self.storage.order().width()))
    }

    /// Whether the storage is in blocks.
    pub(super) fn is_blocks(&self) -> bool {
        self.storage.order().is_blocks()
    }

    /// At most `most` elements of line number `line` of the storage from `first` on, which lie in one piece; none beyond the
    /// matrix.
    #[inline(always)]
    pub(super) fn line(&self, line: usize, first: usize, most: usize) -> &'a [T] {
        let (lines, len) = if self.transposed { (self.depth, self.rows) } else { (self.rows, self.depth) };
        if line >= lines || first >= len {
            return &[];
        }
        self.storage.piece(line, first..first + most.min(len - first))
    }

    /// Left panels, where storage in blocks is just that: all rows' panels, one after the other.
    pub(super) fn as_left_panels<L: Layout>(&self) -> Option<&'a [L::Element]>
    where
        T: Storage,
    {
        let same = L::PER_UNIT == Pairs::PER_UNIT && T::DTYPE == L::Element::DTYPE;
        let elements = (same && self.is_blocks() && !self.transposed).then(|| self.storage.elements())?;
        // SAFETY: both types are the one of the same `DTYPE`, of plain numbers.
        Some(unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) })
    }
}
