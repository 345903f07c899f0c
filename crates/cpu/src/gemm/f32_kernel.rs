//! f32 blocks on vectors of any width: operands stored as f32, bf16 or f16, multiplied and summed in f32.

use super::kernel::{BLOCK, Beside, BlockKernel};
use super::tiles::{PANEL, Singles, TILE};
use crate::simd::{Simd, Storage};
use std::marker::PhantomData;
use std::ops::Range;

/// Vectors of columns whose sums are in registers at once.
const VECTORS: usize = 2;
/// Chunks of a right panel that stay in the L1 cache while all rows meet them: 16 KiB of f32.
const CHUNKS_AT_ONCE: usize = 8;

/// The vectors that the rest of a product is compiled for; right panels stored as `T`.
pub(super) struct Vectors<T>(PhantomData<T>);

impl<T> Vectors<T> {
    pub(super) const NEW: Vectors<T> = Vectors(PhantomData);
}

impl<T> Clone for Vectors<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Vectors<T> {}

impl<T: Storage> BlockKernel for Vectors<T> {
    type Left = Singles<f32>;
    type Right = Singles<T>;
    type Session = ();

    #[cfg(test)]
    fn level(self, isa: crate::isa::Isa) -> crate::isa::IsaLevel {
        isa.best().min(crate::isa::IsaLevel::Avx512)
    }

    fn begin(self) {}

    #[inline(always)]
    unsafe fn block_beside<S: Simd>(
        self,
        simd: S,
        left: *const f32,
        right: *const T,
        chunks: usize,
        c: &mut [f32; BLOCK],
        accumulate: bool,
        beside: &mut impl Beside,
    ) {
        let mut block = Block { left, right, chunks, c, accumulate, beside };
        // Sums are 16 vectors where there are 32 registers, else 8 where there are 16.
        match S::LANES {
            8 => block.parts::<S, 4>(simd),
            _ => block.parts::<S, 8>(simd),
        }
    }
}

/// One block; the panels hold `chunks` chunks.
struct Block<'a, T, B> {
    left: *const f32,
    right: *const T,
    chunks: usize,
    c: &'a mut [f32; BLOCK],
    accumulate: bool,
    beside: &'a mut B,
}

impl<T: Storage, B: Beside> Block<'_, T, B> {
    /// Part after part of the depth, each with all rows while it is in the L1 cache.
    #[inline(always)]
    fn parts<S: Simd, const ROWS: usize>(&mut self, simd: S) {
        let groups = groups::<S>(ROWS);
        if self.chunks == 0 && !self.accumulate {
            self.c.fill(0.0);
        }
        for first in (0..self.chunks).step_by(CHUNKS_AT_ONCE) {
            let end = self.chunks.min(first + CHUNKS_AT_ONCE);
            let part = end - first;
            for group in 0..groups {
                let (row, column) = (group * ROWS % PANEL, group * ROWS / PANEL * VECTORS * S::LANES);
                self.group::<S, ROWS>(simd, row, column, first..end);
                // A share for each chunk, spread over the groups.
                for _ in group * part / groups..(group + 1) * part / groups {
                    self.beside.advance();
                }
            }
        }
    }

    /// `ROWS` rows and `VECTORS` vectors of columns from `(row, column)` on, over some chunks.
    #[inline(always)]
    fn group<S: Simd, const ROWS: usize>(&mut self, simd: S, row: usize, column: usize, chunks: Range<usize>) {
        let c = self.c[row * PANEL + column..].as_mut_ptr();
        let mut sums = [[simd.zero(); VECTORS]; ROWS];
        // SAFETY: `ROWS` divides 32 and `VECTORS * LANES` is 8, 16 or 32, so the group lies inside the block. The caller of
        // `BlockKernel::block_beside` gives `chunks` chunks, `[2 tiles][16 rows][16 units]` left, `[2][16 units][16 columns]` right.
        unsafe {
            if self.accumulate || chunks.start > 0 {
                for (row, sums) in sums.iter_mut().enumerate() {
                    *sums = std::array::from_fn(|vector| simd.load(c.add(row * PANEL + vector * S::LANES)));
                }
            }
            let mut left = self.left.add(chunks.start * PANEL * TILE + row * TILE);
            let mut right = self.right.add(chunks.start * PANEL * TILE);
            let places: [usize; VECTORS] = std::array::from_fn(|vector| place_of_column(column + vector * S::LANES));
            for _ in chunks {
                for unit in 0..TILE {
                    let columns = places.map(|place| T::load(simd, right.add(place + unit * TILE)));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let factor = simd.splat(*left.add(row * TILE + unit));
                        for (sum, column) in sums.iter_mut().zip(columns) {
                            *sum = simd.fma(factor, column, *sum);
                        }
                    }
                }
                left = left.add(PANEL * TILE);
                right = right.add(PANEL * TILE);
                self.beside.fetch(groups::<S>(ROWS));
            }
            for (row, sums) in sums.iter().enumerate() {
                for (vector, &sum) in sums.iter().enumerate() {
                    simd.store(c.add(row * PANEL + vector * S::LANES), sum);
                }
            }
        }
    }
}

/// Groups of `rows` rows by [`VECTORS`] vectors of columns in a block.
const fn groups<S: Simd>(rows: usize) -> usize {
    PANEL / rows * (PANEL / (VECTORS * S::LANES))
}

/// Where a column's first unit is in a chunk of a right panel.
#[inline(always)]
fn place_of_column(column: usize) -> usize {
    column / TILE * TILE * TILE + column % TILE
}
