//! A bound of scores before they are multiplied: `|q · k| <= |q| |k|` (Cauchy and Schwarz).

use super::{CHUNK, PANEL};
use half::bf16;
use std::arch::x86_64::*;
use std::f32::consts::LOG2_E;

/// To the base 2, how large or small exponentials may become of which nothing is subtracted: their sums, and products with
/// values up to 2⁶⁰ in size and down to 2⁻⁶⁰, are as precise as any in f32, and bf16 has the same exponents.
const LIMIT: f32 = 48.0;

/// Whether exponentials of scores of this size or less need no reference. Not for NaN.
pub(super) fn holds(score: f32) -> bool {
    score * LOG2_E <= LIMIT
}

/// At least the length of the longest row of a left panel: the root of the sum, over four columns at a time, of the largest
/// squares. NaN is left out here as below: its scores are NaN whatever is subtracted.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn longest_row(panel: &[bf16]) -> f32 {
    let mut largest = _mm512_setzero_ps();
    for row in 0..PANEL {
        let mut squares = _mm512_setzero_ps();
        for chunk in panel.chunks_exact(CHUNK) {
            squares = add_squares(squares, &chunk[row * PANEL..][..PANEL]);
        }
        largest = _mm512_max_ps(squares, largest);
    }
    _mm512_reduce_add_ps(largest).sqrt()
}

/// The length of the longest column of right panels of so many chunks.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn longest_column(panels: &[bf16], chunks: usize) -> f32 {
    let mut largest = _mm512_setzero_ps();
    for panel in panels.chunks_exact(chunks * CHUNK) {
        for half in 0..2 {
            let mut squares = _mm512_setzero_ps();
            for chunk in panel.chunks_exact(CHUNK) {
                for pairs in chunk[half * CHUNK / 2..][..CHUNK / 2].chunks_exact(PANEL) {
                    squares = add_squares(squares, pairs);
                }
            }
            largest = _mm512_max_ps(squares, largest);
        }
    }
    _mm512_reduce_max_ps(largest).sqrt()
}

/// `sum[i] += pairs[2 i]² + pairs[2 i + 1]²`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn add_squares(sum: __m512, pairs: &[bf16]) -> __m512 {
    assert_eq!(pairs.len(), PANEL);
    // SAFETY: 64 bytes are there, as in `__m512bh`.
    let pairs = unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(pairs.as_ptr().cast())) };
    _mm512_dpbf16_ps(sum, pairs, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    /// Rows of a head of 64, with a lone large row.
    fn rows() -> Vec<[f32; 64]> {
        let value = |row: usize, column: usize| ((row * 977 + column * 7919) % 1009) as f32 / 504.5 - 1.0;
        let row = |row| std::array::from_fn(|column| if row == 41 { 3.0 } else { value(row, column) });
        (0..2 * PANEL).map(row).collect()
    }

    /// Panels of 64 rows and two chunks: `[panel, chunk, row, depth]`, or with tiles of 16 rows as `[units, rows, 2]`.
    fn panels(right: bool) -> Vec<bf16> {
        let mut panels = vec![bf16::ZERO; 2 * 2 * CHUNK];
        for (row, values) in rows().iter().enumerate() {
            for (column, &value) in values.iter().enumerate() {
                let chunk = (row / PANEL * 2 + column / PANEL) * CHUNK;
                let (row, depth) = (row % PANEL, column % PANEL);
                let place = match right {
                    true => row / 16 * CHUNK / 2 + depth / 2 * PANEL + row % 16 * 2 + depth % 2,
                    false => row * PANEL + depth,
                };
                panels[chunk + place] = bf16::from_f32(value);
            }
        }
        panels
    }

    fn length(row: &[f32; 64]) -> f32 {
        row.iter().map(|value| value * value).sum::<f32>().sqrt()
    }

    #[test]
    fn lengths_are_those_of_the_longest() {
        if Isa::detect().avx512_bf16.is_none() {
            eprintln!("skipped: this machine has no avx512-bf16");
            return;
        }
        let longest = |rows: &[[f32; 64]]| rows.iter().map(length).fold(0.0, f32::max);
        // SAFETY: the machine has `avx512-bf16` and so all of AVX-512 named there.
        let column = unsafe { longest_column(&panels(true), 2) };
        assert!((column / longest(&rows()) - 1.0).abs() < 0.01, "{column}");
        for (panel, rows) in panels(false).chunks_exact(2 * CHUNK).zip(rows().chunks_exact(PANEL)) {
            // SAFETY: as above.
            let row = unsafe { longest_row(panel) };
            assert!((0.99..2.0).contains(&(row / longest(rows))), "{row}");
        }
    }

    #[test]
    fn no_bound_holds_for_what_is_no_number() {
        assert_eq!([30.0, 40.0, f32::INFINITY, f32::NAN].map(holds), [true, false, false, false]);
    }
}
