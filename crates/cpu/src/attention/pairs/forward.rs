//! The forward pass of one head in pairs of bf16.

use super::pack::Rows;
use super::vectors::{Draws, load, pairs, power_of_two, transposed_rows, write};
use super::{BLOCK, CHUNK, PANEL, PairKernel, Products, Work, cut_blocks, cut_chunks, words};
use crate::attention::forward::Columns;
use crate::attention::heads::{Head, Shared};
use crate::gemm::tiles::TILE;
use half::bf16;
use serin_ops::{AttentionShape, Dropout};
use std::arch::x86_64::*;
use std::f32::consts::{LN_2, LOG2_E};

/// The forward pass of one head.
pub(super) struct Forward<'a> {
    pub(super) head: Head,
    pub(super) shape: AttentionShape,
    pub(super) dropout: Option<Dropout>,
    /// `[rows, 3 * width]`.
    pub(super) qkv: &'a [bf16],
    /// `[rows, width]`; this head's columns of its sequence's rows are written.
    pub(super) out: &'a Shared<'a, bf16>,
    /// `[heads, rows]`; this head's part of its row is written.
    pub(super) log_sum_exp: Option<&'a Shared<'a, f32>>,
}

impl Forward<'_> {
    /// f32 of working memory that a head of a sequence of `len` needs.
    fn memory(&self) -> usize {
        let (long, wide) = (self.head.len.div_ceil(PANEL), self.shape.head_dim / PANEL);
        words(2 * long * wide + wide + long, long + 1)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn compute<K: PairKernel>(&self, kernel: K, mut memory: &mut [f32]) {
        let Head { head, first, len, .. } = self.head;
        let AttentionShape { heads, head_dim } = self.shape;
        let (long, wide) = (len.div_ceil(PANEL), head_dim / PANEL);
        let k_panels = cut_chunks(&mut memory, long * wide);
        let v_panels = cut_chunks(&mut memory, long * wide);
        let q_panel = cut_chunks(&mut memory, wide);
        let p_panel = cut_chunks(&mut memory, long);
        let scores = cut_blocks(&mut memory, long);
        let [output] = cut_blocks(&mut memory, 1) else { unreachable!("one block was cut") };

        let products = Products::begin(kernel);
        let qkv = Columns::of_qkv(self.qkv, self.shape);
        let of = |columns, first, rows| Rows { columns, first, rows, head_dim };
        of(qkv.part(heads + head), first, len).left_by_width(k_panels);
        of(qkv.part(2 * heads + head), first, len).left_by_length(v_panels);
        for start in (0..len).step_by(PANEL) {
            let rows = PANEL.min(len - start);
            of(qkv.part(head), first + start, rows).right_by_width(q_panel);
            for (keys, scores) in k_panels.chunks_exact(wide * CHUNK).zip(&mut *scores) {
                products.block(keys, q_panel, wide, scores, false);
            }
            let factors = self.softmax(start, rows, scores, p_panel);
            for (index, values) in v_panels.chunks_exact(long * CHUNK).enumerate() {
                products.block(values, p_panel, long, output, false);
                let column = head * head_dim + index * PANEL;
                transposed_rows(output, factors, |row, values| {
                    if row < rows {
                        // SAFETY: only this task writes this head's columns of this sequence's rows.
                        write(unsafe { self.out.part(first + start + row, column..column + PANEL) }, values);
                    }
                });
            }
        }
    }

    /// Turns scores of 32 queries into dropped exponentials in pairs of keys, and saves the statistics of the first
    /// `rows`; returns what the output must be multiplied by.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    fn softmax(&self, start: usize, rows: usize, scores: &[[f32; BLOCK]], p_panel: &mut [bf16]) -> [__m512; 2] {
        let scale = 1.0 / (self.shape.head_dim as f32).sqrt();
        let largest = largest(scores, self.head.len);
        let exponent = Exponent {
            factor: _mm512_set1_ps(scale * LOG2_E),
            shift: largest.map(|largest| _mm512_mul_ps(largest, _mm512_set1_ps(-scale * LOG2_E))),
        };
        let (sums, kept_scale) = match &self.dropout {
            None => (exponentials(scores, self.head.len, exponent, None, p_panel), 1.0),
            Some(dropout) => {
                let first = self.head.mask_row(self.shape.heads) + start as u64;
                let keys = std::array::from_fn(|query| dropout.row_key(first + query as u64));
                let draws = Draws::new(dropout, &keys);
                (exponentials(scores, self.head.len, exponent, Some(draws), p_panel), dropout.scale)
            }
        };
        if let Some(saved) = self.log_sum_exp {
            let row = self.head.first + start;
            // SAFETY: only this task writes this head's statistics of this sequence's rows.
            let saved = unsafe { saved.part(self.head.head, row..row + rows) };
            for half in 0..2 {
                let (largest, sums) = (lanes(largest[half]), lanes(sums[half]));
                for (query, saved) in saved.iter_mut().skip(half * TILE).take(TILE).enumerate() {
                    *saved = largest[query] * scale + sums[query].log2() * LN_2;
                }
            }
        }
        sums.map(|sums| _mm512_div_ps(_mm512_set1_ps(kept_scale), sums))
    }
}

impl Work for Forward<'_> {
    fn run<K: PairKernel>(self, kernel: K) {
        crate::attention::scratch::with(self.memory(), |memory| {
            // SAFETY: a kernel of pairs exists only where `avx512bf16` and all of AVX-512 named there do.
            unsafe { self.compute(kernel, memory) }
        });
    }
}

/// `score * factor + shift` is the base-2 logarithm of a probability, but for normalisation.
#[derive(Clone, Copy)]
struct Exponent {
    factor: __m512,
    shift: [__m512; 2],
}

fn lanes(vector: __m512) -> [f32; TILE] {
    // SAFETY: both are 64 plain bytes.
    unsafe { std::mem::transmute(vector) }
}

/// Each query's largest score over the first `keys`.
#[inline]
#[target_feature(enable = "avx512f")]
fn largest(scores: &[[f32; BLOCK]], keys: usize) -> [__m512; 2] {
    let mut largest = [[_mm512_set1_ps(f32::NEG_INFINITY); 2]; 4];
    for (index, block) in scores.iter().enumerate() {
        let rows = PANEL.min(keys - index * PANEL);
        for row in 0..rows {
            for half in 0..2 {
                largest[row % 4][half] = _mm512_max_ps(load(block, row, half), largest[row % 4][half]);
            }
        }
    }
    let [a, b, c, d] = largest;
    [0, 1].map(|half| _mm512_max_ps(_mm512_max_ps(a[half], b[half]), _mm512_max_ps(c[half], d[half])))
}

/// `2^(score * factor + shift)` as a right panel, zeros beyond `keys`; returns the sums over keys, undropped.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn exponentials(
    scores: &[[f32; BLOCK]],
    keys: usize,
    exponent: Exponent,
    draws: Option<Draws>,
    panel: &mut [bf16],
) -> [__m512; 2] {
    let mut sums = [[_mm512_setzero_ps(); 2]; 2];
    for (index, (block, chunk)) in scores.iter().zip(panel.chunks_exact_mut(CHUNK)).enumerate() {
        let rows = PANEL.min(keys - index * PANEL);
        for pair in 0..rows.div_ceil(2) {
            let second_lanes = if 2 * pair + 1 < rows { !0 } else { 0 };
            for half in 0..2 {
                let [first, second] = [(0, !0), (1, second_lanes)].map(|(row, lanes)| {
                    let score = load(block, 2 * pair + row, half);
                    power_of_two(_mm512_fmadd_ps(score, exponent.factor, exponent.shift[half]), lanes)
                });
                sums[0][half] = _mm512_add_ps(sums[0][half], first);
                sums[1][half] = _mm512_add_ps(sums[1][half], second);
                let keep = draws.map_or(!0, |draws| draws.keep_interleaved(half, index * TILE + pair));
                write(&mut chunk[half * CHUNK / 2 + pair * PANEL..][..PANEL], pairs(first, second, keep));
            }
        }
        for half in chunk.chunks_exact_mut(CHUNK / 2) {
            half[rows.div_ceil(2) * PANEL..].fill(bf16::ZERO);
        }
    }
    [0, 1].map(|half| _mm512_add_ps(sums[0][half], sums[1][half]))
}
