//! 2ˣ in f32: at most 1.7e-7 relative error, exactly 1 at 0.

/// Coefficients of 2^f on [-1/2, 1/2], minimax in the relative error with the constant held at 1: `1 + f (C[0] + f (C[1] + …))`.
pub(super) const POWERS_OF_TWO: [f32; 5] = [0.693_147, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_8];

/// 2ˣ for x ≤ 127; 0 below -126. NaN stays NaN.
#[inline(always)]
pub(super) fn power_of_two<A: super::compile::Arithmetic>(x: f32) -> f32 {
    /// Adding it rounds to an integer in the low bits of the fraction.
    const ROUNDER: f32 = 1.5 * (1u32 << 23) as f32;
    const BIAS: u32 = 127;
    let shifted = x + ROUNDER;
    let fraction = x - (shifted - ROUNDER);
    let [c1, c2, c3, c4, c5] = POWERS_OF_TWO;
    let mut sum = A::multiply_add(c5, fraction, c4);
    sum = A::multiply_add(sum, fraction, c3);
    sum = A::multiply_add(sum, fraction, c2);
    sum = A::multiply_add(sum, fraction, c1);
    sum = A::multiply_add(sum, fraction, 1.0);
    let power = f32::from_bits(shifted.to_bits().wrapping_add(BIAS) << 23);
    if x < -126.0 { 0.0 } else { sum * power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::compile::{Arithmetic, Kernel, run};
    use crate::isa::Isa;

    struct Check;
    impl Kernel for Check {
        #[inline(always)]
        fn run<A: Arithmetic>(self) {
            for step in -2_000_000..200_000 {
                let x = step as f32 * 6.2e-5;
                let exact = f64::from(x).exp2();
                let error = f64::from(power_of_two::<A>(x)) - exact;
                assert!(error.abs() <= 2.4e-7 * exact, "2^{x}: off by {error:e}");
            }
            assert_eq!(power_of_two::<A>(0.0), 1.0);
            assert_eq!(power_of_two::<A>(-1000.0), 0.0);
            assert_eq!(power_of_two::<A>(f32::NEG_INFINITY), 0.0);
            assert!(power_of_two::<A>(f32::NAN).is_nan());
        }
    }

    #[test]
    fn powers_of_two_are_accurate() {
        run(Isa::default(), Check);
        run(Isa::detect(), Check);
    }
}
