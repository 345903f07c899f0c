//! Vectors of AArch64 NEON: four lanes. f16 converts a lane at a time, as stable Rust has no f16 vectors.

use super::{Kernel, Simd, run_kernel};
use crate::isa::{IsaLevel, Neon};
use half::{bf16, f16};
use std::arch::aarch64::*;

/// Runs a kernel compiled for NEON.
#[inline]
pub(super) fn run<K: Kernel>(simd: Neon, kernel: K) -> K::Output {
    #[target_feature(enable = "neon")]
    fn with_features<K: Kernel>(simd: Neon, kernel: K) -> K::Output {
        run_kernel(simd, kernel)
    }
    // SAFETY: `simd` proves that the CPU has the feature.
    unsafe { with_features(simd, kernel) }
}

/// Evaluates an expression of NEON intrinsics in a method of [`Neon`].
macro_rules! neon {
    ($expression:expr) => {{
        // SAFETY: `self` proves that the CPU has the feature; pointers are as the method's caller promised.
        #[allow(unused_unsafe)] // many are safe where the target always has NEON
        unsafe {
            $expression
        }
    }};
}

impl Simd for Neon {
    const LANES: usize = 4;
    const LEVEL: IsaLevel = IsaLevel::Neon;
    type F32 = float32x4_t;
    type U32 = uint32x4_t;
    type Mask = uint32x4_t;

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        neon!(vdupq_n_f32(value))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        neon!(vld1q_f32(from))
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> float32x4_t {
        neon!(vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.cast()))))
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> float32x4_t {
        let lanes = neon!(from.cast::<[f16; 4]>().read_unaligned()).map(f16::to_f32);
        neon!(vld1q_f32(lanes.as_ptr()))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: float32x4_t) {
        neon!(vst1q_f32(to, value))
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, value: float32x4_t) {
        neon!({
            let bits = vreinterpretq_u32_f32(value);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
            let quiet = vorrq_u32(bits, vdupq_n_u32(0x40_0000));
            let kept = vbslq_u32(vceqq_f32(value, value), rounded, quiet);
            vst1_u16(to.cast(), vshrn_n_u32::<16>(kept))
        })
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16, value: float32x4_t) {
        let mut lanes = [0.0f32; 4];
        neon!(vst1q_f32(lanes.as_mut_ptr(), value));
        neon!(to.cast::<[f16; 4]>().write_unaligned(lanes.map(f16::from_f32)))
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        neon!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        neon!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        neon!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        neon!(vdivq_f32(a, b))
    }
    #[inline(always)]
    fn fma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        neon!(vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn neg_fma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        neon!(vfmsq_f32(c, a, b))
    }
    // Not `vmaxq`, which gives NaN for either operand.
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        neon!(vbslq_f32(vcgtq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        neon!(vbslq_f32(vcltq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        neon!(vsqrtq_f32(a))
    }
    #[inline(always)]
    fn abs(self, a: float32x4_t) -> float32x4_t {
        neon!(vabsq_f32(a))
    }
    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        neon!(vrndnq_f32(a))
    }
    // Two factors, so that each is a normal number; the first product is exact unless the result overflows anyway.
    #[inline(always)]
    fn scale(self, a: float32x4_t, n: float32x4_t) -> float32x4_t {
        let half = self.round(self.mul(n, self.splat(0.5)));
        let rest = self.sub(n, half);
        neon!({
            let first = vaddq_s32(vcvtq_s32_f32(half), vdupq_n_s32(127));
            let second = vaddq_s32(vcvtq_s32_f32(rest), vdupq_n_s32(127));
            let scaled = vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(first)));
            vmulq_f32(scaled, vreinterpretq_f32_s32(vshlq_n_s32::<23>(second)))
        })
    }
    #[inline(always)]
    fn less(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        neon!(vcltq_f32(a, b))
    }
    #[inline(always)]
    fn select(self, mask: uint32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        neon!(vbslq_f32(mask, a, b))
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 16], index: float32x4_t) -> float32x4_t {
        neon!({
            // The numbers of an entry's four bytes.
            let entry = vandq_u32(vreinterpretq_u32_f32(index), vdupq_n_u32(15));
            let bytes = vmlaq_u32(vdupq_n_u32(0x0302_0100), entry, vdupq_n_u32(0x0404_0404));
            let table = vld1q_u8_x4(table.as_ptr().cast());
            vreinterpretq_f32_u8(vqtbl4q_u8(table, vreinterpretq_u8_u32(bytes)))
        })
    }
    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        neon!({
            let two = vadd_f32(vget_low_f32(a), vget_high_f32(a));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        })
    }
    #[inline(always)]
    fn max_lane(self, a: float32x4_t) -> f32 {
        neon!(vmaxnmvq_f32(a))
    }

    #[inline(always)]
    fn splat_u32(self, value: u32) -> uint32x4_t {
        neon!(vdupq_n_u32(value))
    }
    #[inline(always)]
    fn lane_numbers(self) -> uint32x4_t {
        neon!(vld1q_u32([0u32, 1, 2, 3].as_ptr()))
    }
    #[inline(always)]
    fn add_u32(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        neon!(vaddq_u32(a, b))
    }
    #[inline(always)]
    fn mul_u32(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        neon!(vmulq_u32(a, b))
    }
    #[inline(always)]
    fn xor_u32(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        neon!(veorq_u32(a, b))
    }
    #[inline(always)]
    fn shift_right_u32<const N: u32>(self, a: uint32x4_t) -> uint32x4_t {
        neon!(vshlq_u32(a, vdupq_n_s32(-(N as i32))))
    }
    #[inline(always)]
    fn halves_at_least(self, a: uint32x4_t, threshold: u32) -> [uint32x4_t; 2] {
        neon!({
            let at_least = vcgeq_u16(vreinterpretq_u16_u32(a), vdupq_n_u16(threshold as u16));
            let signed = vreinterpretq_s16_u16(at_least);
            let low = vmovl_s16(vget_low_s16(signed));
            let high = vmovl_s16(vget_high_s16(signed));
            [vreinterpretq_u32_s32(low), vreinterpretq_u32_s32(high)]
        })
    }
}
