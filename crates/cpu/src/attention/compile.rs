//! One source of an inner loop, compiled once for each instruction set.
//!
//! A [`Kernel`]'s `run` and all that it calls are `#[inline(always)]`, so the compiler vectorises them anew inside each
//! function below, with that function's instruction set.

use crate::isa::Isa;

/// An inner loop.
pub(super) trait Kernel {
    /// Does the work; `#[inline(always)]`.
    fn run<A: Arithmetic>(self);
}

/// What differs between instruction sets in meaning, not only in speed.
pub(super) trait Arithmetic {
    /// `a * b + c`, rounded once where the hardware can.
    fn multiply_add(a: f32, b: f32, c: f32) -> f32;
}

/// Hardware with a fused multiply-add.
struct Fused;
/// Hardware without, or not known to have it.
struct Separate;

impl Arithmetic for Fused {
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Arithmetic for Separate {
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Runs `kernel` with the best of `isa`.
pub(super) fn run(isa: Isa, kernel: impl Kernel) {
    #[cfg(target_arch = "x86_64")]
    {
        if isa.avx512.is_some() {
            // SAFETY: the value proves that the CPU has AVX-512 F, BW, DQ, VL and what AVX2 contains.
            return unsafe { avx512(kernel) };
        }
        if isa.avx2.is_some() {
            // SAFETY: the value proves that the CPU has AVX2, FMA and F16C.
            return unsafe { avx2(kernel) };
        }
    }
    if isa.neon.is_some() { kernel.run::<Fused>() } else { kernel.run::<Separate>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn avx512<K: Kernel>(kernel: K) {
    kernel.run::<Fused>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<K: Kernel>(kernel: K) {
    kernel.run::<Fused>();
}
