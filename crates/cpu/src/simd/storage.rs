//! Vectors from and to the storage types.

use super::Simd;
use half::{bf16, f16};
use serin_tensor::Element;

/// A storage type that vectors can be loaded from and stored to. The safety conditions are those of [`Simd::load`].
pub(crate) trait Storage: Element {
    /// Loads and widens `LANES` values.
    ///
    /// # Safety
    /// `from` is valid for reads of `LANES` values.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F32;
    /// Loads and widens the first `n <= LANES` values; the other lanes are 0.
    ///
    /// # Safety
    /// `from` is valid for reads of `n` values.
    unsafe fn load_first<S: Simd>(simd: S, from: *const Self, n: usize) -> S::F32;
    /// Narrows and stores `LANES` values.
    ///
    /// # Safety
    /// `to` is valid for writes of `LANES` values.
    unsafe fn store<S: Simd>(simd: S, to: *mut Self, value: S::F32);
    /// Narrows and stores twice `LANES` values.
    ///
    /// # Safety
    /// `to` is valid for writes of `2 * LANES` values.
    #[inline(always)]
    unsafe fn store_pair<S: Simd>(simd: S, to: *mut Self, values: [S::F32; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            Self::store(simd, to, values[0]);
            Self::store(simd, to.add(S::LANES), values[1]);
        }
    }
    /// Narrows and stores the first `n <= LANES` values.
    ///
    /// # Safety
    /// `to` is valid for writes of `n` values.
    unsafe fn store_first<S: Simd>(simd: S, to: *mut Self, value: S::F32, n: usize);
}

macro_rules! storage {
    ($element:ty, $load:ident, $load_first:ident, $store:ident, $store_first:ident $(, $store_pair:ident)?) => {
        impl Storage for $element {
            #[inline(always)]
            unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F32 {
                // SAFETY: the caller's promise is the same.
                unsafe { simd.$load(from) }
            }
            #[inline(always)]
            unsafe fn load_first<S: Simd>(simd: S, from: *const Self, n: usize) -> S::F32 {
                // SAFETY: the caller's promise is the same.
                unsafe { simd.$load_first(from, n) }
            }
            #[inline(always)]
            unsafe fn store<S: Simd>(simd: S, to: *mut Self, value: S::F32) {
                // SAFETY: the caller's promise is the same.
                unsafe { simd.$store(to, value) }
            }
            $(
                #[inline(always)]
                unsafe fn store_pair<S: Simd>(simd: S, to: *mut Self, values: [S::F32; 2]) {
                    // SAFETY: the caller's promise is the same.
                    unsafe { simd.$store_pair(to, values) }
                }
            )?
            #[inline(always)]
            unsafe fn store_first<S: Simd>(simd: S, to: *mut Self, value: S::F32, n: usize) {
                // SAFETY: the caller's promise is the same.
                unsafe { simd.$store_first(to, value, n) }
            }
        }
    };
}

storage!(f32, load, load_first, store, store_first);
storage!(bf16, load_bf16, load_first_bf16, store_bf16, store_first_bf16, store_bf16_pair);
storage!(f16, load_f16, load_first_f16, store_f16, store_first_f16);

/// The first `LANES` values of a slice; lanes beyond its end are 0.
#[inline(always)]
pub(crate) fn read<S: Simd, T: Storage>(simd: S, from: &[T]) -> S::F32 {
    if from.len() >= S::LANES {
        // SAFETY: `LANES` values are there.
        unsafe { T::load(simd, from.as_ptr()) }
    } else {
        // SAFETY: `len` values are there.
        unsafe { T::load_first(simd, from.as_ptr(), from.len()) }
    }
}

/// Stores the first `LANES` lanes to a slice, or as many as it has room for.
#[inline(always)]
pub(crate) fn write<S: Simd, T: Storage>(simd: S, to: &mut [T], value: S::F32) {
    if to.len() >= S::LANES {
        // SAFETY: there is room for `LANES` values.
        unsafe { T::store(simd, to.as_mut_ptr(), value) }
    } else {
        // SAFETY: there is room for `len` values.
        unsafe { T::store_first(simd, to.as_mut_ptr(), value, to.len()) }
    }
}

/// [`read`] of two vectors, one after the other.
#[inline(always)]
pub(crate) fn read_pair<S: Simd, T: Storage>(simd: S, from: &[T]) -> [S::F32; 2] {
    [read(simd, from), read(simd, &from[from.len().min(S::LANES)..])]
}

/// [`write`] of two vectors, one after the other.
#[inline(always)]
pub(crate) fn write_pair<S: Simd, T: Storage>(simd: S, to: &mut [T], values: [S::F32; 2]) {
    if to.len() >= 2 * S::LANES {
        // SAFETY: there is room for twice `LANES` values.
        unsafe { T::store_pair(simd, to.as_mut_ptr(), values) }
    } else {
        let (first, second) = to.split_at_mut(to.len().min(S::LANES));
        write(simd, first, values[0]);
        write(simd, second, values[1]);
    }
}

/// Evaluates an expression with a type name bound to the element type of a [`serin_tensor::DType`]:
/// `for_dtype!(x.dtype(), T => scale::<T>(x.as_mut_slice()))`.
macro_rules! for_dtype {
    ($dtype:expr, $element:ident => $body:expr) => {
        match $dtype {
            ::serin_tensor::DType::F32 => {
                type $element = f32;
                $body
            }
            ::serin_tensor::DType::BF16 => {
                type $element = ::half::bf16;
                $body
            }
            ::serin_tensor::DType::F16 => {
                type $element = ::half::f16;
                $body
            }
        }
    };
}
pub(crate) use for_dtype;

/// Runs a body for each vector of `0..len`: `for_vectors!(S, len, columns => ...)`. `columns` is a range of `LANES`, but
/// at the end of what is left. A macro, because a closure might not be inlined and lose the level's instructions.
macro_rules! for_vectors {
    ($simd:ident, $len:expr, $columns:ident => $body:expr) => {{
        let len: usize = $len;
        let whole = len - len % $simd::LANES;
        let mut start = 0;
        while start < whole {
            let $columns = start..start + $simd::LANES;
            $body;
            start += $simd::LANES;
        }
        if whole < len {
            let $columns = whole..len;
            $body;
        }
    }};
}
pub(crate) use for_vectors;

/// The same for two neighbouring vectors at a time: `columns` is a range of `2 * LANES`, which lie in one piece of a matrix in
/// any order.
macro_rules! for_pairs {
    ($simd:ident, $len:expr, $columns:ident => $body:expr) => {{
        let len: usize = $len;
        let whole = len - len % (2 * $simd::LANES);
        let mut start = 0;
        while start < whole {
            let $columns = start..start + 2 * $simd::LANES;
            $body;
            start += 2 * $simd::LANES;
        }
        if whole < len {
            let $columns = whole..len;
            $body;
        }
    }};
}
pub(crate) use for_pairs;
