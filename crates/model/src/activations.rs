//! The memory of a step, planned before it: what layers leave for the backward, and scratch.

use crate::config::ModelConfig;
use crate::error::ModelError;
use serin_ops::Backend;
use serin_tensor::DType;

/// How much a micro-batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Rows (tokens).
    pub(crate) tokens: usize,
    /// Sequences.
    pub(crate) sequences: usize,
}

/// What one layer writes. In training each layer has its own; in inference all share one.
pub(crate) struct LayerActivations<B: Backend> {
    /// Queries, keys and values `[tokens, 3 hidden]`; of a first-row layer keys and values `[tokens, 2 hidden]`.
    pub(crate) projected: B::Buffer,
    /// First-row layers: the layer's input at first rows, and its queries, `[sequences, hidden]` each.
    pub(crate) first_input: Option<B::Buffer>,
    pub(crate) first_query: Option<B::Buffer>,
    /// `[heads, rows]`, f32.
    pub(crate) log_sum_exp: Option<B::Buffer>,
    /// `[rows, hidden]`.
    pub(crate) context: B::Buffer,
    /// The attention block's output, then its sum with the residual, `[rows, hidden]`.
    pub(crate) attention_sum: B::Buffer,
    /// `[rows, 2]`, f32.
    pub(crate) attention_statistics: Option<B::Buffer>,
    /// The attention block's normalised output, `[rows, hidden]`.
    pub(crate) attended: B::Buffer,
    /// Before the activation, `[rows, intermediate]`.
    pub(crate) pre_activation: Option<B::Buffer>,
    /// After it.
    pub(crate) activated: B::Buffer,
    /// The feed-forward block's output, then its sum with the residual, `[rows, hidden]`.
    pub(crate) output_sum: B::Buffer,
    /// `[rows, 2]`, f32.
    pub(crate) output_statistics: Option<B::Buffer>,
}

impl<B: Backend> LayerActivations<B> {
    /// `first_row`: a layer that goes on with first rows only (`Some(false)`/`Some(true)`), or memory that serves both
    /// kinds of layer (`None`).
    pub(crate) fn plan(
        backend: &B,
        config: &ModelConfig,
        dtype: DType,
        capacity: Capacity,
        first_row: Option<bool>,
        training: bool,
    ) -> Result<LayerActivations<B>, ModelError> {
        let rows = if first_row == Some(true) { capacity.sequences } else { capacity.tokens };
        let parts = if first_row == Some(true) { 2 } else { 3 };
        let (hidden, inner) = (config.hidden, config.intermediate);
        let storage = |rows, width| backend.activations(dtype, rows, width);
        let saved = |len| if training { backend.buffer(DType::F32, len).map(Some) } else { Ok(None) };
        let first = || match first_row {
            Some(false) => Ok(None),
            _ => storage(capacity.sequences, hidden).map(Some),
        };
        Ok(LayerActivations {
            projected: storage(capacity.tokens, parts * hidden)?,
            first_input: first()?,
            first_query: first()?,
            log_sum_exp: saved(rows * config.heads)?,
            context: storage(rows, hidden)?,
            attention_sum: storage(rows, hidden)?,
            attention_statistics: saved(rows * 2)?,
            attended: storage(rows, hidden)?,
            pre_activation: if training { Some(storage(rows, inner)?) } else { None },
            activated: storage(rows, inner)?,
            output_sum: storage(rows, hidden)?,
            output_statistics: saved(rows * 2)?,
        })
    }
}

/// What the embeddings leave for their backward.
pub(crate) struct EmbeddingActivations<B: Backend> {
    /// The sum of the three rows, `[tokens, hidden]`.
    pub(crate) sum: B::Buffer,
    /// `[tokens, 2]`, f32.
    pub(crate) statistics: Option<B::Buffer>,
}

/// What the head leaves, all f32.
pub(crate) struct HeadActivations<B: Backend> {
    /// First rows after dropout, `[sequences, hidden]`.
    pub(crate) input: B::Buffer,
    /// After dense and activation.
    pub(crate) activated: B::Buffer,
    /// After dropout.
    pub(crate) dropped: B::Buffer,
    /// `[sequences, labels]`.
    pub(crate) logits: B::Buffer,
}

impl<B: Backend> HeadActivations<B> {
    pub(crate) fn plan(backend: &B, config: &ModelConfig, sequences: usize) -> Result<HeadActivations<B>, ModelError> {
        let rows = |width: usize| backend.buffer(DType::F32, sequences * width);
        Ok(HeadActivations {
            input: rows(config.hidden)?,
            activated: rows(config.hidden)?,
            dropped: rows(config.hidden)?,
            logits: rows(config.labels.len())?,
        })
    }
}

/// Scratch of the backward pass.
pub(crate) struct Gradients<B: Backend> {
    /// With respect to a layer's output, and then its input: two that change places, `[tokens, hidden]`.
    pub(crate) hidden: [B::Buffer; 2],
    /// Through a dropout, `[tokens, hidden]`.
    pub(crate) dropped: B::Buffer,
    /// `[tokens, hidden]`.
    pub(crate) context: B::Buffer,
    /// `[tokens, 3 hidden]`.
    pub(crate) projected: B::Buffer,
    /// `[tokens, intermediate]`.
    pub(crate) inner: B::Buffer,
    /// With respect to first-row queries, `[sequences, hidden]`, the storage type.
    pub(crate) first: B::Buffer,
    /// `[sequences, hidden]`, f32.
    pub(crate) head: [B::Buffer; 2],
    /// `[sequences, labels]`, f32.
    pub(crate) logits: B::Buffer,
    /// `[sequences, labels]`, f32.
    pub(crate) targets: B::Buffer,
    /// `[sequences]`, f32.
    pub(crate) losses: B::Buffer,
}

impl<B: Backend> Gradients<B> {
    pub(crate) fn plan(
        backend: &B,
        config: &ModelConfig,
        dtype: DType,
        capacity: Capacity,
    ) -> Result<Gradients<B>, ModelError> {
        let Capacity { tokens, sequences } = capacity;
        let storage = |width| backend.activations(dtype, tokens, width);
        let single = |len| backend.buffer(DType::F32, len);
        let (hidden, labels) = (config.hidden, config.labels.len());
        Ok(Gradients {
            hidden: [storage(hidden)?, storage(hidden)?],
            dropped: storage(hidden)?,
            context: storage(hidden)?,
            projected: storage(3 * hidden)?,
            inner: storage(config.intermediate)?,
            first: backend.activations(dtype, sequences, hidden)?,
            head: [single(sequences * hidden)?, single(sequences * hidden)?],
            logits: single(sequences * labels)?,
            targets: single(sequences * labels)?,
            losses: single(sequences)?,
        })
    }
}
