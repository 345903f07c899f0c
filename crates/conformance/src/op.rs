//! The names of what is checked.

use std::fmt;

/// An op of [`serin_ops::Backend`], or a group of its methods that only make sense together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names are those of the trait's methods
pub enum Op {
    /// `write`, `read`, `write_bytes`, `read_bytes`, `copy`, `fill_zero`, `len`, `dtype`.
    Memory,
    /// `weight`, `refresh_weight`.
    Weight,
    Embed,
    EmbedBackward,
    Linear,
    LinearBackwardInput,
    LinearBackwardWeight,
    ActivationBackward,
    Attention,
    AttentionBackward,
    FirstRowAttention,
    FirstRowAttentionBackward,
    AddLayerNorm,
    AddLayerNormBackward,
    Dropout,
    GatherRows,
    ScatterAddRows,
    Loss,
    VocabularyLoss,
    GradientNorm,
    Adamw,
}

impl Op {
    /// All of them, in the order of the trait.
    pub const ALL: [Op; 21] = [
        Op::Memory,
        Op::Weight,
        Op::Embed,
        Op::EmbedBackward,
        Op::Linear,
        Op::LinearBackwardInput,
        Op::LinearBackwardWeight,
        Op::ActivationBackward,
        Op::Attention,
        Op::AttentionBackward,
        Op::FirstRowAttention,
        Op::FirstRowAttentionBackward,
        Op::AddLayerNorm,
        Op::AddLayerNormBackward,
        Op::Dropout,
        Op::GatherRows,
        Op::ScatterAddRows,
        Op::Loss,
        Op::VocabularyLoss,
        Op::GradientNorm,
        Op::Adamw,
    ];

    /// The name of the method.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Memory => "memory",
            Op::Weight => "weight",
            Op::Embed => "embed",
            Op::EmbedBackward => "embed_backward",
            Op::Linear => "linear",
            Op::LinearBackwardInput => "linear_backward_input",
            Op::LinearBackwardWeight => "linear_backward_weight",
            Op::ActivationBackward => "activation_backward",
            Op::Attention => "attention",
            Op::AttentionBackward => "attention_backward",
            Op::FirstRowAttention => "first_row_attention",
            Op::FirstRowAttentionBackward => "first_row_attention_backward",
            Op::AddLayerNorm => "add_layer_norm",
            Op::AddLayerNormBackward => "add_layer_norm_backward",
            Op::Dropout => "dropout",
            Op::GatherRows => "gather_rows",
            Op::ScatterAddRows => "scatter_add_rows",
            Op::Loss => "loss",
            Op::VocabularyLoss => "vocabulary_loss",
            Op::GradientNorm => "gradient_norm",
            Op::Adamw => "adamw",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
