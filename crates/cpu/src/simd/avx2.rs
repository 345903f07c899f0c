//! Vectors of AVX2 with FMA and F16C: eight lanes.

use super::{Kernel, Simd, run_kernel};
use crate::isa::{Avx2, IsaLevel};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Runs a kernel compiled for AVX2.
#[inline]
pub(super) fn run<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn with_features<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
        run_kernel(simd, kernel)
    }
    // SAFETY: `simd` proves that the CPU has the features.
    unsafe { with_features(simd, kernel) }
}

/// Evaluates an expression of AVX2 intrinsics in a method of [`Avx2`].
macro_rules! avx2 {
    ($expression:expr) => {{
        // SAFETY: `self` proves that the CPU has the features; pointers are as the method's caller promised.
        unsafe { $expression }
    }};
}

/// Sixteen-bit halves of the rounded bits, in the order of lanes.
#[inline(always)]
unsafe fn narrow_to_bf16(value: __m256) -> __m128i {
    // SAFETY: the caller runs with AVX2.
    unsafe {
        let bits = _mm256_castps_si256(value);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
        let upper = _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, nan));
        let packed = _mm256_packus_epi32(upper, upper);
        _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b1000>(packed))
    }
}

/// 2ⁿ for integers `n` in -126..=127.
#[inline(always)]
unsafe fn power_of_two(n: __m256) -> __m256 {
    // SAFETY: the caller runs with AVX2.
    unsafe {
        let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const LEVEL: IsaLevel = IsaLevel::Avx2;
    type F32 = __m256;
    type U32 = __m256i;
    type Mask = __m256;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        avx2!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        avx2!(_mm256_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> __m256 {
        avx2!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())))))
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> __m256 {
        avx2!(_mm256_cvtph_ps(_mm_loadu_si128(from.cast())))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m256) {
        avx2!(_mm256_storeu_ps(to, value))
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, value: __m256) {
        avx2!(_mm_storeu_si128(to.cast(), narrow_to_bf16(value)))
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16, value: __m256) {
        avx2!(_mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)))
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        avx2!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn neg_fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        avx2!(_mm256_fnmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        avx2!(_mm256_sqrt_ps(a))
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        avx2!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        avx2!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
    }
    // Two factors, so that each is a normal number; the first product is exact unless the result overflows anyway.
    #[inline(always)]
    fn scale(self, a: __m256, n: __m256) -> __m256 {
        let half = self.round(self.mul(n, self.splat(0.5)));
        let rest = self.sub(n, half);
        avx2!(_mm256_mul_ps(_mm256_mul_ps(a, power_of_two(half)), power_of_two(rest)))
    }
    #[inline(always)]
    fn less(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, mask: __m256, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_blendv_ps(b, a, mask))
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 16], index: __m256) -> __m256 {
        avx2!({
            let lanes = _mm256_castps_si256(index);
            let entry = |half: usize| _mm256_permutevar8x32_ps(_mm256_loadu_ps(table.as_ptr().add(8 * half)), lanes);
            // Bit 3 of the number becomes the sign, which chooses.
            _mm256_blendv_ps(entry(0), entry(1), _mm256_castsi256_ps(_mm256_slli_epi32::<28>(lanes)))
        })
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        avx2!({
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    fn max_lane(self, a: __m256) -> f32 {
        avx2!({
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }

    #[inline(always)]
    fn splat_u32(self, value: u32) -> __m256i {
        avx2!(_mm256_set1_epi32(value as i32))
    }
    #[inline(always)]
    fn lane_numbers(self) -> __m256i {
        avx2!(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
    }
    #[inline(always)]
    fn add_u32(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn mul_u32(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_mullo_epi32(a, b))
    }
    #[inline(always)]
    fn xor_u32(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn shift_right_u32<const N: u32>(self, a: __m256i) -> __m256i {
        avx2!(_mm256_srl_epi32(a, _mm_cvtsi32_si128(N as i32)))
    }
    #[inline(always)]
    fn halves_at_least(self, a: __m256i, threshold: u32) -> [__m256; 2] {
        avx2!({
            let at_least = _mm256_cmpeq_epi16(_mm256_max_epu16(a, _mm256_set1_epi16(threshold as i16)), a);
            let low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(at_least));
            let high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(at_least));
            [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
        })
    }
}
