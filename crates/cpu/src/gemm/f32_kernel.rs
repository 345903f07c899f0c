//! f32 blocks on vectors of any width: operands stored as f32, bf16 or f16, multiplied and summed in f32.

use super::kernel::{BLOCK, Beside, BlockKernel};
use super::tiles::{PANEL, Singles, TILE};
use crate::isa::Isa;
use crate::simd::{self, Simd, Storage};
use std::marker::PhantomData;

/// Vectors of columns whose sums are in registers at once.
const VECTORS: usize = 2;

/// The widest vectors of an instruction set; right panels stored as `T`.
pub(super) struct Vectors<T> {
    isa: Isa,
    stored: PhantomData<T>,
}

impl<T> Vectors<T> {
    pub(super) fn of(isa: Isa) -> Vectors<T> {
        Vectors { isa, stored: PhantomData }
    }
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
    fn level(self) -> crate::isa::IsaLevel {
        self.isa.best().min(crate::isa::IsaLevel::Avx512)
    }

    fn begin(self) {}

    #[inline(always)]
    unsafe fn block_beside(
        self,
        left: *const f32,
        right: *const T,
        chunks: usize,
        c: &mut [f32; BLOCK],
        accumulate: bool,
        beside: &mut impl Beside,
    ) {
        for _ in 0..chunks {
            beside.advance();
        }
        simd::dispatch(self.isa, Block { left, right, chunks, c, accumulate });
    }
}

/// One block; the panels hold `chunks` chunks.
struct Block<'a, T> {
    left: *const f32,
    right: *const T,
    chunks: usize,
    c: &'a mut [f32; BLOCK],
    accumulate: bool,
}

impl<T: Storage> simd::Kernel for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        // Sums are 16 vectors where there are 32 registers, else 8 where there are 16.
        match S::LANES {
            8 => self.groups::<S, 4>(simd),
            _ => self.groups::<S, 8>(simd),
        }
    }
}

impl<T: Storage> Block<'_, T> {
    #[inline(always)]
    fn groups<S: Simd, const ROWS: usize>(&mut self, simd: S) {
        for column in (0..PANEL).step_by(VECTORS * S::LANES) {
            for row in (0..PANEL).step_by(ROWS) {
                self.group::<S, ROWS>(simd, row, column);
            }
        }
    }

    /// `ROWS` rows and `VECTORS` vectors of columns from `(row, column)` on.
    #[inline(always)]
    fn group<S: Simd, const ROWS: usize>(&mut self, simd: S, row: usize, column: usize) {
        let c = self.c[row * PANEL + column..].as_mut_ptr();
        let mut sums = [[simd.zero(); VECTORS]; ROWS];
        // SAFETY: `ROWS` divides 32 and `VECTORS * LANES` is 8, 16 or 32, so the group lies inside the block. The caller of
        // `BlockKernel::block` gives `chunks` chunks, `[2 tiles][16 rows][16 units]` left, `[2][16 units][16 columns]` right.
        unsafe {
            if self.accumulate {
                for (row, sums) in sums.iter_mut().enumerate() {
                    *sums = std::array::from_fn(|vector| simd.load(c.add(row * PANEL + vector * S::LANES)));
                }
            }
            let mut left = self.left.add(row * TILE);
            let places: [usize; VECTORS] = std::array::from_fn(|vector| place_of_column(column + vector * S::LANES));
            let mut right = self.right;
            for _ in 0..self.chunks {
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
            }
            for (row, sums) in sums.iter().enumerate() {
                for (vector, &sum) in sums.iter().enumerate() {
                    simd.store(c.add(row * PANEL + vector * S::LANES), sum);
                }
            }
        }
    }
}

/// Where a column's first unit is in a chunk of a right panel.
#[inline(always)]
fn place_of_column(column: usize) -> usize {
    column / TILE * TILE * TILE + column % TILE
}
