//! The seam between model and machine: the ops of post-layer-norm encoders, forward and backward.
//!
//! Conventions of every method:
//! - Buffers are row-major, but for [`Backend::activations`] ones, and hold at least the elements that the stated shape needs; what lies beyond is left alone.
//! - *Activations* are buffers of one storage type a call (`F32`, `BF16` or `F16`); *parameters, gradients of parameters,
//!   statistics, logits and losses* are `F32`. Arithmetic, sums and statistics are in f32 whatever the storage.
//! - `rows` may be 0 (nothing happens). A wrong shape or type is a bug of the caller and panics.
//! - Sums run in an order that does not depend on the number of threads: the same call gives the same bits.
//! - Ops enqueue; a device's failure surfaces at the next [`Backend::synchronize`] or [`Backend::read`].

use crate::{Activation, Dropout};
use serin_tensor::DType;

/// A failure of the device or its driver, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{device}: {reason}")]
pub struct DeviceError {
    /// The device, as [`Backend::name`] gives it.
    pub device: String,
    /// What the driver said.
    pub reason: String,
}

/// The three tables whose rows are added up for a token.
pub struct EmbeddingTables<'a, B: Backend> {
    /// `[vocab, width]`, any storage type.
    pub word: &'a B::Buffer,
    /// `[max_positions, width]`, the type of `word`.
    pub position: &'a B::Buffer,
    /// `[types, width]`, the type of `word`; DistilBERT has none.
    pub token_type: Option<&'a B::Buffer>,
}

/// The parameters of a layer norm over rows of a width.
pub struct Norm<'a, B: Backend> {
    /// γ, `[width]`.
    pub weight: &'a B::Buffer,
    /// β, `[width]`.
    pub bias: &'a B::Buffer,
    /// Added to the variance.
    pub epsilon: f32,
}

/// The shape of multi-head attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Number of heads.
    pub heads: usize,
    /// Width of a head; scores are scaled by `1/√head_dim`.
    pub head_dim: usize,
}

impl AttentionShape {
    /// `heads * head_dim`: the width of queries, keys, values and outputs.
    pub const fn width(self) -> usize {
        self.heads * self.head_dim
    }
}

/// What becomes of the gradient that [`Backend::linear_backward_input`] computes.
pub enum InputGradient<'a, B: Backend> {
    /// `dx = dy W`.
    Store,
    /// `dx += dy W`: joins the gradient of a residual branch.
    Accumulate,
    /// `dx = (dy W) ⊙ f'(saved)`: through the activation before the matrix. `saved` is `[rows, in]`: f's input, or its
    /// output for `Tanh` and `Relu`.
    ThroughActivation(Activation, &'a B::Buffer),
}

/// The shape of a loss over `[rows, labels]` logits and targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// `-Σ_c t_c log softmax(z)_c`. Class weights and label smoothing are in the targets, which need not sum to 1.
    SoftmaxCrossEntropy,
    /// `Σ_c max(z,0) - z t + log(1 + e^-|z|)` (binary cross-entropy with logits).
    SigmoidCrossEntropy,
    /// `Σ_c (z - t)²`.
    SquaredError,
}

/// A parameter with what AdamW keeps for it; all of one length, all `F32`.
pub struct AdamwSlot<'a, B: Backend> {
    /// θ, updated.
    pub parameter: &'a mut B::Buffer,
    /// The gradient, already a sum over the whole batch; still multiplied by the loss scale.
    pub gradient: &'a B::Buffer,
    /// m, updated.
    pub first_moment: &'a mut B::Buffer,
    /// v, updated.
    pub second_moment: &'a mut B::Buffer,
    /// Elements.
    pub len: usize,
    /// This group's learning rate at this step.
    pub learning_rate: f32,
    /// This group's decoupled weight decay.
    pub weight_decay: f32,
}

/// What is the same for all parameters of a step of AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwStep {
    /// β₁; in double, since `1 - 0.999` would be off by 1e-5 otherwise.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε, added to the root of the corrected second moment.
    pub epsilon: f32,
    /// The step's number, from 1.
    pub step: u64,
    /// Multiplies every gradient first: inverse loss scale times the clipping coefficient.
    pub gradient_scale: f32,
}

/// What [`Backend::gradient_norm`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientNorm {
    /// The sum of squares over all elements (unscaled as they are); meaningless unless `finite`.
    pub sum_of_squares: f64,
    /// Whether every element is finite.
    pub finite: bool,
}

/// A device that runs the model family.
pub trait Backend: Sized + Send + Sync + 'static {
    /// Memory of one [`DType`].
    type Buffer: Send + Sync;
    /// A list of unsigned 32-bit indices.
    type Indices: Send + Sync;
    /// The boundaries of packed sequences.
    type Sequences: Send + Sync;
    /// The matrix of a linear layer, in the layout this device multiplies fastest.
    type Weight: Send + Sync;

    /// Device and chosen kernels, for people: "CPU: AMX bf16, AVX-512 f32, 2 threads".
    fn name(&self) -> String;

    /// Bytes that buffers may still take of the device's own memory; `None` where they lie in the host's.
    fn free_memory(&self) -> Option<usize> {
        None
    }
    /// `len` zeros.
    fn buffer(&self, dtype: DType, len: usize) -> Result<Self::Buffer, DeviceError>;
    /// Zeros for activations `[rows, width]`, in whatever order of elements the device likes best. Host copies see rows of
    /// `width` one after the other; [`Backend::len`] may count more rows than asked for.
    ///
    /// Every op takes such buffers where it takes activations, but the losses. One may use them for a smaller width than
    /// they were made for, and the next op must then name the same.
    fn activations(&self, dtype: DType, rows: usize, width: usize) -> Result<Self::Buffer, DeviceError> {
        self.buffer(dtype, rows * width)
    }
    /// The number of elements of a buffer.
    fn len(&self, buffer: &Self::Buffer) -> usize;
    /// The storage type of a buffer.
    fn dtype(&self, buffer: &Self::Buffer) -> DType;
    /// Copies host values into `buffer` from element `offset` on, rounding to its type.
    fn write(&self, buffer: &mut Self::Buffer, offset: usize, values: &[f32]);
    /// Copies elements from `offset` on to the host, widening; waits for all that was enqueued.
    fn read(&self, buffer: &Self::Buffer, offset: usize, values: &mut [f32]) -> Result<(), DeviceError>;
    /// The raw little-endian bytes of `len` elements from `offset`, as a cache stores them.
    fn read_bytes(&self, buffer: &Self::Buffer, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError>;
    /// The inverse of [`Backend::read_bytes`].
    fn write_bytes(&self, buffer: &mut Self::Buffer, offset: usize, bytes: &[u8]);
    /// Copies `len` elements bit for bit between buffers of one type, without the host.
    fn copy(&self, from: &Self::Buffer, from_offset: usize, to: &mut Self::Buffer, to_offset: usize, len: usize);
    /// Sets the first `len` elements to zero.
    fn fill_zero(&self, buffer: &mut Self::Buffer, len: usize);
    /// Waits for all that was enqueued, and says whether it went well.
    fn synchronize(&self) -> Result<(), DeviceError>;

    /// Room for `capacity` indices, none in it yet.
    fn indices(&self, capacity: usize) -> Result<Self::Indices, DeviceError>;
    /// Replaces the indices; at most the capacity.
    fn write_indices(&self, indices: &mut Self::Indices, values: &[u32]);
    /// Room for the boundaries of at most `capacity` sequences.
    fn sequences(&self, capacity: usize) -> Result<Self::Sequences, DeviceError>;
    /// Replaces the boundaries: sequence `i` is rows `offsets[i]..offsets[i + 1]`; `offsets[0]` is 0, they never fall.
    fn write_sequences(&self, sequences: &mut Self::Sequences, offsets: &[u32]);

    /// Lays out a matrix `[out_features, in_features]` for products in `dtype`. `trainable`: also for the products of the
    /// backward pass.
    fn weight(
        &self,
        values: &[f32],
        out_features: usize,
        in_features: usize,
        dtype: DType,
        trainable: bool,
    ) -> Result<Self::Weight, DeviceError>;
    /// Lays out the matrix anew from its master copy `[out_features, in_features]`, after an optimizer step.
    fn refresh_weight(&self, weight: &mut Self::Weight, master: &Self::Buffer);

    /// `out[r] = word[ids[r]] + position[positions[r]] + token_type[types[r]]`, `[rows, width]`.
    #[allow(clippy::too_many_arguments)]
    fn embed(
        &self,
        tables: EmbeddingTables<'_, Self>,
        ids: &Self::Indices,
        positions: &Self::Indices,
        types: &Self::Indices,
        rows: usize,
        width: usize,
        out: &mut Self::Buffer,
    );
    /// `d_table[indices[r]] += d_out[r]` in the order of rows; `d_table` is `F32`. One call a table.
    fn embed_backward(
        &self,
        d_out: &Self::Buffer,
        indices: &Self::Indices,
        rows: usize,
        width: usize,
        d_table: &mut Self::Buffer,
    );

    /// `y = f(x Wᵀ + b)`: x `[rows, in]`, y `[rows, out]`. `pre_activation`, where given, receives `x Wᵀ + b`.
    #[allow(clippy::too_many_arguments)]
    fn linear(
        &self,
        x: &Self::Buffer,
        weight: &Self::Weight,
        bias: Option<&Self::Buffer>,
        activation: Activation,
        rows: usize,
        pre_activation: Option<&mut Self::Buffer>,
        y: &mut Self::Buffer,
    );
    /// The gradient with respect to x: dy `[rows, out]`, dx `[rows, in]`. The weight must be trainable.
    fn linear_backward_input(
        &self,
        dy: &Self::Buffer,
        weight: &Self::Weight,
        rows: usize,
        gradient: InputGradient<'_, Self>,
        dx: &mut Self::Buffer,
    );
    /// `dW += dyᵀ x`, `[out, in]` and `db += Σ_rows dy`, `[out]`: both `F32`.
    #[allow(clippy::too_many_arguments)]
    fn linear_backward_weight(
        &self,
        dy: &Self::Buffer,
        x: &Self::Buffer,
        rows: usize,
        out_features: usize,
        in_features: usize,
        d_weight: &mut Self::Buffer,
        d_bias: &mut Self::Buffer,
    );
    /// `d ⊙= f'(saved)` on `[rows, width]`: `saved` is f's input, or its output for `Tanh` and `Relu`.
    fn activation_backward(
        &self,
        activation: Activation,
        saved: &Self::Buffer,
        rows: usize,
        width: usize,
        d: &mut Self::Buffer,
    );

    /// Self-attention inside each sequence: `softmax(q kᵀ / √head_dim)`, dropped, times v, for each head.
    ///
    /// `qkv` is `[rows, 3 * width]`: queries, keys, values side by side, each `[heads, head_dim]`; `out` is
    /// `[rows, width]`. `log_sum_exp`, where given (training), receives `[heads, rows]` in `F32`. The row and column of
    /// a mask bit are as [`crate::keep`] says.
    fn attention(
        &self,
        qkv: &Self::Buffer,
        sequences: &Self::Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut Self::Buffer>,
        out: &mut Self::Buffer,
    );
    /// The backward of [`Backend::attention`]; the same dropout must be given. `d_qkv` is overwritten.
    #[allow(clippy::too_many_arguments)]
    fn attention_backward(
        &self,
        d_out: &Self::Buffer,
        qkv: &Self::Buffer,
        out: &Self::Buffer,
        log_sum_exp: &Self::Buffer,
        sequences: &Self::Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_qkv: &mut Self::Buffer,
    );
    /// Attention of each sequence's first row only: all that a classification head reads of the last layer.
    ///
    /// `q` is `[sequences, width]`, `kv` is `[rows, 2 * width]` (keys, values), `out` is `[sequences, width]`;
    /// `log_sum_exp` is `[heads, sequences]`. Mask bits are those of query 0.
    #[allow(clippy::too_many_arguments)]
    fn first_row_attention(
        &self,
        q: &Self::Buffer,
        kv: &Self::Buffer,
        sequences: &Self::Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut Self::Buffer>,
        out: &mut Self::Buffer,
    );
    /// The backward of [`Backend::first_row_attention`]; `d_q` and `d_kv` are overwritten.
    #[allow(clippy::too_many_arguments)]
    fn first_row_attention_backward(
        &self,
        d_out: &Self::Buffer,
        q: &Self::Buffer,
        kv: &Self::Buffer,
        out: &Self::Buffer,
        log_sum_exp: &Self::Buffer,
        sequences: &Self::Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_q: &mut Self::Buffer,
        d_kv: &mut Self::Buffer,
    );

    /// `s = residual + dropout(x)`, `y = γ (s - mean) / √(var + ε) + β`, on `[rows, width]`.
    ///
    /// With `statistics` (training, `[rows, 2]` in `F32`: mean and `1/√(var + ε)`) x is overwritten by s, which the
    /// backward needs; without, what x holds afterwards is unspecified. A mask bit is at (row, column).
    #[allow(clippy::too_many_arguments)]
    fn add_layer_norm(
        &self,
        x: &mut Self::Buffer,
        residual: Option<&Self::Buffer>,
        dropout: Option<Dropout>,
        norm: Norm<'_, Self>,
        rows: usize,
        width: usize,
        statistics: Option<&mut Self::Buffer>,
        y: &mut Self::Buffer,
    );
    /// The backward of [`Backend::add_layer_norm`]: `d_sum` (the gradient of s, and so of the residual), `d_x` (the same
    /// through the dropout; given exactly when there is one), `dγ += …`, `dβ += …`.
    #[allow(clippy::too_many_arguments)]
    fn add_layer_norm_backward(
        &self,
        dy: &Self::Buffer,
        sum: &Self::Buffer,
        statistics: &Self::Buffer,
        weight: &Self::Buffer,
        rows: usize,
        width: usize,
        d_sum: &mut Self::Buffer,
        d_x: Option<(Dropout, &mut Self::Buffer)>,
        d_weight: &mut Self::Buffer,
        d_bias: &mut Self::Buffer,
    );

    /// Drops elements of `[rows, width]` in place and scales the rest: forward, and backward on the gradient.
    fn dropout(&self, x: &mut Self::Buffer, dropout: Dropout, rows: usize, width: usize);
    /// `out[i] = x[indices[i]]`, rows of `width`; converts between storage types.
    fn gather_rows(&self, x: &Self::Buffer, indices: &Self::Indices, width: usize, out: &mut Self::Buffer);
    /// `d_x[indices[i]] += d_out[i]`, the indices all different; converts between storage types.
    fn scatter_add_rows(&self, d_out: &Self::Buffer, indices: &Self::Indices, width: usize, d_x: &mut Self::Buffer);

    /// The loss of each row, and the gradient of `gradient_scale · Σ losses` with respect to the logits.
    ///
    /// All `F32`: logits, targets and `d_logits` `[rows, labels]`, `losses` `[rows]`.
    #[allow(clippy::too_many_arguments)]
    fn loss(
        &self,
        kind: LossKind,
        logits: &Self::Buffer,
        targets: &Self::Buffer,
        rows: usize,
        labels: usize,
        gradient_scale: f32,
        losses: &mut Self::Buffer,
        d_logits: Option<&mut Self::Buffer>,
    );

    /// The cross-entropy of each row against one class of many: `log Σ_c e^(z_c) - z_target`.
    ///
    /// `logits` `[rows, classes]`, the storage type; `targets` one class a row; `losses` `[rows, 2]`, `F32`: the loss, and 1
    /// where the target is the first class with the highest logit, else 0. With a `gradient_scale` the logits are
    /// overwritten by the gradient of `gradient_scale · Σ losses` with respect to them.
    fn vocabulary_loss(
        &self,
        logits: &mut Self::Buffer,
        targets: &Self::Indices,
        rows: usize,
        classes: usize,
        gradient_scale: Option<f32>,
        losses: &mut Self::Buffer,
    );

    /// The sum of squares of gradients and whether all are finite. Waits.
    fn gradient_norm(&self, gradients: &[(&Self::Buffer, usize)]) -> Result<GradientNorm, DeviceError>;
    /// One step of AdamW (Loshchilov & Hutter 2019, as `torch.optim.AdamW`) on every slot:
    /// `θ -= lr·λ·θ; m = β₁m + (1-β₁)g; v = β₂v + (1-β₂)g²; θ -= lr · (m/(1-β₁ᵗ)) / (√(v/(1-β₂ᵗ)) + ε)`.
    fn adamw(&self, slots: &mut [AdamwSlot<'_, Self>], step: AdamwStep);
}
