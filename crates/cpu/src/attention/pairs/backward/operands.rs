//! What the backward pass of a head reads, laid out for its products.

use super::super::pack::Rows;
use super::{Backward, PANEL, cut_chunks, words};
use crate::attention::forward::Columns;
use crate::attention::scratch::cut;
use half::bf16;
use std::f32::consts::LOG2_E;

/// Panels of one head's sequence.
pub(super) struct Operands<'a> {
    /// Left panels, depth along the width.
    pub(super) k: &'a [bf16],
    pub(super) v: &'a [bf16],
    /// Right panels, depth along the width.
    pub(super) q: &'a [bf16],
    pub(super) d_o: &'a [bf16],
    /// Left panels, depth along the sequence.
    pub(super) k_by_length: &'a [bf16],
    /// Right panels, depth along the sequence.
    pub(super) q_by_length: &'a [bf16],
    pub(super) d_o_by_length: &'a [bf16],
    /// What is the same for all keys, for each panel of queries.
    pub(super) queries: &'a [Queries],
}

/// Statistics of 32 queries; those beyond the sequence have zeros.
#[repr(C)]
pub(super) struct Queries {
    /// `-log_sum_exp` to the base 2.
    pub(super) shift: [f32; PANEL],
    /// `D / scale` with D the sum of `dO ⊙ O`.
    pub(super) d: [f32; PANEL],
    /// Of the rows of the dropout mask.
    pub(super) mask_keys: [u32; PANEL],
}

/// f32 of working memory.
pub(super) fn memory(long: usize, wide: usize) -> usize {
    words(7 * long * wide, 0) + long * size_of::<Queries>() / size_of::<f32>()
}

impl<'a> Operands<'a> {
    /// Lays out the operands of a head.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    pub(super) fn pack(head: &Backward<'_>, memory: &mut &'a mut [f32]) -> Operands<'a> {
        let [long, wide] = head.blocks();
        let [k, v, q, d_o, k_by_length, q_by_length, d_o_by_length] =
            std::array::from_fn(|_| cut_chunks(memory, long * wide));
        let queries = cut_queries(memory, long);
        let (heads, own) = (head.shape.heads, head.head.head);
        let rows =
            |columns| Rows { columns, first: head.head.first, rows: head.head.len, head_dim: head.shape.head_dim };
        let qkv = Columns::of(head.qkv, head.shape);
        let of_q = rows(qkv.part(own));
        let of_k = rows(qkv.part(heads + own));
        let of_d_o = rows(Columns::of(head.d_out, head.shape).part(own));
        of_k.left_by_width(k);
        rows(qkv.part(2 * heads + own)).left_by_width(v);
        of_q.right_by_width(q);
        of_d_o.right_by_width(d_o);
        of_k.left_by_length(k_by_length);
        of_q.right_by_length(q_by_length);
        of_d_o.right_by_length(d_o_by_length);
        let of_out = rows(Columns::of(head.out, head.shape).part(own));
        for (block, queries) in queries.iter_mut().enumerate() {
            fill(head, queries, block * PANEL, of_out, of_d_o);
        }
        Operands { k, v, q, d_o, k_by_length, q_by_length, d_o_by_length, queries }
    }
}

/// Computes the statistics of queries `first..first + 32`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn fill(head: &Backward<'_>, queries: &mut Queries, first: usize, out: Rows<'_>, d_out: Rows<'_>) {
    let mask_row = head.head.mask_row(head.shape.heads);
    let factor = head.dropout.map_or(1.0, |dropout| 1.0 / dropout.scale);
    for index in 0..PANEL {
        let query = first + index;
        queries.shift[index] = head.log_sum_exp.get(query).map_or(0.0, |&statistic| -statistic * LOG2_E);
        queries.d[index] = factor * out.dot(d_out, query);
        queries.mask_keys[index] = head.dropout.map_or(0, |dropout| dropout.row_key(mask_row + query as u64));
    }
}

/// Cuts statistics off working memory.
fn cut_queries<'a>(memory: &mut &'a mut [f32], count: usize) -> &'a mut [Queries] {
    let words = cut(memory, count * size_of::<Queries>() / size_of::<f32>());
    // SAFETY: the same initialised memory, borrowed as mutably and as long; `Queries` is plain numbers of 4 bytes.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), count) }
}
