//! Attention in bf16 on the units that multiply pairs: AMX tiles, or `avx512bf16` dot products.
//!
//! Scores are computed transposed, `Sᵀ = K Qᵀ`, in blocks of 32 keys by 32 queries, so that a vector holds one key's
//! scores of 16 queries: a query's maximum, sum and statistics are then lanes, never sums over lanes; one dropout hash
//! gives a lane's decisions on two neighbouring keys; and two rows interleave into the pairs that the next product takes.
//! Every product is `C = L Rᵀ` over the panels of [`crate::gemm::tiles`].

mod backward;
mod forward;
mod pack;
mod vectors;

use super::heads::{self, Head};
use crate::Cpu;
use crate::gemm::kernel::{BLOCK, BlockKernel};
use crate::gemm::tiles::{Layout, PANEL, Pairs};
use crate::isa::Avx512Bf16;
use crate::matrix::{Matrix, Shared};
use backward::Backward;
use forward::Forward;
use half::bf16;
use serin_ops::{AttentionShape, Dropout};
use serin_tensor::AlignedBuffer;

/// bf16 in a chunk of a panel: 32 rows by 32 of depth.
const CHUNK: usize = Pairs::CHUNK;

/// Whether this machine and shape can be computed here.
pub(super) fn fits(cpu: &Cpu, shape: AttentionShape) -> bool {
    cpu.isa.avx512_bf16.is_some() && shape.head_dim.is_multiple_of(PANEL) && shape.head_dim > 0
}

/// [`serin_ops::Backend::attention`] where it [`fits`].
pub(super) fn forward(
    cpu: &Cpu,
    qkv: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    log_sum_exp: Option<&mut AlignedBuffer>,
    out: &mut AlignedBuffer,
) {
    let rows = heads::rows(sequences);
    let qkv = Matrix::of(qkv, rows, 3 * shape.width());
    let out = Shared::of(out, rows, shape.width());
    let log_sum_exp = log_sum_exp.map(|saved| Shared::of(saved, shape.heads, rows));
    heads::for_each(cpu, sequences, shape, &|head| {
        let (next, log_sum_exp) = (cpu.threads.count(), log_sum_exp.as_ref());
        run(cpu, Forward { head, next, shape, dropout, qkv, out: &out, log_sum_exp });
    });
}

/// [`serin_ops::Backend::attention_backward`] where it [`fits`].
#[allow(clippy::too_many_arguments)]
pub(super) fn backward(
    cpu: &Cpu,
    d_out: &AlignedBuffer,
    qkv: &AlignedBuffer,
    out: &AlignedBuffer,
    log_sum_exp: &AlignedBuffer,
    sequences: &[u32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    d_qkv: &mut AlignedBuffer,
) {
    let (rows, width) = (heads::rows(sequences), shape.width());
    let qkv = Matrix::of(qkv, rows, 3 * width);
    let [d_out, out] = [d_out, out].map(|buffer| Matrix::of(buffer, rows, width));
    let log_sum_exp = &log_sum_exp.as_slice::<f32>()[..rows * shape.heads];
    let d_qkv = Shared::of(d_qkv, rows, 3 * width);
    heads::for_each(cpu, sequences, shape, &|head| {
        let Head { first, len, .. } = head;
        let log_sum_exp = &log_sum_exp[head.head * rows + first..][..len];
        run(cpu, Backward { head, shape, dropout, d_out, qkv, out, log_sum_exp, d_qkv: &d_qkv });
    });
}

/// A unit that multiplies pairs of bf16.
trait PairKernel: BlockKernel<Left = Pairs, Right = Pairs> + Into<Avx512Bf16> {}
impl<K: BlockKernel<Left = Pairs, Right = Pairs> + Into<Avx512Bf16>> PairKernel for K {}

/// The work of a head, for any unit.
trait Work {
    /// Does it with `kernel`.
    fn run<K: PairKernel>(self, kernel: K);
}

/// Runs `work` on the best unit.
fn run(cpu: &Cpu, work: impl Work) {
    match (cpu.isa.amx, cpu.isa.avx512_bf16) {
        (Some(kernel), _) => work.run(kernel),
        (None, Some(kernel)) => work.run(kernel),
        (None, None) => unreachable!("asked only where it fits"),
    }
}

/// A unit readied on this thread.
struct Products<K: PairKernel> {
    kernel: K,
    _session: K::Session,
}

impl<K: PairKernel> Products<K> {
    fn begin(kernel: K) -> Products<K> {
        #[cfg(test)]
        crate::gemm::kernel::ran::record(kernel.level(crate::Isa::detect()));
        Products { kernel, _session: kernel.begin() }
    }

    /// `c (+)= L Rᵀ` over `chunks` chunks of depth.
    #[inline(always)]
    fn block(&self, left: &[bf16], right: &[bf16], chunks: usize, c: &mut [f32; BLOCK], accumulate: bool) {
        assert!(left.len() >= chunks * CHUNK && right.len() >= chunks * CHUNK);
        debug_assert!(left.as_ptr().addr().is_multiple_of(64) && right.as_ptr().addr().is_multiple_of(64));
        // SAFETY: the panels hold `chunks` chunks; scratch memory and all that is cut off it in whole chunks is aligned to
        // 64 bytes; the session is this thread's, being neither `Send` nor outlived.
        unsafe {
            self.kernel.block_beside(self.kernel.into(), left.as_ptr(), right.as_ptr(), chunks, c, accumulate, &mut ())
        }
    }
}

/// Cuts blocks of `PANEL × PANEL` f32 off working memory.
fn cut_blocks<'a>(memory: &mut &'a mut [f32], count: usize) -> &'a mut [[f32; BLOCK]] {
    super::scratch::cut(memory, count * BLOCK).as_chunks_mut().0
}

/// Cuts chunks of bf16 off working memory.
fn cut_chunks<'a>(memory: &mut &'a mut [f32], count: usize) -> &'a mut [bf16] {
    let words = super::scratch::cut(memory, count * CHUNK / 2);
    // SAFETY: the same initialised memory, borrowed as mutably and as long; any bits are a bf16, which needs less alignment.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), count * CHUNK) }
}

/// f32 of working memory that so many chunks and blocks take.
const fn words(chunks: usize, blocks: usize) -> usize {
    chunks * CHUNK / 2 + blocks * BLOCK
}
