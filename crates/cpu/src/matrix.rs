//! Matrices in buffers, whatever the order of their elements: to read, and to write by many tasks.

use crate::simd::Storage;
use serin_tensor::{AlignedBuffer, Order};
use std::marker::PhantomData;
use std::ops::Range;

/// A matrix to read.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    elements: &'a [T],
    order: Order,
}

impl<'a, T: Storage> Matrix<'a, T> {
    /// The first `rows` rows of `width` of a buffer.
    pub(crate) fn of(buffer: &'a AlignedBuffer, rows: usize, width: usize) -> Matrix<'a, T> {
        let order = buffer.order(width);
        Matrix { elements: &buffer.elements()[..order.len(rows)], order }
    }

    /// All rows of `width` that a buffer has.
    pub(crate) fn all(buffer: &'a AlignedBuffer, width: usize) -> Matrix<'a, T> {
        Matrix { elements: buffer.elements(), order: buffer.order(width) }
    }

    /// A row-major matrix.
    pub(crate) fn of_rows(elements: &'a [T], width: usize) -> Matrix<'a, T> {
        Matrix { elements, order: Order::rows(width) }
    }
}

impl<'a, T> Matrix<'a, T> {
    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// All elements in the order in which they lie.
    pub(crate) fn elements(&self) -> &'a [T] {
        self.elements
    }

    /// The rows from `first` on, a multiple of 32.
    pub(crate) fn starting_at(self, first: usize) -> Matrix<'a, T> {
        assert!(first.is_multiple_of(serin_tensor::BLOCK));
        Matrix { elements: &self.elements[self.order.at(first, 0)..], ..self }
    }

    /// Columns of a row that lie in one piece.
    #[inline(always)]
    pub(crate) fn piece(&self, row: usize, columns: Range<usize>) -> &'a [T] {
        debug_assert!(columns.len() <= self.order.run(columns.start));
        &self.elements[self.order.at(row, columns.start)..][..columns.len()]
    }

    /// Columns of a row, piece by piece, each with its place among them.
    #[inline(always)]
    pub(crate) fn pieces(self, row: usize, columns: Range<usize>) -> impl Iterator<Item = (Range<usize>, &'a [T])> {
        let start = columns.start;
        self.order.pieces(columns).map(move |piece| (piece.start - start..piece.end - start, self.piece(row, piece)))
    }
}

/// A matrix that tasks write disjoint parts of.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    order: Order,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: the only access is `piece`, whose callers promise that no element is in two at once.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// A row-major matrix.
    pub(crate) fn of_rows(elements: &'a mut [T], width: usize) -> Shared<'a, T> {
        Shared::new(elements, Order::rows(width))
    }

    /// A slice, as a matrix of one row.
    pub(crate) fn of_slice(elements: &'a mut [T]) -> Shared<'a, T> {
        let width = elements.len();
        Shared::of_rows(elements, width)
    }

    fn new(elements: &'a mut [T], order: Order) -> Shared<'a, T> {
        Shared { start: elements.as_mut_ptr(), len: elements.len(), order, borrowed: PhantomData }
    }
}

impl<'a, T: Storage> Shared<'a, T> {
    /// The first `rows` rows of `width` of a buffer.
    pub(crate) fn of(buffer: &'a mut AlignedBuffer, rows: usize, width: usize) -> Shared<'a, T> {
        let order = buffer.order(width);
        Shared::new(&mut buffer.elements_mut()[..order.len(rows)], order)
    }

    /// All rows of `width` that a buffer has.
    pub(crate) fn all(buffer: &'a mut AlignedBuffer, width: usize) -> Shared<'a, T> {
        let order = buffer.order(width);
        Shared::new(buffer.elements_mut(), order)
    }
}

impl<T> Shared<'_, T> {
    /// Columns of a row that lie in one piece, to write.
    ///
    /// # Safety
    /// While the result lives, no other piece with any of these elements may be asked for.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn piece(&self, row: usize, columns: Range<usize>) -> &mut [T] {
        let at = self.order.at(row, columns.start);
        assert!(columns.start <= columns.end && columns.end <= self.order.width() && at + columns.len() <= self.len);
        debug_assert!(columns.len() <= self.order.run(columns.start));
        // SAFETY: in bounds by the assertion; exclusive by the caller's promise and the borrow that `self` holds.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), columns.len()) }
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// Where an element is; nothing is read or written there.
    #[inline(always)]
    pub(crate) fn address(&self, row: usize, column: usize) -> *const T {
        self.start.wrapping_add(self.order.at(row, column))
    }
}
