//! Panels of bf16 pairs, by AVX-512: copies of 64 bytes, interleaved lines, transposed tiles.

use super::pack::Source;
use super::tiles::{Layout, PANEL, Pairs, TILE};
use crate::isa::Avx512Bf16;
use crate::simd::Storage;
use half::bf16;
use serin_tensor::DType;
use std::arch::x86_64::*;

/// Fills whole chunks of a panel.
pub(super) fn pack<T: Storage>(_simd: Avx512Bf16, source: Source<'_, T>, panel: &mut [bf16]) {
    // SAFETY: `Avx512Bf16` proves these instructions.
    unsafe { pack_panel(source, panel) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn pack_panel<T: Storage>(source: Source<'_, T>, panel: &mut [bf16]) {
    match (source.matrix.transposed, source.crosses()) {
        (false, false) => copy_rows(source, panel),
        (false, true) => transpose_rows(source, panel),
        (true, crosses) => interleave_lines(source, panel, crosses),
    }
}

/// Pairs of lines of storage, as they are or transposed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn interleave_lines<T: Storage>(source: Source<'_, T>, panel: &mut [bf16], crosses: bool) {
    let ahead = PANELS_AHEAD * source.matrix.piece_step();
    for (index, chunk) in panel.chunks_exact_mut(Pairs::CHUNK).enumerate() {
        let depth = (source.first_chunk + index) * Pairs::DEPTH;
        let [mut left, mut right] = [[_mm512_setzero_si512(); TILE]; 2];
        for (unit, (left, right)) in left.iter_mut().zip(&mut right).enumerate() {
            let line = depth + 2 * unit;
            let first = source.matrix.line(line, source.first_row, PANEL);
            let second = source.matrix.line(line + 1, source.first_row, PANEL);
            fetch_ahead(first, ahead);
            fetch_ahead(second, ahead);
            [*left, *right] = interleave(whole_line(first), whole_line(second));
        }
        for (tile, lines) in chunk.chunks_exact_mut(Pairs::CHUNK / 2).zip([left, right]) {
            store(tile, if crosses { transpose(lines) } else { lines });
        }
    }
}

/// Tiles of rows, transposed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn transpose_rows<T: Storage>(source: Source<'_, T>, panel: &mut [bf16]) {
    for (index, tile) in panel.chunks_exact_mut(Pairs::CHUNK / 2).enumerate() {
        let row = source.first_row + index % (PANEL / TILE) * TILE;
        let depth = (source.first_chunk + index / (PANEL / TILE)) * Pairs::DEPTH;
        let mut lines = [_mm512_setzero_si512(); TILE];
        for (number, line) in lines.iter_mut().enumerate() {
            *line = whole_line(source.matrix.line(row + number, depth, Pairs::DEPTH));
        }
        store(tile, transpose(lines));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(tile: &mut [bf16], lines: [__m512i; TILE]) {
    for (out, line) in tile.chunks_exact_mut(Pairs::DEPTH).zip(lines) {
        // SAFETY: `out` has 32 elements: 64 bytes.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), line) };
    }
}

/// How far ahead lines are fetched.
const PANELS_AHEAD: usize = 4;

/// Fetches what a later panel needs: 32 lines of storage are more than the processor foresees by itself.
#[inline(always)]
fn fetch_ahead<T>(line: &[T], elements: usize) {
    // SAFETY: a prefetch reads nothing that the program could see, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(elements).cast()) };
}

/// Row after row, so that storage is read in its order.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn copy_rows<T: Storage>(source: Source<'_, T>, panel: &mut [bf16]) {
    for row in 0..PANEL {
        let first = source.first_chunk * Pairs::DEPTH;
        let mut line = source.matrix.line(source.first_row + row, first, usize::MAX);
        for out in panel[row * Pairs::DEPTH..].chunks_mut(Pairs::CHUNK) {
            let (values, rest) = line.split_at(line.len().min(Pairs::DEPTH));
            // SAFETY: a chunk has 32 rows of 32 elements, so `out` begins with 64 bytes of this row's.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), whole_line(values)) };
            line = rest;
        }
    }
}

/// Up to 32 values as bf16, then zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn whole_line<T: Storage>(line: &[T]) -> __m512i {
    if T::DTYPE == DType::BF16 {
        // SAFETY: only the lanes that the slice has are read.
        return unsafe { _mm512_maskz_loadu_epi16(first_lanes(line.len()), line.as_ptr().cast()) };
    }
    let (low, high) = line.split_at(line.len().min(TILE));
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(half_line(low)), half_line(high))
}

/// Up to 16 values as bf16, then zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
fn half_line<T: Storage>(line: &[T]) -> __m256i {
    let lanes = first_lanes(line.len()) as __mmask16;
    // SAFETY: only the lanes that the slice has are read; `DTYPE` says what T is; __m256bh and __m256i have the same size.
    unsafe {
        match T::DTYPE {
            DType::BF16 => _mm256_maskz_loadu_epi16(lanes, line.as_ptr().cast()),
            DType::F32 => std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(
                lanes,
                line.as_ptr().cast(),
            ))),
            DType::F16 => unreachable!("pairs are made of bf16 or of f32 master weights"),
        }
    }
}

#[inline(always)]
fn first_lanes(count: usize) -> __mmask32 {
    if count >= 32 { !0 } else { (1 << count) - 1 }
}

/// Lines `a` and `b` of 32 as pairs `(a[i], b[i])`, for the first and the last 16 of them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn interleave(a: __m512i, b: __m512i) -> [__m512i; 2] {
    let (low, high) = (_mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b));
    let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    [_mm512_permutex2var_epi64(low, first, high), _mm512_permutex2var_epi64(low, second, high)]
}

/// The transpose of 16×16 units of 32 bits.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn transpose(rows: [__m512i; TILE]) -> [__m512i; TILE] {
    // After each step, index and lane have exchanged one more bit of their numbers.
    let mut a = rows;
    for i in (0..TILE).step_by(2) {
        (a[i], a[i + 1]) = (_mm512_unpacklo_epi32(rows[i], rows[i + 1]), _mm512_unpackhi_epi32(rows[i], rows[i + 1]));
    }
    let mut b = a;
    for i in (0..TILE).step_by(4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    // Now b[4 g + c] holds, in quarter q, column 4 q + c of rows 4 g..4 g + 4.
    let mut c = b;
    for i in 0..4 {
        for half in [0, 8] {
            c[half + i] = _mm512_shuffle_i32x4::<0x88>(b[half + i], b[half + 4 + i]);
            c[half + 4 + i] = _mm512_shuffle_i32x4::<0xdd>(b[half + i], b[half + 4 + i]);
        }
    }
    let mut columns = c;
    for i in 0..4 {
        columns[i] = _mm512_shuffle_i32x4::<0x88>(c[i], c[8 + i]);
        columns[8 + i] = _mm512_shuffle_i32x4::<0xdd>(c[i], c[8 + i]);
        columns[4 + i] = _mm512_shuffle_i32x4::<0x88>(c[4 + i], c[12 + i]);
        columns[12 + i] = _mm512_shuffle_i32x4::<0xdd>(c[4 + i], c[12 + i]);
    }
    columns
}
