//! Vectors in plain Rust: eight lanes in an array.

use super::Simd;
use crate::isa::IsaLevel;
use half::{bf16, f16};

/// Needs nothing of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

const LANES: usize = 8;
type F32 = [f32; LANES];
type U32 = [u32; LANES];

#[inline(always)]
fn zip<T: Copy, R>(a: [T; LANES], b: [T; LANES], f: impl Fn(T, T) -> R) -> [R; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

#[inline(always)]
fn fold(a: F32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let four: [f32; 4] = std::array::from_fn(|lane| f(a[lane], a[lane + 4]));
    f(f(four[0], four[2]), f(four[1], four[3]))
}

/// 2ⁿ for an integer `n` in -126..=127.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    f32::from_bits(((n as i32).wrapping_add(127) as u32) << 23)
}

/// The rounded upper half, without a branch, so that the compiler can do lanes side by side.
#[inline(always)]
fn narrow_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let kept = if value.is_nan() { bits | 0x40_0000 } else { rounded };
    (kept >> 16) as u16
}

impl Simd for Portable {
    const LANES: usize = LANES;
    const LEVEL: IsaLevel = IsaLevel::Portable;
    type F32 = F32;
    type U32 = U32;
    type Mask = [bool; LANES];

    #[inline(always)]
    fn splat(self, value: f32) -> F32 {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F32 {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<F32>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> F32 {
        // SAFETY: the caller's promise.
        let bits = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        bits.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> F32 {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[f16; LANES]>().read_unaligned() }.map(f16::to_f32)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: F32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<F32>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, value: F32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(value.map(narrow_to_bf16)) }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16, value: F32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f16; LANES]>().write_unaligned(value.map(f16::from_f32)) }
    }

    #[inline(always)]
    fn add(self, a: F32, b: F32) -> F32 {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: F32, b: F32) -> F32 {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: F32, b: F32) -> F32 {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: F32, b: F32) -> F32 {
        zip(a, b, |a, b| a / b)
    }
    // Not `mul_add`: without FMA it is a call of the C library a lane.
    #[inline(always)]
    fn fma(self, a: F32, b: F32, c: F32) -> F32 {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    fn neg_fma(self, a: F32, b: F32, c: F32) -> F32 {
        std::array::from_fn(|lane| c[lane] - a[lane] * b[lane])
    }
    #[inline(always)]
    fn max(self, a: F32, b: F32) -> F32 {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: F32, b: F32) -> F32 {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: F32) -> F32 {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn abs(self, a: F32) -> F32 {
        a.map(f32::abs)
    }
    // Adding 1.5 · 2²³ leaves no room for a fraction; `round_ties_even` would be a call a lane.
    #[inline(always)]
    fn round(self, a: F32) -> F32 {
        a.map(|a| (a + 12_582_912.0) - 12_582_912.0)
    }
    // Two factors, so that each is a normal number; the first product is exact unless the result overflows anyway.
    #[inline(always)]
    fn scale(self, a: F32, n: F32) -> F32 {
        let half = self.round(self.mul(n, self.splat(0.5)));
        let rest = self.sub(n, half);
        let scaled = zip(a, half, |a, n| a * power_of_two(n));
        zip(scaled, rest, |a, n| a * power_of_two(n))
    }
    #[inline(always)]
    fn less(self, a: F32, b: F32) -> [bool; LANES] {
        zip(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn select(self, mask: [bool; LANES], a: F32, b: F32) -> F32 {
        std::array::from_fn(|lane| if mask[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 16], index: F32) -> F32 {
        index.map(|index| table[index.to_bits() as usize % 16])
    }
    #[inline(always)]
    fn sum(self, a: F32) -> f32 {
        fold(a, |a, b| a + b)
    }
    #[inline(always)]
    fn max_lane(self, a: F32) -> f32 {
        fold(a, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn splat_u32(self, value: u32) -> U32 {
        [value; LANES]
    }
    #[inline(always)]
    fn lane_numbers(self) -> U32 {
        std::array::from_fn(|lane| lane as u32)
    }
    #[inline(always)]
    fn add_u32(self, a: U32, b: U32) -> U32 {
        zip(a, b, u32::wrapping_add)
    }
    #[inline(always)]
    fn mul_u32(self, a: U32, b: U32) -> U32 {
        zip(a, b, u32::wrapping_mul)
    }
    #[inline(always)]
    fn xor_u32(self, a: U32, b: U32) -> U32 {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn shift_right_u32<const N: u32>(self, a: U32) -> U32 {
        a.map(|a| a >> N)
    }
    #[inline(always)]
    fn halves_at_least(self, a: U32, threshold: u32) -> [[bool; LANES]; 2] {
        let half = |index: usize| (a[index / 2] >> (16 * (index % 2))) & 0xffff;
        [0, LANES].map(|first| std::array::from_fn(|lane| half(first + lane) >= threshold))
    }
}
