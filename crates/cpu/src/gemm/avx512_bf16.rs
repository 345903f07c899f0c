//! bf16 blocks on `avx512bf16`: `vdpbf16ps` of a broadcast pair and 16 columns' pairs.

use super::kernel::{BLOCK, Beside, BlockKernel};
use super::tiles::{Layout, PANEL, Pairs, TILE};
use crate::isa::Avx512Bf16;
use crate::simd::Simd;
use half::bf16;
use std::arch::x86_64::*;

/// Rows whose sums are in registers at once: 8 × 2 vectors.
const ROWS: usize = 8;

impl BlockKernel for Avx512Bf16 {
    type Left = Pairs;
    type Right = Pairs;
    type Session = ();

    #[cfg(test)]
    fn level(self, _isa: crate::isa::Isa) -> crate::isa::IsaLevel {
        crate::isa::IsaLevel::Avx512Bf16
    }

    fn begin(self) {}

    #[inline(always)]
    unsafe fn block_beside<S: Simd>(
        self,
        _simd: S,
        left: *const bf16,
        right: *const bf16,
        chunks: usize,
        c: &mut [f32; BLOCK],
        accumulate: bool,
        beside: &mut impl Beside,
    ) {
        for _ in 0..chunks {
            beside.fetch(1);
            beside.advance();
        }
        for (group, c) in c.chunks_exact_mut(ROWS * PANEL).enumerate() {
            // SAFETY: `Avx512Bf16` proves the instructions; the panels hold `chunks` chunks of 32 rows of 32 elements, of
            // which this group reads rows `8 * group..`.
            unsafe { rows(left.add(group * ROWS * Pairs::DEPTH), right, chunks, c, accumulate) };
        }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows(left: *const bf16, right: *const bf16, chunks: usize, c: &mut [f32], accumulate: bool) {
    assert_eq!(c.len(), ROWS * PANEL);
    let c = c.as_mut_ptr();
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    // SAFETY: the caller gives whole chunks: 512 units of 4 bytes on either side; `c` has 8 rows of 32.
    unsafe {
        if accumulate {
            for (row, sums) in sums.iter_mut().enumerate() {
                *sums = [_mm512_loadu_ps(c.add(row * PANEL)), _mm512_loadu_ps(c.add(row * PANEL + TILE))];
            }
        }
        for chunk in 0..chunks {
            let left = left.cast::<i32>().add(chunk * PANEL * TILE);
            let right = right.cast::<i32>().add(chunk * PANEL * TILE);
            for unit in 0..TILE {
                let columns = [load_pairs(right.add(unit * TILE)), load_pairs(right.add((TILE + unit) * TILE))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let pair: __m512bh = std::mem::transmute(_mm512_set1_epi32(*left.add(row * TILE + unit)));
                    sums[0] = _mm512_dpbf16_ps(sums[0], pair, columns[0]);
                    sums[1] = _mm512_dpbf16_ps(sums[1], pair, columns[1]);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            _mm512_storeu_ps(c.add(row * PANEL), sums[0]);
            _mm512_storeu_ps(c.add(row * PANEL + TILE), sums[1]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn load_pairs(units: *const i32) -> __m512bh {
    // SAFETY: the caller has 16 units there; the cast changes the type of the lanes only.
    unsafe { std::mem::transmute(_mm512_loadu_si512(units.cast())) }
}
