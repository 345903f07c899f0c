//! The memory of the masked-language head: one chunk of masked rows.

use crate::config::ModelConfig;
use crate::error::ModelError;
use serin_ops::Backend;
use serin_tensor::DType;

/// Bytes of a chunk's logits: large enough that the decoder's gradient, read and written once a chunk, costs little
/// beside its products.
const LOGITS_BYTES: usize = 32 << 20;
/// Fewer rows leave the matrix units idle.
const FEWEST_ROWS: usize = 64;

/// What the head computes for a chunk, and the gradients of it.
pub(crate) struct MaskedLanguageSpace<B: Backend> {
    /// The most rows of a chunk.
    pub(crate) rows: usize,
    /// Rows in the chunk at hand.
    pub(crate) count: usize,
    /// Their rows in the batch.
    pub(crate) indices: B::Indices,
    pub(crate) targets: B::Indices,
    /// The encoder's output at those rows, `[rows, hidden]`.
    pub(crate) input: B::Buffer,
    /// Of the transform, before the activation, and after it: `[rows, hidden]` each.
    pub(crate) pre_activation: B::Buffer,
    pub(crate) activated: B::Buffer,
    /// `[rows, 2]`, f32.
    pub(crate) statistics: B::Buffer,
    /// `[rows, hidden]`.
    pub(crate) normalised: B::Buffer,
    /// Logits, then their gradient, `[rows, vocab]`.
    pub(crate) logits: B::Buffer,
    /// `[rows, 2]`, f32.
    pub(crate) losses: B::Buffer,
    /// Two gradients that change places, `[rows, hidden]`; of no size where nothing is trained.
    pub(crate) gradients: [B::Buffer; 2],
}

impl<B: Backend> MaskedLanguageSpace<B> {
    /// `tokens`: the most rows that a micro-batch has.
    pub(crate) fn plan(
        backend: &B,
        config: &ModelConfig,
        dtype: DType,
        tokens: usize,
        training: bool,
    ) -> Result<MaskedLanguageSpace<B>, ModelError> {
        // From the sizes alone, so that results do not depend on the machine.
        let rows = (LOGITS_BYTES / (config.vocab * dtype.size())).max(FEWEST_ROWS).min(tokens);
        let storage = |width: usize| backend.buffer(dtype, rows * width);
        let gradient = || storage(if training { config.hidden } else { 0 });
        Ok(MaskedLanguageSpace {
            rows,
            count: 0,
            indices: backend.indices(rows)?,
            targets: backend.indices(rows)?,
            input: storage(config.hidden)?,
            pre_activation: storage(config.hidden)?,
            activated: storage(config.hidden)?,
            statistics: backend.buffer(DType::F32, rows * 2)?,
            normalised: storage(config.hidden)?,
            logits: storage(config.vocab)?,
            losses: backend.buffer(DType::F32, rows * 2)?,
            gradients: [gradient()?, gradient()?],
        })
    }

    /// Puts a chunk's indices on the device.
    pub(crate) fn place(&mut self, backend: &B, rows: &[u32], targets: &[u32]) {
        backend.write_indices(&mut self.indices, rows);
        backend.write_indices(&mut self.targets, targets);
        self.count = rows.len();
    }
}
