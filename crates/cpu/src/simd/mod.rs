//! Vectors of f32 generic over the instruction set: a kernel is written once and compiled for each level.
//!
//! A kernel is a struct whose `run` is generic over [`Simd`] and `#[inline(always)]`, as is all that it calls (closures
//! too long to be inlined break the chain). [`dispatch`] calls it inside a function compiled for the level's features:
//!
//! ```ignore
//! struct Scale<'a, T> { x: &'a mut [T], factor: f32 }
//!
//! impl<T: Storage> Kernel for Scale<'_, T> {
//!     type Output = ();
//!     #[inline(always)]
//!     fn run<S: Simd>(self, simd: S) {
//!         let factor = simd.splat(self.factor);
//!         for_vectors!(S, self.x.len(), columns => {           // the last range may be short
//!             let x = &mut self.x[columns];
//!             let value = simd.mul(read(simd, x), factor);     // absent lanes read as 0
//!             write(simd, x, value);                           // absent lanes are not written
//!         });
//!     }
//! }
//!
//! cpu.threads.run(tasks, &|task| dispatch(cpu.isa, Scale { x: part(task), factor }));
//! ```
//!
//! [`read`] and [`write`] work on slices of any storage type; [`Storage`] has the same on raw pointers.
//! Element-wise functions ([`exp`], [`activation`], [`activation_derivative`]) and dropout's masks ([`keep_pair`],
//! [`drop_pair`]) are free functions of `(simd, ...)`.

mod activation;
mod dropout;
mod exponential;
mod gelu;
mod storage;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use activation::{activation, activation_derivative};
pub(crate) use dropout::{drop_pair, keep_pair};
pub(crate) use exponential::exp;
pub(crate) use storage::{Storage, for_dtype, for_pairs, for_vectors, read, read_pair, write, write_pair};

use crate::isa::{Isa, IsaLevel};
use half::{bf16, f16};
use portable::Portable;

/// The most lanes that any level has.
pub(crate) const MAX_LANES: usize = 16;

/// A level of vector instructions. A value of it proves that the machine has them.
///
/// Comparisons with NaN are false; `max` and `min` return `b` when either is NaN. Sums over lanes add the upper half to
/// the lower half until one lane is left.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// f32 lanes of a vector: 4, 8 or 16.
    const LANES: usize;
    /// The level that this is; tests ask.
    #[cfg_attr(not(test), allow(dead_code))]
    const LEVEL: IsaLevel;
    /// `LANES` lanes of f32.
    type F32: Copy;
    /// `LANES` lanes of u32.
    type U32: Copy;
    /// A truth value a lane.
    type Mask: Copy;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::F32;
    /// Loads `LANES` values.
    ///
    /// # Safety
    /// `from` is valid for reads of `LANES` values; no alignment is asked for. The same holds for the loads below, and
    /// for writes for the stores.
    unsafe fn load(self, from: *const f32) -> Self::F32;
    /// Loads and widens `LANES` values.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load_bf16(self, from: *const bf16) -> Self::F32;
    /// Loads and widens `LANES` values.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load_f16(self, from: *const f16) -> Self::F32;
    /// Stores `LANES` values.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn store(self, to: *mut f32, value: Self::F32);
    /// Narrows, to nearest even, and stores `LANES` values. bf16 denormals may become 0.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn store_bf16(self, to: *mut bf16, value: Self::F32);
    /// [`Simd::store_bf16`] of two vectors, one after the other.
    ///
    /// # Safety
    /// As [`Simd::load`], for `2 * LANES` values.
    #[inline(always)]
    unsafe fn store_bf16_pair(self, to: *mut bf16, [first, second]: [Self::F32; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            self.store_bf16(to, first);
            self.store_bf16(to.add(Self::LANES), second);
        }
    }
    /// Narrows, to nearest even, and stores `LANES` values.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn store_f16(self, to: *mut f16, value: Self::F32);

    /// Loads the first `n <= LANES` values; the other lanes are 0.
    ///
    /// # Safety
    /// As [`Simd::load`], for `n` values.
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> Self::F32 {
        let mut lanes = [0.0f32; MAX_LANES];
        // SAFETY: `n` values at `from` are the caller's promise, and `n <= LANES <= MAX_LANES` fit.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            self.load(lanes.as_ptr())
        }
    }
    /// Loads and widens the first `n <= LANES` values; the other lanes are 0.
    ///
    /// # Safety
    /// As [`Simd::load`], for `n` values.
    #[inline(always)]
    unsafe fn load_first_bf16(self, from: *const bf16, n: usize) -> Self::F32 {
        let mut lanes = [bf16::ZERO; MAX_LANES];
        // SAFETY: as in `load_first`.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            self.load_bf16(lanes.as_ptr())
        }
    }
    /// Loads and widens the first `n <= LANES` values; the other lanes are 0.
    ///
    /// # Safety
    /// As [`Simd::load`], for `n` values.
    #[inline(always)]
    unsafe fn load_first_f16(self, from: *const f16, n: usize) -> Self::F32 {
        let mut lanes = [f16::ZERO; MAX_LANES];
        // SAFETY: as in `load_first`.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            self.load_f16(lanes.as_ptr())
        }
    }
    /// Stores the first `n <= LANES` values.
    ///
    /// # Safety
    /// As [`Simd::load`], for `n` values.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, value: Self::F32, n: usize) {
        let mut lanes = [0.0f32; MAX_LANES];
        // SAFETY: `LANES <= MAX_LANES` fit, and room for `n` values at `to` is the caller's promise.
        unsafe {
            self.store(lanes.as_mut_ptr(), value);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }
    /// Narrows and stores the first `n <= LANES` values.
    ///
    /// # Safety
    /// As [`Simd::load`], for `n` values.
    #[inline(always)]
    unsafe fn store_first_bf16(self, to: *mut bf16, value: Self::F32, n: usize) {
        let mut lanes = [bf16::ZERO; MAX_LANES];
        // SAFETY: as in `store_first`.
        unsafe {
            self.store_bf16(lanes.as_mut_ptr(), value);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }
    /// Narrows and stores the first `n <= LANES` values.
    ///
    /// # Safety
    /// As [`Simd::load`], for `n` values.
    #[inline(always)]
    unsafe fn store_first_f16(self, to: *mut f16, value: Self::F32, n: usize) {
        let mut lanes = [f16::ZERO; MAX_LANES];
        // SAFETY: as in `store_first`.
        unsafe {
            self.store_f16(lanes.as_mut_ptr(), value);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }

    /// `a + b`.
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`.
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`.
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`.
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once where the machine can.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `c - a * b`, rounded once where the machine can.
    fn neg_fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// The greater.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The smaller.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `√a`.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// `|a|`.
    fn abs(self, a: Self::F32) -> Self::F32;
    /// The nearest integer, ties to even. Exact for `|a| < 2²²`.
    fn round(self, a: Self::F32) -> Self::F32;
    /// `a · 2ⁿ` for integers `n` in `-250..=250`, rounded or overflown once at the end.
    fn scale(self, a: Self::F32, n: Self::F32) -> Self::F32;
    /// `a < b`.
    fn less(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a` where the mask is true, else `b`.
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// For each lane the entry of a table whose number is in the lowest four bits of `index`.
    fn lookup(self, table: &[f32; 16], index: Self::F32) -> Self::F32;
    /// The sum of all lanes.
    fn sum(self, a: Self::F32) -> f32;
    /// The greatest lane.
    fn max_lane(self, a: Self::F32) -> f32;

    /// `value` in every lane.
    fn splat_u32(self, value: u32) -> Self::U32;
    /// 0, 1, 2, ...
    fn lane_numbers(self) -> Self::U32;
    /// `a + b`, wrapping.
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a * b`, wrapping.
    fn mul_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a ^ b`.
    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;
    /// `a >> N`, filling with zeros.
    fn shift_right_u32<const N: u32>(self, a: Self::U32) -> Self::U32;
    /// For the `2 * LANES` 16-bit halves of `a` (low half first), whether they are at least `threshold < 65536`.
    fn halves_at_least(self, a: Self::U32, threshold: u32) -> [Self::Mask; 2];

    /// Zeros.
    #[inline(always)]
    fn zero(self) -> Self::F32 {
        self.splat(0.0)
    }
}

/// Work that is compiled once for each level.
pub(crate) trait Kernel {
    /// What it gives back.
    type Output;
    /// Does the work. Must be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` with the widest vectors of `isa`.
#[inline]
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = isa.avx512_bf16 {
            return avx512::run_with_bf16(simd, kernel);
        }
        if let Some(simd) = isa.avx512 {
            return avx512::run(simd, kernel);
        }
        if let Some(simd) = isa.avx2 {
            return avx2::run(simd, kernel);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(simd) = isa.neon {
        return neon::run(simd, kernel);
    }
    let _ = isa;
    run_kernel(Portable, kernel)
}

/// The innermost call of every dispatch; tests see here which level ran.
#[inline(always)]
fn run_kernel<S: Simd, K: Kernel>(simd: S, kernel: K) -> K::Output {
    #[cfg(test)]
    ran::record(S::LEVEL);
    kernel.run(simd)
}

#[cfg(test)]
pub(crate) mod ran {
    //! Which levels ran kernels on this thread, so that a test of a level that never ran fails.

    use crate::isa::IsaLevel;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static LEVELS: RefCell<BTreeSet<IsaLevel>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn record(level: IsaLevel) {
        LEVELS.with_borrow_mut(|levels| levels.insert(level));
    }

    /// The levels since the last call.
    pub(crate) fn take() -> Vec<IsaLevel> {
        LEVELS.take().into_iter().collect()
    }
}
