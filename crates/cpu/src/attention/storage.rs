//! Rows of stored elements to f32 and back, written so that they vectorise.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serin_tensor::Element;

/// An element type whose rows convert fast.
pub(super) trait Storage: Element {
    /// `wide[i] = row[i]`; equal lengths.
    fn widen(row: &[Self], wide: &mut [f32]);
    /// `row[i] = wide[i]`, to nearest, ties to even; equal lengths.
    fn narrow(wide: &[f32], row: &mut [Self]);
}

impl Storage for f32 {
    #[inline(always)]
    fn widen(row: &[f32], wide: &mut [f32]) {
        wide.copy_from_slice(row);
    }
    #[inline(always)]
    fn narrow(wide: &[f32], row: &mut [f32]) {
        row.copy_from_slice(wide);
    }
}

impl Storage for bf16 {
    #[inline(always)]
    fn widen(row: &[bf16], wide: &mut [f32]) {
        assert_eq!(row.len(), wide.len());
        for (wide, value) in wide.iter_mut().zip(row) {
            *wide = f32::from_bits(u32::from(value.to_bits()) << 16);
        }
    }
    #[inline(always)]
    fn narrow(wide: &[f32], row: &mut [bf16]) {
        assert_eq!(row.len(), wide.len());
        for (value, wide) in row.iter_mut().zip(wide) {
            *value = round_to_bf16(*wide);
        }
    }
}

impl Storage for f16 {
    #[inline(always)]
    fn widen(row: &[f16], wide: &mut [f32]) {
        row.convert_to_f32_slice(wide);
    }
    #[inline(always)]
    fn narrow(wide: &[f32], row: &mut [f16]) {
        row.convert_from_f32_slice(wide);
    }
}

/// [`bf16::from_f32`] without a branch.
#[inline(always)]
fn round_to_bf16(value: f32) -> bf16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet_nan = (bits >> 16) | 0x40;
    bf16::from_bits(if value.is_nan() { quiet_nan } else { rounded } as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_to_bf16_agrees_with_half() {
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let value = f32::from_bits(u32::from(high) << 16 | low);
                assert_eq!(round_to_bf16(value).to_bits(), bf16::from_f32(value).to_bits(), "{value:e}");
            }
        }
    }
}
