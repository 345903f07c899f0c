//! Backward: the mirror of `forward.rs`, from logits to the lowest trained parameter.

use crate::activations::{Gradients, LayerActivations};
use crate::batch::Batch;
use crate::dropout::{DropoutContext, LayerDropout};
use crate::error::ModelError;
use crate::model::{Freezing, Model, Placed, Workspace};
use crate::targets::Targets;
use crate::weights::{Embeddings, Linear, Projections};
use serin_ops::{Activation, Backend, InputGradient};
use std::mem::swap;

/// What a micro-batch of training gave.
#[derive(Clone, Debug)]
pub struct MicroBatchOutput {
    /// The sum of the rows' losses, not yet divided by anything.
    pub loss_sum: f64,
    /// `[sequences, labels]`.
    pub logits: Vec<f32>,
}

impl<B: Backend> Model<B> {
    /// Forward and backward of the trained part on a micro-batch whose trunk output is in the workspace (from
    /// [`Model::forward_trunk`] or [`Model::write_trunk`]); adds the gradients of `gradient_scale · Σ losses`.
    pub fn train_micro_batch(
        &mut self,
        backend: &B,
        space: &mut Workspace<B>,
        batch: &Batch,
        targets: &Targets,
        gradient_scale: f32,
        dropout: Option<&DropoutContext>,
    ) -> Result<MicroBatchOutput, ModelError> {
        self.place(backend, space, batch);
        self.forward_trained(backend, space, dropout);
        let Workspace { placed, hidden, trained, head, .. } = space;
        self.forward_head(backend, placed, &hidden[trained.len()], head, dropout);
        let output = self.loss(backend, space, targets, gradient_scale)?;
        let Workspace { placed, head, gradients, .. } = space;
        let g = gradients.as_mut().expect("planned for a trained model");
        self.backward_head(backend, placed, head, g, dropout);
        self.backward_trained(backend, space, dropout);
        Ok(output)
    }

    /// The trained layers, from `hidden[0]` to the last of `hidden`.
    pub(crate) fn forward_trained(&self, backend: &B, space: &mut Workspace<B>, dropout: Option<&DropoutContext>) {
        let Workspace { placed, hidden, trained, .. } = space;
        let trunk = self.layers.len() - trained.len();
        for (index, activations) in trained.iter_mut().enumerate() {
            let (input, out) = hidden.split_at_mut(index + 1);
            let masks = self.layer_dropout(trunk + index, dropout);
            self.forward_layer(backend, trunk + index, placed, &input[index], activations, &masks, &mut out[0]);
        }
    }

    fn loss(
        &self,
        backend: &B,
        space: &mut Workspace<B>,
        targets: &Targets,
        gradient_scale: f32,
    ) -> Result<MicroBatchOutput, ModelError> {
        let (rows, labels) = (space.placed.count, self.config.labels.len());
        let logits = &space.head.logits;
        let g = space.gradients.as_mut().expect("planned for a trained model");
        backend.write(&mut g.targets, 0, &targets.values);
        let d_logits = Some(&mut g.logits);
        backend.loss(targets.kind, logits, &g.targets, rows, labels, gradient_scale, &mut g.losses, d_logits);
        let mut losses = vec![0.0; rows];
        let mut values = vec![0.0; rows * labels];
        backend.read(&g.losses, 0, &mut losses)?;
        backend.read(logits, 0, &mut values)?;
        Ok(MicroBatchOutput { loss_sum: losses.iter().map(|&loss| f64::from(loss)).sum(), logits: values })
    }

    /// The mirror of [`Model::forward_trained`]: from the gradient of the encoder's output in the gradients' `hidden[0]`.
    pub(crate) fn backward_trained(&mut self, backend: &B, space: &mut Workspace<B>, dropout: Option<&DropoutContext>) {
        let Workspace { placed, embedding, hidden, trained, gradients, .. } = space;
        let g = gradients.as_mut().expect("planned for a trained model");
        let trunk = self.layers.len() - trained.len();
        let all = self.freezing == Freezing::Nothing;
        for (index, activations) in trained.iter().enumerate().rev() {
            let masks = self.layer_dropout(trunk + index, dropout);
            let to_input = all || index > 0;
            self.backward_layer(backend, trunk + index, placed, &hidden[index], activations, &masks, to_input, g);
        }
        if let (true, Some(statistics)) = (all, &embedding.statistics) {
            let (rows, width) = (placed.tokens, self.config.hidden);
            let mask = dropout.and_then(|dropout| dropout.embedding(&self.config));
            if let Some(mask) = mask {
                backend.dropout(&mut g.hidden[0], mask, rows, width);
            }
            let [dy, d_sum] = &mut g.hidden;
            self.embeddings.backward(backend, placed, width, dy, &embedding.sum, statistics, d_sum);
        }
    }

    /// From `d out` in `g.hidden[0]` to `d input` in `g.hidden[0]` (where `to_input`), adding the layer's gradients.
    #[allow(clippy::too_many_arguments)]
    fn backward_layer(
        &mut self,
        backend: &B,
        layer: usize,
        placed: &Placed<B>,
        input: &B::Buffer,
        a: &LayerActivations<B>,
        dropout: &LayerDropout,
        to_input: bool,
        g: &mut Gradients<B>,
    ) {
        let (width, activation) = (self.config.hidden, self.config.activation);
        let weights = &mut self.layers[layer];
        let rows = match weights.projections {
            Projections::Fused(_) => placed.tokens,
            Projections::FirstRow { .. } => placed.count,
        };
        let saved = "planned for a trained layer";
        let pre_activation = match activation {
            Activation::Relu | Activation::Tanh => &a.activated,
            _ => a.pre_activation.as_ref().expect(saved),
        };
        let [d, d_other] = &mut g.hidden;

        // out = norm(attended + dropout(output(activated)))
        let norm = &mut weights.output_norm;
        backend.add_layer_norm_backward(
            d,
            &a.output_sum,
            a.output_statistics.as_ref().expect(saved),
            &norm.weight.values,
            rows,
            width,
            d_other,
            dropout.feed_forward_output.map(|mask| (mask, &mut g.dropped)),
            norm.weight.gradient.as_mut().expect(saved),
            norm.bias.gradient.as_mut().expect(saved),
        );
        let d_output = if dropout.feed_forward_output.is_some() { &g.dropped } else { &*d_other };
        weights.output.backward_weight(backend, d_output, &a.activated, rows);
        let through = InputGradient::ThroughActivation(activation, pre_activation);
        backend.linear_backward_input(d_output, &weights.output.packed, rows, through, &mut g.inner);
        weights.intermediate.backward_weight(backend, &g.inner, &a.attended, rows);
        let packed = &weights.intermediate.packed;
        backend.linear_backward_input(&g.inner, packed, rows, InputGradient::Accumulate, d_other);

        // attended = norm(residual + dropout(attention_output(context)))
        let norm = &mut weights.attention_norm;
        backend.add_layer_norm_backward(
            d_other,
            &a.attention_sum,
            a.attention_statistics.as_ref().expect(saved),
            &norm.weight.values,
            rows,
            width,
            d,
            dropout.attention_output.map(|mask| (mask, &mut g.dropped)),
            norm.weight.gradient.as_mut().expect(saved),
            norm.bias.gradient.as_mut().expect(saved),
        );
        let d_attention = if dropout.attention_output.is_some() { &g.dropped } else { &*d };
        weights.attention_output.backward_weight(backend, d_attention, &a.context, rows);
        let packed = &weights.attention_output.packed;
        backend.linear_backward_input(d_attention, packed, rows, InputGradient::Store, &mut g.context);
        self.backward_attention(backend, layer, placed, input, a, dropout, to_input, g);
    }

    /// From `d context` to `d input`: `g.hidden[0]` holds the residual's gradient, and then the sum.
    #[allow(clippy::too_many_arguments)]
    fn backward_attention(
        &mut self,
        backend: &B,
        layer: usize,
        placed: &Placed<B>,
        input: &B::Buffer,
        a: &LayerActivations<B>,
        dropout: &LayerDropout,
        to_input: bool,
        g: &mut Gradients<B>,
    ) {
        let (tokens, width) = (placed.tokens, self.config.hidden);
        let (shape, mask) = (self.config.attention_shape(), dropout.attention_probabilities);
        let log_sum_exp = a.log_sum_exp.as_ref().expect("planned for a trained layer");
        let sequences = &placed.sequences;
        let [d, d_other] = &mut g.hidden;
        let (d_context, d_projected) = (&g.context, &mut g.projected);
        match &mut self.layers[layer].projections {
            Projections::Fused(qkv) => {
                let (projected, context) = (&a.projected, &a.context);
                backend.attention_backward(
                    d_context,
                    projected,
                    context,
                    log_sum_exp,
                    sequences,
                    shape,
                    mask,
                    d_projected,
                );
                qkv.backward_weight(backend, d_projected, input, tokens);
                if to_input {
                    backend.linear_backward_input(d_projected, &qkv.packed, tokens, InputGradient::Accumulate, d);
                }
            }
            Projections::FirstRow { query, key_value } => {
                let first = a.first_input.as_ref().expect("planned for a first-row layer");
                let q = a.first_query.as_ref().expect("planned for a first-row layer");
                let d_q = &mut g.first;
                backend.first_row_attention_backward(
                    d_context,
                    q,
                    &a.projected,
                    &a.context,
                    log_sum_exp,
                    sequences,
                    shape,
                    mask,
                    d_q,
                    d_projected,
                );
                query.backward_weight(backend, d_q, first, placed.count);
                key_value.backward_weight(backend, d_projected, input, tokens);
                if to_input {
                    backend.linear_backward_input(d_q, &query.packed, placed.count, InputGradient::Accumulate, d);
                    backend.linear_backward_input(
                        d_projected,
                        &key_value.packed,
                        tokens,
                        InputGradient::Store,
                        d_other,
                    );
                    backend.scatter_add_rows(d, &placed.first_rows, width, d_other);
                    swap(d, d_other);
                }
            }
        }
    }
}

impl<B: Backend> Linear<B> {
    /// Adds the gradients of the matrix and the bias.
    pub(crate) fn backward_weight(&mut self, backend: &B, dy: &B::Buffer, x: &B::Buffer, rows: usize) {
        let d_weight = self.master.as_mut().expect("a trained layer has a master copy").gradient();
        backend.linear_backward_weight(
            dy,
            x,
            rows,
            self.out_features,
            self.in_features,
            d_weight,
            self.bias.gradient(),
        );
    }
}

impl<B: Backend> Embeddings<B> {
    /// Through the norm to the rows of the three tables.
    #[allow(clippy::too_many_arguments)]
    fn backward(
        &mut self,
        backend: &B,
        placed: &Placed<B>,
        width: usize,
        dy: &B::Buffer,
        sum: &B::Buffer,
        statistics: &B::Buffer,
        d_sum: &mut B::Buffer,
    ) {
        let rows = placed.tokens;
        let (weight, bias) = (&mut self.norm.weight, &mut self.norm.bias);
        let d_weight = weight.gradient.as_mut().expect("trained");
        let values = &weight.values;
        backend.add_layer_norm_backward(
            dy,
            sum,
            statistics,
            values,
            rows,
            width,
            d_sum,
            None,
            d_weight,
            bias.gradient(),
        );
        backend.embed_backward(d_sum, &placed.ids, rows, width, self.word.gradient());
        backend.embed_backward(d_sum, &placed.positions, rows, width, self.position.gradient());
        if let Some(table) = &mut self.token_type {
            backend.embed_backward(d_sum, &placed.types, rows, width, table.gradient());
        }
    }
}
