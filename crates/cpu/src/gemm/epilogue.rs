//! What is done to a block of C while it is in the L1 cache: bias, activation, gradients, rounding, storing.

use super::product::{Epilogue, Place, prefetch};
use super::tiles::PANEL;
use crate::simd::{Simd, Storage, activation, activation_derivative, read, write};
use serin_ops::Activation;
use std::marker::PhantomData;

/// A matrix that tasks write disjoint blocks of.
pub(super) struct Output<'a, T> {
    start: *mut T,
    rows: usize,
    columns: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: `row` is only called for disjoint parts by different tasks, which the product guarantees.
unsafe impl<T: Send> Sync for Output<'_, T> {}

impl<'a, T> Output<'a, T> {
    /// The row-major matrix `[rows, columns]` at the start of `values`.
    pub(super) fn of(values: &'a mut [T], rows: usize, columns: usize) -> Output<'a, T> {
        assert!(values.len() >= rows * columns);
        Output { start: values.as_mut_ptr(), rows, columns, borrowed: PhantomData }
    }

    /// Fetches what [`Output::row`] gives.
    #[inline(always)]
    pub(super) fn prefetch_row(&self, place: Place, row: usize) {
        let first = self.start.wrapping_add((place.row + row) * self.columns + place.column);
        prefetch(first);
        if size_of::<T>() * PANEL > 64 {
            prefetch(first.wrapping_add(PANEL / 2));
        }
    }

    /// The columns of `place` in its row number `row`.
    ///
    /// # Safety
    /// No other part of the program touches this place meanwhile.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn row(&self, place: Place, row: usize) -> &mut [T] {
        let row = place.row + row;
        assert!(row < self.rows && place.column + place.columns <= self.columns);
        // SAFETY: inside the matrix, as just checked; the caller has it to itself.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.columns + place.column), place.columns) }
    }
}

/// The forward pass: `y = f(c + bias)`, and `c + bias` itself for training.
pub(super) struct Forward<'a, T> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) activation: Activation,
    pub(super) pre_activation: Option<Output<'a, T>>,
    pub(super) y: Output<'a, T>,
}

/// What the gradient of an input becomes.
pub(super) enum Through<'a, T> {
    Store,
    Accumulate,
    Activation(Activation, &'a [T]),
}

/// The backward pass to the input.
pub(super) struct BackwardInput<'a, T> {
    pub(super) through: Through<'a, T>,
    pub(super) dx: Output<'a, T>,
}

impl<T: Storage> Epilogue for Forward<'_, T> {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &[f32; PANEL], place: Place, row: usize) {
        // SAFETY: the product hands every place to one task.
        let y = unsafe { self.y.row(place, row) };
        // SAFETY: as above.
        let mut pre_activation = self.pre_activation.as_ref().map(|matrix| unsafe { matrix.row(place, row) });
        let bias = self.bias.map(|bias| &bias[place.column..][..place.columns]);
        for (vector, y) in y.chunks_mut(S::LANES).enumerate() {
            let at = vector * S::LANES;
            let mut value = read(simd, &sums[at..]);
            if let Some(bias) = bias {
                value = simd.add(value, read(simd, &bias[at..]));
            }
            if let Some(pre_activation) = &mut pre_activation {
                write(simd, &mut pre_activation[at..], value);
            }
            write(simd, y, activation(simd, self.activation, value));
        }
    }

    #[inline(always)]
    fn prefetch_row(&self, _place: Place, _row: usize) {}
}

impl<T: Storage> Epilogue for BackwardInput<'_, T> {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &[f32; PANEL], place: Place, row: usize) {
        // SAFETY: the product hands every place to one task.
        let dx = unsafe { self.dx.row(place, row) };
        let start = (place.row + row) * self.dx.columns + place.column;
        for (vector, dx) in dx.chunks_mut(S::LANES).enumerate() {
            let at = vector * S::LANES;
            let sum = read(simd, &sums[at..]);
            let value = match self.through {
                Through::Store => sum,
                Through::Accumulate => simd.add(read(simd, dx), sum),
                Through::Activation(function, saved) => {
                    let saved = read(simd, &saved[start + at..][..dx.len()]);
                    simd.mul(sum, activation_derivative(simd, function, saved))
                }
            };
            write(simd, dx, value);
        }
    }

    #[inline(always)]
    fn prefetch_row(&self, place: Place, row: usize) {
        match self.through {
            Through::Store => {}
            Through::Accumulate => self.dx.prefetch_row(place, row),
            Through::Activation(_, saved) => {
                prefetch(saved.as_ptr().wrapping_add((place.row + row) * self.dx.columns + place.column));
            }
        }
    }
}
