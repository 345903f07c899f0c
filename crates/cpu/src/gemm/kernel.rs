//! What a product needs of an instruction set: 32×32 blocks of C from a left and a right panel.

use super::pack::Pack;
use super::tiles::{Layout, PANEL};
use crate::simd::Simd;

/// Elements of a block of C, row-major `[32][32]` in f32.
pub(crate) const BLOCK: usize = PANEL * PANEL;

/// Work beside a block, which matrix units leave time for. `#[inline(always)]`.
pub(crate) trait Beside {
    /// Does one of as many shares as the block has chunks.
    fn advance(&mut self);
    /// Fetches one of `shares` parts of the memory that is due a chunk. Needs no vectors, and the fewer lines at a time, the less
    /// do the block's own loads wait for them.
    fn fetch(&mut self, shares: usize);
}

/// Nothing beside a block.
impl Beside for () {
    #[inline(always)]
    fn advance(&mut self) {}
    #[inline(always)]
    fn fetch(&mut self, _shares: usize) {}
}

/// The inner loop of products on one instruction set.
pub(crate) trait BlockKernel: Copy + Send + Sync {
    /// How left panels are stored.
    type Left: Pack;
    /// How right panels are stored; the same depth a chunk as the left ones.
    type Right: Pack;
    /// What must be alive on a thread while it computes blocks.
    type Session;

    /// The level whose instructions multiply on a machine of `isa`.
    #[cfg(test)]
    fn level(self, isa: crate::isa::Isa) -> crate::isa::IsaLevel;

    /// Readies the calling thread.
    fn begin(self) -> Self::Session;

    /// `c = L Rᵀ`, or `c += L Rᵀ`, over `chunks` chunks of depth. Advances `beside` once a chunk, and has it fetch all.
    /// `#[inline(always)]`, for `beside` is compiled for the vectors `simd` only where its caller is.
    ///
    /// # Safety
    /// `left` and `right` are 64-byte aligned and hold `chunks` chunks; a session of this thread is alive.
    #[allow(clippy::too_many_arguments)]
    unsafe fn block_beside<S: Simd>(
        self,
        simd: S,
        left: *const <Self::Left as Layout>::Element,
        right: *const <Self::Right as Layout>::Element,
        chunks: usize,
        c: &mut [f32; BLOCK],
        accumulate: bool,
        beside: &mut impl Beside,
    );
}

#[cfg(test)]
pub(crate) mod ran {
    //! Which kernels a thread called for, so that a test of one that never ran fails.

    use crate::isa::IsaLevel;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static LEVELS: RefCell<BTreeSet<IsaLevel>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(crate) fn record(level: IsaLevel) {
        LEVELS.with_borrow_mut(|levels| levels.insert(level));
    }

    /// The levels since the last call.
    pub(crate) fn take() -> Vec<IsaLevel> {
        LEVELS.take().into_iter().collect()
    }
}
