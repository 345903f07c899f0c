//! Vectors of AVX-512, with and without its bf16 conversion: sixteen lanes.

use super::{Kernel, Simd, run_kernel};
use crate::isa::{Avx512, Avx512Bf16, IsaLevel};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Runs a kernel compiled for AVX-512.
#[inline]
pub(super) fn run<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    fn with_features<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
        run_kernel(simd, kernel)
    }
    // SAFETY: `simd` proves that the CPU has the features.
    unsafe { with_features(simd, kernel) }
}

/// Runs a kernel compiled for AVX-512 with bf16.
#[inline]
pub(super) fn run_with_bf16<K: Kernel>(simd: Avx512Bf16, kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
    fn with_features<K: Kernel>(simd: Avx512Bf16, kernel: K) -> K::Output {
        run_kernel(simd, kernel)
    }
    // SAFETY: `simd` proves that the CPU has the features.
    unsafe { with_features(simd, kernel) }
}

/// Evaluates an expression of AVX-512 intrinsics in a method of a type that proves them.
macro_rules! avx512 {
    ($expression:expr) => {{
        // SAFETY: `self` proves that the CPU has the features; pointers are as the method's caller promised.
        unsafe { $expression }
    }};
}

/// The rounded upper halves with integer instructions.
#[inline(always)]
unsafe fn narrow_with_integers(value: __m512) -> __m256i {
    // SAFETY: the caller runs with AVX-512.
    unsafe {
        let bits = _mm512_castps_si512(value);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
        let kept = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x40_0000));
        _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(kept))
    }
}

/// The rounded upper halves with `vcvtneps2bf16`, which takes denormals for 0.
#[inline(always)]
unsafe fn narrow_with_bf16(value: __m512) -> __m256i {
    // SAFETY: the caller runs with AVX-512 bf16; both types are 32 plain bytes.
    unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value)) }
}

#[inline(always)]
fn first_lanes(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

#[inline(always)]
unsafe fn upper_half(a: __m512) -> __m256 {
    // SAFETY: the caller runs with AVX-512 DQ.
    unsafe { _mm512_extractf32x8_ps::<1>(a) }
}

macro_rules! simd_with_avx512 {
    ($isa:ty, $level:expr, $narrow_to_bf16:path $(, $store_bf16_pair:item)?) => {
        impl Simd for $isa {
            const LANES: usize = 16;
            const LEVEL: IsaLevel = $level;
            type F32 = __m512;
            type U32 = __m512i;
            type Mask = __mmask16;

            #[inline(always)]
            fn splat(self, value: f32) -> __m512 {
                avx512!(_mm512_set1_ps(value))
            }
            #[inline(always)]
            unsafe fn load(self, from: *const f32) -> __m512 {
                avx512!(_mm512_loadu_ps(from))
            }
            #[inline(always)]
            unsafe fn load_bf16(self, from: *const bf16) -> __m512 {
                let bits = avx512!(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())));
                avx512!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)))
            }
            #[inline(always)]
            unsafe fn load_f16(self, from: *const f16) -> __m512 {
                avx512!(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast())))
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32, value: __m512) {
                avx512!(_mm512_storeu_ps(to, value))
            }
            #[inline(always)]
            unsafe fn store_bf16(self, to: *mut bf16, value: __m512) {
                avx512!(_mm256_storeu_si256(to.cast(), $narrow_to_bf16(value)))
            }
            $($store_bf16_pair)?
            #[inline(always)]
            unsafe fn store_f16(self, to: *mut f16, value: __m512) {
                avx512!(_mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)))
            }
            #[inline(always)]
            unsafe fn load_first(self, from: *const f32, n: usize) -> __m512 {
                avx512!(_mm512_maskz_loadu_ps(first_lanes(n), from))
            }
            #[inline(always)]
            unsafe fn load_first_bf16(self, from: *const bf16, n: usize) -> __m512 {
                let halves = avx512!(_mm256_maskz_loadu_epi16(first_lanes(n), from.cast()));
                avx512!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))))
            }
            #[inline(always)]
            unsafe fn load_first_f16(self, from: *const f16, n: usize) -> __m512 {
                avx512!(_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), from.cast())))
            }
            #[inline(always)]
            unsafe fn store_first(self, to: *mut f32, value: __m512, n: usize) {
                avx512!(_mm512_mask_storeu_ps(to, first_lanes(n), value))
            }
            #[inline(always)]
            unsafe fn store_first_bf16(self, to: *mut bf16, value: __m512, n: usize) {
                avx512!(_mm256_mask_storeu_epi16(to.cast(), first_lanes(n), $narrow_to_bf16(value)))
            }
            #[inline(always)]
            unsafe fn store_first_f16(self, to: *mut f16, value: __m512, n: usize) {
                let halves = avx512!(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value));
                avx512!(_mm256_mask_storeu_epi16(to.cast(), first_lanes(n), halves))
            }

            #[inline(always)]
            fn add(self, a: __m512, b: __m512) -> __m512 {
                avx512!(_mm512_add_ps(a, b))
            }
            #[inline(always)]
            fn sub(self, a: __m512, b: __m512) -> __m512 {
                avx512!(_mm512_sub_ps(a, b))
            }
            #[inline(always)]
            fn mul(self, a: __m512, b: __m512) -> __m512 {
                avx512!(_mm512_mul_ps(a, b))
            }
            #[inline(always)]
            fn div(self, a: __m512, b: __m512) -> __m512 {
                avx512!(_mm512_div_ps(a, b))
            }
            #[inline(always)]
            fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
                avx512!(_mm512_fmadd_ps(a, b, c))
            }
            #[inline(always)]
            fn neg_fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
                avx512!(_mm512_fnmadd_ps(a, b, c))
            }
            #[inline(always)]
            fn max(self, a: __m512, b: __m512) -> __m512 {
                avx512!(_mm512_max_ps(a, b))
            }
            #[inline(always)]
            fn min(self, a: __m512, b: __m512) -> __m512 {
                avx512!(_mm512_min_ps(a, b))
            }
            #[inline(always)]
            fn sqrt(self, a: __m512) -> __m512 {
                avx512!(_mm512_sqrt_ps(a))
            }
            #[inline(always)]
            fn abs(self, a: __m512) -> __m512 {
                avx512!(_mm512_abs_ps(a))
            }
            #[inline(always)]
            fn round(self, a: __m512) -> __m512 {
                avx512!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
            }
            #[inline(always)]
            fn scale(self, a: __m512, n: __m512) -> __m512 {
                avx512!(_mm512_scalef_ps(a, n))
            }
            #[inline(always)]
            fn less(self, a: __m512, b: __m512) -> __mmask16 {
                avx512!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
            }
            #[inline(always)]
            fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
                avx512!(_mm512_mask_blend_ps(mask, b, a))
            }
            #[inline(always)]
            fn lookup(self, table: &[f32; 16], index: __m512) -> __m512 {
                avx512!(_mm512_permutexvar_ps(_mm512_castps_si512(index), _mm512_loadu_ps(table.as_ptr())))
            }
            #[inline(always)]
            fn sum(self, a: __m512) -> f32 {
                avx512!({
                    let eight = _mm256_add_ps(_mm512_castps512_ps256(a), upper_half(a));
                    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
                    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
                })
            }
            #[inline(always)]
            fn max_lane(self, a: __m512) -> f32 {
                avx512!({
                    let eight = _mm256_max_ps(_mm512_castps512_ps256(a), upper_half(a));
                    let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
                    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
                    _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
                })
            }

            #[inline(always)]
            fn splat_u32(self, value: u32) -> __m512i {
                avx512!(_mm512_set1_epi32(value as i32))
            }
            #[inline(always)]
            fn lane_numbers(self) -> __m512i {
                avx512!(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
            }
            #[inline(always)]
            fn add_u32(self, a: __m512i, b: __m512i) -> __m512i {
                avx512!(_mm512_add_epi32(a, b))
            }
            #[inline(always)]
            fn mul_u32(self, a: __m512i, b: __m512i) -> __m512i {
                avx512!(_mm512_mullo_epi32(a, b))
            }
            #[inline(always)]
            fn xor_u32(self, a: __m512i, b: __m512i) -> __m512i {
                avx512!(_mm512_xor_si512(a, b))
            }
            #[inline(always)]
            fn shift_right_u32<const N: u32>(self, a: __m512i) -> __m512i {
                avx512!(_mm512_srli_epi32::<N>(a))
            }
            #[inline(always)]
            fn halves_at_least(self, a: __m512i, threshold: u32) -> [__mmask16; 2] {
                let bits = avx512!(_mm512_cmpge_epu16_mask(a, _mm512_set1_epi16(threshold as i16)));
                [bits as __mmask16, (bits >> 16) as __mmask16]
            }
        }
    };
}

simd_with_avx512!(Avx512, IsaLevel::Avx512, narrow_with_integers);
simd_with_avx512!(
    Avx512Bf16,
    IsaLevel::Avx512Bf16,
    narrow_with_bf16,
    // One conversion of two vectors takes as long as one of one.
    #[inline(always)]
    unsafe fn store_bf16_pair(self, to: *mut bf16, [first, second]: [__m512; 2]) {
        // SAFETY: `self` proves the features, the caller the room; both types are 64 plain bytes.
        unsafe {
            let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
            _mm512_storeu_si512(to.cast(), both);
        }
    }
);
