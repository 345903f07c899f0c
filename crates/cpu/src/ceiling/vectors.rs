//! Fused multiply-adds in registers.

use crate::isa::Isa;
use crate::simd::{Kernel, Simd, dispatch};
use std::hint::black_box;

/// Chains that do not depend on each other: more than units times latency, no more than there are registers on AVX2.
const CHAINS: usize = 12;
const LOOPS: usize = 100_000;

/// What [`multiply_add`] computes: two operations a lane, chain and loop.
pub(super) fn flops(isa: Isa) -> f64 {
    (2 * CHAINS * LOOPS * dispatch(isa, Lanes)) as f64
}

pub(super) fn multiply_add(isa: Isa) {
    black_box(dispatch(isa, MultiplyAdd { factor: black_box(0.999), summand: black_box(0.001) }));
}

struct Lanes;

impl Kernel for Lanes {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

/// `x = x · factor + summand` on every chain.
struct MultiplyAdd {
    factor: f32,
    summand: f32,
}

impl Kernel for MultiplyAdd {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (factor, summand) = (simd.splat(self.factor), simd.splat(self.summand));
        let mut chains: [S::F32; CHAINS] = std::array::from_fn(|chain| simd.splat(chain as f32));
        for _ in 0..LOOPS {
            for chain in &mut chains {
                *chain = simd.fma(*chain, factor, summand);
            }
        }
        simd.sum(chains.into_iter().fold(simd.zero(), |total, chain| simd.add(total, chain)))
    }
}
