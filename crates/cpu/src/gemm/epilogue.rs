//! What is done to a block of C while it is in the L1 cache: bias, activation, gradients, rounding, storing.

use super::cut::Place;
use super::product::Epilogue;
use super::tiles::PANEL;
use crate::matrix::{Matrix, Shared};
use crate::prefetch;
use crate::simd::{Simd, Storage, activation, activation_derivative, read_pair, write_pair};
use serin_ops::Activation;

/// The columns of `place` in its row number `row`: at most 32 from a multiple of 32 on, which lie in one piece.
///
/// # Safety
/// No other part of the program touches this place meanwhile.
#[inline(always)]
#[allow(clippy::mut_from_ref)]
pub(super) unsafe fn row_of<'a, T>(matrix: &'a Shared<'_, T>, place: Place, row: usize) -> &'a mut [T] {
    // SAFETY: the caller's.
    unsafe { matrix.piece(place.row + row, place.column..place.column + place.columns) }
}

/// Fetches what [`row_of`] gives.
#[inline(always)]
pub(super) fn prefetch_row<T>(matrix: &Shared<'_, T>, place: Place, row: usize) {
    let first = matrix.address(place.row + row, place.column);
    prefetch::to_read(first);
    if size_of::<T>() * PANEL > 64 {
        prefetch::to_read(first.wrapping_add(PANEL / 2));
    }
}

/// The forward pass: `y = f(c + bias)`, and `c + bias` itself for training.
pub(super) struct Forward<'a, T> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) activation: Activation,
    pub(super) pre_activation: Option<Shared<'a, T>>,
    pub(super) y: Shared<'a, T>,
}

/// What the gradient of an input becomes.
pub(super) enum Through<'a, T> {
    Store,
    Accumulate,
    Activation(Activation, Matrix<'a, T>),
}

/// The backward pass to the input.
pub(super) struct BackwardInput<'a, T> {
    pub(super) through: Through<'a, T>,
    pub(super) dx: Shared<'a, T>,
}

impl<T: Storage> Epilogue for Forward<'_, T> {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &[f32; PANEL], place: Place, row: usize) {
        // SAFETY: the product hands every place to one task.
        let y = unsafe { row_of(&self.y, place, row) };
        // SAFETY: as above.
        let pre_activation = self.pre_activation.as_ref().map(|matrix| unsafe { row_of(matrix, place, row) });
        let bias = self.bias.map(|bias| &bias[place.column..][..place.columns]);
        // One loop without a function, so that products alone do not carry all of them.
        match self.activation {
            Activation::Identity => finish_row(simd, sums, bias, Activation::Identity, pre_activation, y),
            Activation::Gelu => finish_row(simd, sums, bias, Activation::Gelu, pre_activation, y),
            function => finish_row(simd, sums, bias, function, pre_activation, y),
        }
    }

    #[inline(always)]
    fn prefetch_row(&self, _place: Place, _row: usize) {}
}

/// A row of [`Forward`].
#[inline(always)]
fn finish_row<S: Simd, T: Storage>(
    simd: S,
    sums: &[f32; PANEL],
    bias: Option<&[f32]>,
    function: Activation,
    mut pre_activation: Option<&mut [T]>,
    y: &mut [T],
) {
    for (pair, y) in y.chunks_mut(2 * S::LANES).enumerate() {
        let [mut first, mut second] = pair_of(simd, sums, pair);
        if let Some(bias) = bias {
            let bias = pair_of(simd, bias, pair);
            (first, second) = (simd.add(first, bias[0]), simd.add(second, bias[1]));
        }
        if let Some(pre_activation) = &mut pre_activation {
            write_pair(simd, &mut pre_activation[pair * 2 * S::LANES..], [first, second]);
        }
        let (first, second) = (activation::<S, T>(simd, function, first), activation::<S, T>(simd, function, second));
        write_pair(simd, y, [first, second]);
    }
}

/// Vectors `2 * pair` and `2 * pair + 1` of a row; zeros beyond its end.
#[inline(always)]
fn pair_of<S: Simd, T: Storage>(simd: S, row: &[T], pair: usize) -> [S::F32; 2] {
    read_pair(simd, &row[pair * 2 * S::LANES..])
}

/// A row of [`Through::Activation`].
#[inline(always)]
fn through<S: Simd, T: Storage>(simd: S, sums: &[f32; PANEL], function: Activation, saved: &[T], dx: &mut [T]) {
    for (pair, dx) in dx.chunks_mut(2 * S::LANES).enumerate() {
        let [first, second] = pair_of(simd, saved, pair);
        let first = activation_derivative::<S, T>(simd, function, first);
        let second = activation_derivative::<S, T>(simd, function, second);
        let sums = pair_of(simd, sums, pair);
        write_pair(simd, dx, [simd.mul(sums[0], first), simd.mul(sums[1], second)]);
    }
}

impl<T: Storage> Epilogue for BackwardInput<'_, T> {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &[f32; PANEL], place: Place, row: usize) {
        // SAFETY: the product hands every place to one task.
        let dx = unsafe { row_of(&self.dx, place, row) };
        let columns = place.column..place.column + place.columns;
        match self.through {
            Through::Store => {
                for (pair, dx) in dx.chunks_mut(2 * S::LANES).enumerate() {
                    write_pair(simd, dx, pair_of(simd, sums, pair));
                }
            }
            Through::Accumulate => {
                for (pair, dx) in dx.chunks_mut(2 * S::LANES).enumerate() {
                    let (sums, so_far) = (pair_of(simd, sums, pair), read_pair(simd, dx));
                    write_pair(simd, dx, [simd.add(so_far[0], sums[0]), simd.add(so_far[1], sums[1])]);
                }
            }
            // A loop of its own for the function that models have, as in the forward pass.
            Through::Activation(Activation::Gelu, saved) => {
                through(simd, sums, Activation::Gelu, saved.piece(place.row + row, columns), dx);
            }
            Through::Activation(function, saved) => {
                through(simd, sums, function, saved.piece(place.row + row, columns), dx);
            }
        }
    }

    #[inline(always)]
    fn prefetch_row(&self, place: Place, row: usize) {
        match self.through {
            Through::Store => {}
            Through::Accumulate => prefetch_row(&self.dx, place, row),
            Through::Activation(_, saved) => {
                prefetch::to_read(saved.piece(place.row + row, place.column..place.column).as_ptr());
            }
        }
    }
}
