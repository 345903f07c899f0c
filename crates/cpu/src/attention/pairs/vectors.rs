//! AVX-512 pieces: the exponential, dropout's draws, transposes, and stores of finished blocks.

use crate::gemm::kernel::BLOCK;
use crate::gemm::pack_pairs::transpose;
use crate::gemm::tiles::{PANEL, TILE};
use half::bf16;
use serin_ops::Dropout;
use std::arch::x86_64::*;

/// 2ˣ for x ≤ 127, at most 3e-6 off relatively and exactly 1 at whole numbers; 0 in other lanes than `lanes`. NaN stays NaN.
///
/// x is cut into its floor and a fraction in [0, 1), of which the polynomial is minimax in the relative error with the
/// constant held at 1. Probabilities are rounded to bf16, which is 600 times as much.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn power_of_two(x: __m512, lanes: __mmask16) -> __m512 {
    const TO_FLOOR: i32 = 0x09;
    let fraction = _mm512_reduce_ps::<TO_FLOOR>(x);
    let mut sum = _mm512_set1_ps(0.013_426_684);
    for coefficient in [0.052_242_473, 0.241_280_2, 0.693_044_84, 1.0] {
        sum = _mm512_fmadd_ps(sum, fraction, _mm512_set1_ps(coefficient));
    }
    // Scales by the floor of x.
    _mm512_maskz_scalef_ps(lanes, sum, x)
}

/// What a pair of keys has in [`serin_ops::draws`].
const PAIR: u32 = 0x9e37_79b9;

/// [`serin_ops::draws`] of rows' keys mixed with pairs: two draws of 16 bits in each lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn draws(row_key: __m512i, pair: __m512i) -> __m512i {
    let x = _mm512_xor_si512(row_key, pair);
    let x = _mm512_xor_si512(x, _mm512_srli_epi32::<16>(x));
    let x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7feb_352d));
    let x = _mm512_xor_si512(x, _mm512_srli_epi32::<15>(x));
    let x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x846c_a68b_u32 as i32));
    _mm512_xor_si512(x, _mm512_srli_epi32::<16>(x))
}

/// The draws of 32 queries, each a lane.
#[derive(Clone, Copy)]
pub(super) struct Draws {
    keys: [__m512i; 2],
    threshold: __m512i,
}

impl Draws {
    /// Of the mask's rows with these keys.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new(dropout: &Dropout, keys: &[u32; PANEL]) -> Draws {
        Draws {
            // SAFETY: 16 keys are there at either place.
            keys: [0, TILE].map(|half| unsafe { _mm512_loadu_si512(keys.as_ptr().add(half).cast()) }),
            threshold: _mm512_set1_epi32((dropout.threshold << 16) as i32),
        }
    }

    /// Which of 16 queries keep keys `2 * pair` and `2 * pair + 1`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn keep(&self, half: usize, pair: usize) -> [__mmask16; 2] {
        let draws = draws(self.keys[half], _mm512_set1_epi32((pair as u32).wrapping_mul(PAIR) as i32));
        let first = _mm512_slli_epi32::<16>(draws);
        [first, draws].map(|draws| _mm512_cmpge_epu32_mask(draws, self.threshold))
    }
}

/// The draws of 32 queries, each a row.
#[derive(Clone, Copy)]
pub(super) struct RowDraws {
    dropout: Dropout,
    keys: [u32; PANEL],
}

impl RowDraws {
    /// Of the mask's rows from `first` on.
    pub(super) fn new(dropout: Dropout, first: u64) -> RowDraws {
        RowDraws { dropout, keys: std::array::from_fn(|query| dropout.row_key(first + query as u64)) }
    }

    /// Those of block `index` of the keys.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn of_keys(&self, index: usize) -> BlockDraws<'_> {
        let first = _mm512_set1_epi32((index * TILE) as i32);
        let pairs = _mm512_add_epi32(first, _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
        BlockDraws {
            keys: &self.keys,
            pairs: _mm512_mullo_epi32(pairs, _mm512_set1_epi32(PAIR as i32)),
            threshold: _mm512_set1_epi32((self.dropout.threshold << 16 | self.dropout.threshold) as i32),
        }
    }
}

/// The draws of 32 queries for 32 keys.
pub(super) struct BlockDraws<'a> {
    keys: &'a [u32; PANEL],
    pairs: __m512i,
    threshold: __m512i,
}

impl BlockDraws<'_> {
    /// Which of the keys query `row` keeps.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn keep(&self, row: usize) -> __mmask32 {
        let draws = draws(_mm512_set1_epi32(self.keys[row] as i32), self.pairs);
        _mm512_cmpge_epu16_mask(draws, self.threshold)
    }
}

/// Two rows of 16 to bf16, interleaved: lane `2 * i` from `first`, lane `2 * i + 1` from `second`; 0 where not `keep`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pairs(first: __m512, second: __m512, keep: __mmask32) -> __m512i {
    const ORDER: [u16; PANEL] = {
        let mut order = [0; PANEL];
        let mut lane = 0;
        while lane < PANEL {
            order[lane] = (lane / 2 + lane % 2 * TILE) as u16;
            lane += 1;
        }
        order
    };
    // SAFETY: an array of 64 bytes.
    let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
    _mm512_maskz_permutexvar_epi16(keep, order, side_by_side(first, second))
}

/// Two rows of 16 to bf16, one after the other.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn side_by_side(first: __m512, second: __m512) -> __m512i {
    // SAFETY: both types are 64 plain bytes.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first)) }
}

/// 16 lanes of row `row` of a block, from column `16 * half`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(block: &[f32; BLOCK], row: usize, half: usize) -> __m512 {
    let values = &block[row * PANEL + half * TILE..][..TILE];
    // SAFETY: 16 values are there.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

/// The transpose of a block, times a factor for each column of it: calls `store` with each new row's halves in bf16, as
/// (row, first column, 16 values).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn transposed_rows(
    block: &[f32; BLOCK],
    factors: [__m512; 2],
    mut store: impl FnMut(usize, usize, [bf16; TILE]),
) {
    for (half, factor) in factors.into_iter().enumerate() {
        for column in [0, TILE] {
            let mut tile = [_mm512_setzero_si512(); TILE];
            for (row, lanes) in tile.iter_mut().enumerate() {
                *lanes = _mm512_castps_si512(_mm512_mul_ps(load(block, column + row, half), factor));
            }
            for (row, lanes) in transpose(tile).into_iter().enumerate() {
                // SAFETY: both types are 32 plain bytes, any bits of which are bf16.
                let values = unsafe {
                    std::mem::transmute::<__m256bh, [bf16; TILE]>(_mm512_cvtneps_pbh(_mm512_castsi512_ps(lanes)))
                };
                store(half * TILE + row, column, values);
            }
        }
    }
}

/// Writes 32 bf16.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn write(to: &mut [bf16], value: __m512i) {
    assert_eq!(to.len(), PANEL);
    // SAFETY: 64 bytes are there.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use serin_ops::{DropoutSite, keep};

    fn missing() -> bool {
        let missing = Isa::detect().avx512_bf16.is_none();
        if missing {
            eprintln!("skipped: this machine has no avx512-bf16");
        }
        missing
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn power_of_two_of(x: f32) -> f32 {
        _mm512_cvtss_f32(power_of_two(_mm512_set1_ps(x), !0))
    }

    #[test]
    fn powers_of_two_are_accurate() {
        if missing() {
            return;
        }
        // SAFETY: the machine has `avx512-bf16` and so all of AVX-512 named there.
        let got = |x| unsafe { power_of_two_of(x) };
        for step in -2_000_000..2_000_000 {
            let x = step as f32 * 6.2e-5;
            let exact = f64::from(x).exp2();
            let error = (f64::from(got(x)) - exact).abs();
            assert!(error <= 3e-6 * exact, "2^{x}: off by {error:e}");
        }
        assert_eq!([got(0.0), got(-1000.0), got(f32::NEG_INFINITY)], [1.0, 0.0, 0.0]);
        assert!(got(f32::NAN).is_nan());
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn columns_of(dropout: &Dropout, keys: &[u32; PANEL], half: usize, pair: usize) -> [__mmask16; 2] {
        Draws::new(dropout, keys).keep(half, pair)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn row_of(dropout: &Dropout, row: usize, block: usize) -> __mmask32 {
        RowDraws::new(*dropout, 0).of_keys(block).keep(row)
    }

    #[test]
    fn masks_are_those_of_the_definition() {
        if missing() {
            return;
        }
        for probability in [1e-4, 0.1, 0.5, 1.0] {
            let dropout = Dropout::new(probability, 5, 6, 7, DropoutSite::AttentionProbabilities).unwrap();
            let kept = |query: usize, key: usize| keep(&dropout, query as u64, key as u32);
            let keys = std::array::from_fn(|query| dropout.row_key(query as u64));
            for (half, pair) in (0..2).flat_map(|half| (0..500).map(move |pair| (half, pair))) {
                // SAFETY: the machine has `avx512-bf16` and so all of AVX-512 named there.
                let columns = unsafe { columns_of(&dropout, &keys, half, pair) };
                for (query, key) in (0..TILE).flat_map(|query| [(query, 0), (query, 1)]) {
                    assert_eq!(columns[key] >> query & 1 == 1, kept(half * TILE + query, 2 * pair + key));
                }
            }
            for (row, block) in (0..PANEL).flat_map(|row| (0..30).map(move |block| (row, block))) {
                // SAFETY: as above.
                let mask = unsafe { row_of(&dropout, row, block) };
                for key in 0..PANEL {
                    assert_eq!(mask >> key & 1 == 1, kept(row, block * PANEL + key));
                }
            }
        }
    }
}
