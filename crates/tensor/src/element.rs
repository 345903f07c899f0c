//! The three element types of the engine and their conversion to and from `f32`.

use bytemuck::Pod;
use half::{bf16, f16};
use std::fmt;

/// How a number is stored. Products always accumulate in `F32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// The upper half of binary32: 8 bits of exponent, 7 of fraction.
    BF16,
    /// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
    F16,
}

impl DType {
    /// Bytes an element takes.
    pub const fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::BF16 | DType::F16 => 2,
        }
    }

    /// The unit roundoff: half the distance from 1 to the next number.
    pub const fn unit_roundoff(self) -> f64 {
        match self {
            DType::F32 => 1.0 / (1u64 << 24) as f64,
            DType::BF16 => 1.0 / 256.0,
            DType::F16 => 1.0 / 2048.0,
        }
    }

    /// The name `transformers` gives it in `config.json`.
    pub const fn hugging_face_name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "fp32",
            DType::BF16 => "bf16",
            DType::F16 => "fp16",
        })
    }
}

/// A type that an [`AlignedBuffer`](crate::AlignedBuffer) can hold as activations or weights.
pub trait Element: Pod + Send + Sync + fmt::Debug {
    /// The tag that buffers of this type carry.
    const DTYPE: DType;
    /// Widens; exact.
    fn to_f32(self) -> f32;
    /// Narrows; round to nearest, ties to even.
    fn from_f32(value: f32) -> Self;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> f32 {
        value
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::BF16;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn from_f32(value: f32) -> bf16 {
        bf16::from_f32(value)
    }
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    #[inline(always)]
    fn from_f32(value: f32) -> f16 {
        f16::from_f32(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_widening_agrees_with_half_for_every_bit_pattern() {
        for bits in 0..=u16::MAX {
            let value = bf16::from_bits(bits);
            assert_eq!(Element::to_f32(value).to_bits() & 0xffbf_ffff, value.to_f32().to_bits() & 0xffbf_ffff);
        }
    }

    #[test]
    fn unit_roundoff_is_half_the_gap_above_one() {
        assert_eq!(DType::F32.unit_roundoff(), f64::from(f32::EPSILON) / 2.0);
        assert_eq!(DType::BF16.unit_roundoff(), bf16::EPSILON.to_f64() / 2.0);
        assert_eq!(DType::F16.unit_roundoff(), f16::EPSILON.to_f64() / 2.0);
    }
}
