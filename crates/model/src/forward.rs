//! Forward: from token ids through the trunk and the trained layers to logits.

use crate::activations::LayerActivations;
use crate::batch::Batch;
use crate::dropout::{DropoutContext, LayerDropout};
use crate::error::ModelError;
use crate::model::{Freezing, Model, Placed, Workspace};
use crate::weights::{Linear, Projections};
use serin_ops::{Activation, Backend};
use std::mem::swap;

impl<B: Backend> Model<B> {
    /// The logits `[sequences, labels]` of a batch that fits the workspace, without dropout.
    pub fn infer(&self, backend: &B, space: &mut Workspace<B>, batch: &Batch) -> Result<Vec<f32>, ModelError> {
        self.encode(backend, space, batch);
        self.logits(backend, space)
    }

    /// The encoder's output of a batch, into `hidden[0]`, without dropout.
    pub(crate) fn encode(&self, backend: &B, space: &mut Workspace<B>, batch: &Batch) {
        self.place(backend, space, batch);
        self.embed(backend, space, None);
        for layer in 0..self.layers.len() {
            self.infer_layer(backend, space, layer, &LayerDropout::default());
        }
    }

    /// The logits of a batch whose trunk output is already in the workspace (see [`Model::write_trunk`]).
    pub fn infer_from_trunk(
        &self,
        backend: &B,
        space: &mut Workspace<B>,
        batch: &Batch,
    ) -> Result<Vec<f32>, ModelError> {
        self.place(backend, space, batch);
        for layer in self.trunk_layers()..self.layers.len() {
            self.infer_layer(backend, space, layer, &LayerDropout::default());
        }
        self.logits(backend, space)
    }

    /// Runs embeddings and frozen layers, leaving their output in the workspace. `dropout` is for those who want the
    /// frozen part to drop too, as PyTorch does unless it is told not to.
    pub fn forward_trunk(
        &self,
        backend: &B,
        space: &mut Workspace<B>,
        batch: &Batch,
        dropout: Option<&DropoutContext>,
    ) {
        assert!(self.freezing != Freezing::All, "a trunk is what lies under a trained part");
        self.place(backend, space, batch);
        self.embed(backend, space, dropout);
        for layer in 0..self.trunk_layers() {
            self.infer_layer(backend, space, layer, &self.layer_dropout(layer, dropout));
        }
    }

    /// Reads the trunk's output of rows `first_row..` as stored on the device.
    pub fn read_trunk(
        &self,
        backend: &B,
        space: &Workspace<B>,
        first_row: usize,
        bytes: &mut [u8],
    ) -> Result<(), ModelError> {
        Ok(backend.read_bytes(&space.hidden[0], first_row * self.config.hidden, bytes)?)
    }

    /// Makes way for a trunk's output that is put into the workspace piece by piece.
    pub fn begin_trunk(&self, space: &mut Workspace<B>) {
        // The present rows may still be read by a backward that is enqueued: the next ones need not wait for it.
        swap(&mut space.hidden[0], &mut space.spare);
    }

    /// Puts rows from `first_row` on of a trunk's output, read earlier, into the workspace, after [`Model::begin_trunk`].
    pub fn write_trunk(&self, backend: &B, space: &mut Workspace<B>, first_row: usize, bytes: &[u8]) {
        backend.write_bytes(&mut space.hidden[0], first_row * self.config.hidden, bytes);
    }

    /// Copies `rows` rows of the trunk's output, from `first_row` on, to `to` from its row `to_row` on.
    pub fn copy_trunk(
        &self,
        backend: &B,
        space: &Workspace<B>,
        first_row: usize,
        rows: usize,
        to: &mut B::Buffer,
        to_row: usize,
    ) {
        let width = self.config.hidden;
        backend.copy(&space.hidden[0], first_row * width, to, to_row * width, rows * width);
    }

    /// Makes the rows `indices` of `from`, copied there earlier, the trunk's output in the workspace, from its first row on.
    pub fn gather_trunk(&self, backend: &B, space: &mut Workspace<B>, from: &B::Buffer, indices: &B::Indices) {
        backend.gather_rows(from, indices, self.config.hidden, &mut space.hidden[0]);
    }

    /// Puts a batch's indices on the device.
    pub(crate) fn place(&self, backend: &B, space: &mut Workspace<B>, batch: &Batch) {
        assert!(batch.tokens() <= space.capacity.tokens, "more tokens than planned");
        assert!(batch.sequences() <= space.capacity.sequences, "more sequences than planned");
        let placed = &mut space.placed;
        let every: Vec<u32> = (0..batch.sequences() as u32).collect();
        backend.write_indices(&mut placed.ids, &batch.ids);
        backend.write_indices(&mut placed.positions, &batch.positions);
        backend.write_indices(&mut placed.types, &batch.types);
        backend.write_sequences(&mut placed.sequences, &batch.offsets);
        backend.write_indices(&mut placed.first_rows, &batch.offsets[..batch.sequences()]);
        backend.write_indices(&mut placed.every_sequence, &every);
        placed.tokens = batch.tokens();
        placed.count = batch.sequences();
    }

    /// `hidden[0] = dropout(norm(word + position + type))`.
    pub(crate) fn embed(&self, backend: &B, space: &mut Workspace<B>, dropout: Option<&DropoutContext>) {
        let Workspace { placed, embedding, hidden, .. } = space;
        let (rows, width) = (placed.tokens, self.config.hidden);
        let tables = self.embeddings.tables();
        backend.embed(tables, &placed.ids, &placed.positions, &placed.types, rows, width, &mut embedding.sum);
        let norm = self.embeddings.norm.norm();
        let statistics = embedding.statistics.as_mut();
        backend.add_layer_norm(&mut embedding.sum, None, None, norm, rows, width, statistics, &mut hidden[0]);
        if let Some(mask) = dropout.and_then(|dropout| dropout.embedding(&self.config)) {
            backend.dropout(&mut hidden[0], mask, rows, width);
        }
    }

    /// One layer in shared memory: `hidden[0]` to `hidden[0]`.
    fn infer_layer(&self, backend: &B, space: &mut Workspace<B>, layer: usize, dropout: &LayerDropout) {
        let Workspace { placed, hidden, spare, inference, .. } = space;
        self.forward_layer(backend, layer, placed, &hidden[0], inference, dropout, spare);
        swap(&mut hidden[0], spare);
    }

    pub(crate) fn layer_dropout(&self, layer: usize, dropout: Option<&DropoutContext>) -> LayerDropout {
        let first_row = matches!(self.layers[layer].projections, Projections::FirstRow { .. });
        dropout.map_or_else(LayerDropout::default, |dropout| dropout.layer(&self.config, layer, first_row))
    }

    /// `out = layer(input)`: `[tokens, hidden]` to `[rows, hidden]`, where rows are the tokens or, in the last layer, the
    /// sequences.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn forward_layer(
        &self,
        backend: &B,
        layer: usize,
        placed: &Placed<B>,
        input: &B::Buffer,
        a: &mut LayerActivations<B>,
        dropout: &LayerDropout,
        out: &mut B::Buffer,
    ) {
        let weights = &self.layers[layer];
        let (width, activation) = (self.config.hidden, self.config.activation);
        let rows = self.forward_attention(backend, layer, placed, input, a, dropout);
        let residual = match weights.projections {
            Projections::Fused(_) => input,
            Projections::FirstRow { .. } => a.first_input.as_ref().expect("planned for a first-row layer"),
        };
        weights.attention_output.forward(backend, &a.context, Activation::Identity, rows, None, &mut a.attention_sum);
        backend.add_layer_norm(
            &mut a.attention_sum,
            Some(residual),
            dropout.attention_output,
            weights.attention_norm.norm(),
            rows,
            width,
            a.attention_statistics.as_mut(),
            &mut a.attended,
        );
        weights.intermediate.forward(
            backend,
            &a.attended,
            activation,
            rows,
            a.pre_activation.as_mut(),
            &mut a.activated,
        );
        weights.output.forward(backend, &a.activated, Activation::Identity, rows, None, &mut a.output_sum);
        backend.add_layer_norm(
            &mut a.output_sum,
            Some(&a.attended),
            dropout.feed_forward_output,
            weights.output_norm.norm(),
            rows,
            width,
            a.output_statistics.as_mut(),
            out,
        );
    }

    /// Projections and attention, into `context`; returns the rows that go on.
    fn forward_attention(
        &self,
        backend: &B,
        layer: usize,
        placed: &Placed<B>,
        input: &B::Buffer,
        a: &mut LayerActivations<B>,
        dropout: &LayerDropout,
    ) -> usize {
        let (tokens, width) = (placed.tokens, self.config.hidden);
        let (shape, mask) = (self.config.attention_shape(), dropout.attention_probabilities);
        let log_sum_exp = a.log_sum_exp.as_mut();
        match &self.layers[layer].projections {
            Projections::Fused(qkv) => {
                qkv.forward(backend, input, Activation::Identity, tokens, None, &mut a.projected);
                backend.attention(&a.projected, &placed.sequences, shape, mask, log_sum_exp, &mut a.context);
                tokens
            }
            Projections::FirstRow { query, key_value } => {
                let first = a.first_input.as_mut().expect("planned for a first-row layer");
                let q = a.first_query.as_mut().expect("planned for a first-row layer");
                backend.gather_rows(input, &placed.first_rows, width, first);
                query.forward(backend, first, Activation::Identity, placed.count, None, q);
                key_value.forward(backend, input, Activation::Identity, tokens, None, &mut a.projected);
                let (kv, sequences) = (&a.projected, &placed.sequences);
                backend.first_row_attention(q, kv, sequences, shape, mask, log_sum_exp, &mut a.context);
                placed.count
            }
        }
    }

    fn logits(&self, backend: &B, space: &mut Workspace<B>) -> Result<Vec<f32>, ModelError> {
        let Workspace { placed, hidden, head, .. } = space;
        self.forward_head(backend, placed, &hidden[0], head, None);
        let mut logits = vec![0.0; placed.count * self.config.labels.len()];
        backend.read(&head.logits, 0, &mut logits)?;
        Ok(logits)
    }
}

impl<B: Backend> Linear<B> {
    /// `y = f(x Wᵀ + b)`.
    pub(crate) fn forward(
        &self,
        backend: &B,
        x: &B::Buffer,
        activation: Activation,
        rows: usize,
        pre_activation: Option<&mut B::Buffer>,
        y: &mut B::Buffer,
    ) {
        backend.linear(x, &self.packed, Some(&self.bias.values), activation, rows, pre_activation, y);
    }
}
