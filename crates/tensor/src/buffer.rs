//! A zeroed, aligned, fixed-size block of host memory with an element type.

#![allow(unsafe_code)] // owns raw memory: alignment beyond what Vec gives

use crate::{DType, Element, Order};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Vector registers and cache lines are 64 bytes.
const CACHE_LINE: usize = 64;
/// From this size on a buffer is aligned to huge pages and asks the kernel for them.
const HUGE_PAGE: usize = 2 << 20;

/// `len` elements of one [`DType`], zeroed at birth, aligned to 64 bytes (2 MiB from 2 MiB on, advised to use huge pages).
pub struct AlignedBuffer {
    start: NonNull<u8>,
    layout: Layout,
    dtype: DType,
    len: usize,
    /// The width of a matrix in blocks; else elements are in their own order.
    blocks: Option<usize>,
}

// SAFETY: the buffer owns its memory exclusively and hands out access only through `&self` and `&mut self`.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above; `&self` gives only shared reads of plain numbers.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// A buffer of `len` zeros.
    pub fn zeroed(dtype: DType, len: usize) -> AlignedBuffer {
        let bytes = len.checked_mul(dtype.size()).expect("buffer size overflows usize");
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
        // A whole number of lines, and never zero bytes, which alloc refuses.
        let size = bytes.max(1).next_multiple_of(CACHE_LINE);
        let layout = Layout::from_size_align(size, align).expect("buffer size overflows isize");
        // SAFETY: `layout` has a non-zero size.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // Before the first touch: pages already backed by 4 KiB frames stay so.
        advise_huge_pages(start, size);
        // SAFETY: `size` bytes from `start` were just allocated.
        unsafe { start.as_ptr().write_bytes(0, size) };
        AlignedBuffer { start, layout, dtype, len, blocks: None }
    }

    /// Room for a matrix of `rows` by `width` zeros that lies in blocks, as [`Order::blocks`] says; its length is all of them.
    ///
    /// Of such a buffer only [`AlignedBuffer::elements`] give a view: who takes them must ask for their order.
    pub fn in_blocks(dtype: DType, rows: usize, width: usize) -> AlignedBuffer {
        let mut buffer = AlignedBuffer::zeroed(dtype, Order::blocks(width).len(rows));
        buffer.blocks = Some(width);
        buffer
    }

    /// The order of a matrix of this width in the buffer.
    pub fn order(&self, width: usize) -> Order {
        if self.blocks.is_some() { Order::blocks(width) } else { Order::rows(width) }
    }

    /// The width that a buffer in blocks was made for.
    pub fn blocks(&self) -> Option<usize> {
        self.blocks
    }

    /// A buffer holding a copy of `values`.
    pub fn from_slice<T: Element>(values: &[T]) -> AlignedBuffer {
        let mut buffer = AlignedBuffer::zeroed(T::DTYPE, values.len());
        buffer.as_mut_slice::<T>().copy_from_slice(values);
        buffer
    }

    /// Elements, not bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// All elements. Panics when `T` is not the buffer's type or the buffer is in blocks: a bug of the caller.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        self.assert_in_order();
        self.elements()
    }

    /// All elements, to write. Panics as [`AlignedBuffer::as_slice`].
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        self.assert_in_order();
        self.elements_mut()
    }

    /// All elements in the order in which they lie. Panics when `T` is not the buffer's type: a bug of the caller.
    pub fn elements<T: Element>(&self) -> &[T] {
        assert_eq!(T::DTYPE, self.dtype, "buffer read as another type");
        // SAFETY: `len` elements of T's size lie in the allocation, aligned to 64 bytes, initialised (zeroed), and T is Pod.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<T>(), self.len) }
    }

    /// All elements in the order in which they lie, to write. Panics as [`AlignedBuffer::elements`].
    pub fn elements_mut<T: Element>(&mut self) -> &mut [T] {
        assert_eq!(T::DTYPE, self.dtype, "buffer written as another type");
        // SAFETY: as in `elements`, and `&mut self` excludes every other access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast::<T>(), self.len) }
    }

    fn assert_in_order(&self) {
        assert!(self.blocks.is_none(), "a matrix in blocks taken for a row of elements");
    }
}

impl AlignedBuffer {
    /// The bytes of [`AlignedBuffer::elements`], in the machine's order.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the first `len * size` bytes are initialised plain numbers.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len * self.dtype.size()) }
    }

    /// The bytes of [`AlignedBuffer::elements`], to write; every bit pattern is a valid element.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_bytes`, and `&mut self` excludes every other access.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len * self.dtype.size()) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc` with this very layout and is freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuffer({} x {})", self.len, self.dtype)
    }
}

#[cfg(target_os = "linux")]
fn advise_huge_pages(start: NonNull<u8>, size: usize) {
    if size >= HUGE_PAGE {
        // SAFETY: the range is ours and MADV_HUGEPAGE changes only how it is backed; failure is harmless.
        unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_start: NonNull<u8>, _size: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zeroed_and_aligned() {
        for len in [0, 1, 31, 1 << 20] {
            let buffer = AlignedBuffer::zeroed(DType::F32, len);
            let values = buffer.as_slice::<f32>();
            assert_eq!(values.len(), len);
            assert_eq!(values.as_ptr() as usize % CACHE_LINE, 0);
            assert!(values.iter().all(|&value| value == 0.0));
        }
    }

    #[test]
    fn a_matrix_in_blocks_has_whole_groups_of_rows() {
        let mut buffer = AlignedBuffer::in_blocks(DType::F32, 33, 64);
        assert_eq!((buffer.len(), buffer.blocks()), (64 * 64, Some(64)));
        assert_eq!((buffer.order(64), buffer.order(32)), (Order::blocks(64), Order::blocks(32)));
        buffer.elements_mut::<f32>().fill(1.0);
        assert_eq!(AlignedBuffer::zeroed(DType::F32, 64).order(64), Order::rows(64));
    }

    #[test]
    #[should_panic(expected = "taken for a row of elements")]
    fn a_matrix_in_blocks_is_no_slice() {
        AlignedBuffer::in_blocks(DType::F32, 1, 32).as_slice::<f32>();
    }

    #[test]
    #[should_panic(expected = "read as another type")]
    fn the_wrong_type_is_refused() {
        AlignedBuffer::zeroed(DType::F32, 1).as_slice::<half::bf16>();
    }
}
