//! Every op handed to the backend inside, with what it needs.

use super::{Traced, TracedIndices, TracedSequences, TracedWeight, Work};
use crate::{
    Activation, AdamwSlot, AdamwStep, AttentionShape, Backend, DeviceError, Dropout, EmbeddingTables, GradientNorm,
    InputGradient, LossKind, Norm,
};
use serin_tensor::DType;

/// Bytes of an f32: parameters, gradients and statistics.
const SINGLE: usize = 4;

impl<B: Backend> Traced<B> {
    /// Bytes of `elements` of the type of `buffer`.
    fn bytes(&self, buffer: &B::Buffer, elements: usize) -> usize {
        self.inner.dtype(buffer).size() * elements
    }
}

impl<B: Backend> TracedWeight<B> {
    fn elements(&self) -> usize {
        self.out_features * self.in_features
    }

    fn bytes(&self) -> usize {
        self.elements() * self.dtype.size()
    }

    fn features(&self) -> Option<(usize, usize)> {
        Some((self.in_features, self.out_features))
    }
}

impl<B: Backend> Backend for Traced<B> {
    type Buffer = B::Buffer;
    type Indices = TracedIndices<B>;
    type Sequences = TracedSequences<B>;
    type Weight = TracedWeight<B>;

    fn name(&self) -> String {
        self.inner.name()
    }

    fn free_memory(&self) -> Option<usize> {
        self.inner.free_memory()
    }

    fn buffer(&self, dtype: DType, len: usize) -> Result<B::Buffer, DeviceError> {
        self.inner.buffer(dtype, len)
    }

    fn activations(&self, dtype: DType, rows: usize, width: usize) -> Result<B::Buffer, DeviceError> {
        self.inner.activations(dtype, rows, width)
    }

    fn len(&self, buffer: &B::Buffer) -> usize {
        self.inner.len(buffer)
    }

    fn dtype(&self, buffer: &B::Buffer) -> DType {
        self.inner.dtype(buffer)
    }

    fn write(&self, buffer: &mut B::Buffer, offset: usize, values: &[f32]) {
        let work = Work::moving((SINGLE + self.inner.dtype(buffer).size()) * values.len());
        self.call("write", work, |inner| inner.write(buffer, offset, values));
    }

    fn read(&self, buffer: &B::Buffer, offset: usize, values: &mut [f32]) -> Result<(), DeviceError> {
        let work = Work::moving((SINGLE + self.inner.dtype(buffer).size()) * values.len());
        self.call("read", work, |inner| inner.read(buffer, offset, values))
    }

    fn read_bytes(&self, buffer: &B::Buffer, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.call("read_bytes", Work::moving(2 * bytes.len()), |inner| inner.read_bytes(buffer, offset, bytes))
    }

    fn write_bytes(&self, buffer: &mut B::Buffer, offset: usize, bytes: &[u8]) {
        self.call("write_bytes", Work::moving(2 * bytes.len()), |inner| inner.write_bytes(buffer, offset, bytes));
    }

    fn copy(&self, from: &B::Buffer, from_offset: usize, to: &mut B::Buffer, to_offset: usize, len: usize) {
        let work = Work::moving(2 * self.bytes(from, len));
        self.call("copy", work, |inner| inner.copy(from, from_offset, to, to_offset, len));
    }

    fn fill_zero(&self, buffer: &mut B::Buffer, len: usize) {
        self.call("fill_zero", Work::moving(self.bytes(buffer, len)), |inner| inner.fill_zero(buffer, len));
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.inner.synchronize()
    }

    fn indices(&self, capacity: usize) -> Result<TracedIndices<B>, DeviceError> {
        Ok(TracedIndices { inner: self.inner.indices(capacity)?, len: 0 })
    }

    fn write_indices(&self, indices: &mut TracedIndices<B>, values: &[u32]) {
        indices.len = values.len();
        self.inner.write_indices(&mut indices.inner, values);
    }

    fn sequences(&self, capacity: usize) -> Result<TracedSequences<B>, DeviceError> {
        Ok(TracedSequences { inner: self.inner.sequences(capacity)?, rows: 0, pairs: 0, count: 0 })
    }

    fn write_sequences(&self, sequences: &mut TracedSequences<B>, offsets: &[u32]) {
        let lengths = || offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
        sequences.rows = lengths().sum();
        sequences.pairs = lengths().map(|length| length * length).sum();
        sequences.count = lengths().count();
        self.inner.write_sequences(&mut sequences.inner, offsets);
    }

    fn weight(
        &self,
        values: &[f32],
        out_features: usize,
        in_features: usize,
        dtype: DType,
        trainable: bool,
    ) -> Result<TracedWeight<B>, DeviceError> {
        let inner = self.inner.weight(values, out_features, in_features, dtype, trainable)?;
        Ok(TracedWeight { inner, out_features, in_features, dtype, trainable })
    }

    fn refresh_weight(&self, weight: &mut TracedWeight<B>, master: &B::Buffer) {
        let copies = if weight.trainable { 2 } else { 1 };
        let work = Work::moving(SINGLE * weight.elements() + copies * weight.bytes());
        self.call("refresh_weight", work, |inner| inner.refresh_weight(&mut weight.inner, master));
    }

    fn embed(
        &self,
        tables: EmbeddingTables<'_, Self>,
        ids: &TracedIndices<B>,
        positions: &TracedIndices<B>,
        types: &TracedIndices<B>,
        rows: usize,
        width: usize,
        out: &mut B::Buffer,
    ) {
        let read = if tables.token_type.is_some() { 3 } else { 2 };
        let work = Work::moving(self.bytes(tables.word, read * rows * width) + self.bytes(out, rows * width));
        let tables = EmbeddingTables { word: tables.word, position: tables.position, token_type: tables.token_type };
        self.call("embed", work, |inner| {
            inner.embed(tables, &ids.inner, &positions.inner, &types.inner, rows, width, out);
        });
    }

    fn embed_backward(
        &self,
        d_out: &B::Buffer,
        indices: &TracedIndices<B>,
        rows: usize,
        width: usize,
        d_table: &mut B::Buffer,
    ) {
        let work = Work::moving(self.bytes(d_out, rows * width) + 2 * SINGLE * rows * width);
        self.call("embed_backward", work, |inner| inner.embed_backward(d_out, &indices.inner, rows, width, d_table));
    }

    fn linear(
        &self,
        x: &B::Buffer,
        weight: &TracedWeight<B>,
        bias: Option<&B::Buffer>,
        activation: Activation,
        rows: usize,
        pre_activation: Option<&mut B::Buffer>,
        y: &mut B::Buffer,
    ) {
        let (ins, outs) = (weight.in_features, weight.out_features);
        let written = if pre_activation.is_some() { 2 } else { 1 };
        let bytes = self.bytes(x, rows * ins) + weight.bytes() + self.bytes(y, written * rows * outs);
        self.product("linear", weight.features(), Work::product(rows, ins, outs, bytes), |inner| {
            inner.linear(x, &weight.inner, bias, activation, rows, pre_activation, y);
        });
    }

    fn linear_backward_input(
        &self,
        dy: &B::Buffer,
        weight: &TracedWeight<B>,
        rows: usize,
        gradient: InputGradient<'_, Self>,
        dx: &mut B::Buffer,
    ) {
        let (ins, outs) = (weight.in_features, weight.out_features);
        let (gradient, passes) = match gradient {
            InputGradient::Store => (InputGradient::Store, 1),
            InputGradient::Accumulate => (InputGradient::Accumulate, 2),
            InputGradient::ThroughActivation(activation, saved) => {
                (InputGradient::ThroughActivation(activation, saved), 2)
            }
        };
        let bytes = self.bytes(dy, rows * outs) + weight.bytes() + self.bytes(dx, passes * rows * ins);
        self.product("linear_backward_input", weight.features(), Work::product(rows, outs, ins, bytes), |inner| {
            inner.linear_backward_input(dy, &weight.inner, rows, gradient, dx);
        });
    }

    fn linear_backward_weight(
        &self,
        dy: &B::Buffer,
        x: &B::Buffer,
        rows: usize,
        out_features: usize,
        in_features: usize,
        d_weight: &mut B::Buffer,
        d_bias: &mut B::Buffer,
    ) {
        let read = self.bytes(dy, rows * out_features) + self.bytes(x, rows * in_features);
        let work = Work::product(out_features, rows, in_features, read + 2 * SINGLE * out_features * in_features);
        self.product("linear_backward_weight", Some((in_features, out_features)), work, |inner| {
            inner.linear_backward_weight(dy, x, rows, out_features, in_features, d_weight, d_bias);
        });
    }

    fn activation_backward(
        &self,
        activation: Activation,
        saved: &B::Buffer,
        rows: usize,
        width: usize,
        d: &mut B::Buffer,
    ) {
        let work = Work::moving(self.bytes(saved, rows * width) + self.bytes(d, 2 * rows * width));
        self.call("activation_backward", work, |inner| inner.activation_backward(activation, saved, rows, width, d));
    }

    fn attention(
        &self,
        qkv: &B::Buffer,
        sequences: &TracedSequences<B>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut B::Buffer>,
        out: &mut B::Buffer,
    ) {
        let width = shape.width();
        let bytes = self.bytes(qkv, 4 * sequences.rows * width);
        let work = Work::attention(sequences.pairs, width, 2, bytes);
        self.call("attention", work, |inner| {
            inner.attention(qkv, &sequences.inner, shape, dropout, log_sum_exp, out);
        });
    }

    fn attention_backward(
        &self,
        d_out: &B::Buffer,
        qkv: &B::Buffer,
        out: &B::Buffer,
        log_sum_exp: &B::Buffer,
        sequences: &TracedSequences<B>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_qkv: &mut B::Buffer,
    ) {
        let width = shape.width();
        let bytes = self.bytes(qkv, 8 * sequences.rows * width);
        let work = Work::attention(sequences.pairs, width, 4, bytes);
        self.call("attention_backward", work, |inner| {
            inner.attention_backward(d_out, qkv, out, log_sum_exp, &sequences.inner, shape, dropout, d_qkv);
        });
    }

    fn first_row_attention(
        &self,
        q: &B::Buffer,
        kv: &B::Buffer,
        sequences: &TracedSequences<B>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut B::Buffer>,
        out: &mut B::Buffer,
    ) {
        let width = shape.width();
        let bytes = self.bytes(kv, (2 * sequences.rows + 2 * sequences.count) * width);
        let work = Work::attention(sequences.rows, width, 2, bytes);
        self.call("first_row_attention", work, |inner| {
            inner.first_row_attention(q, kv, &sequences.inner, shape, dropout, log_sum_exp, out);
        });
    }

    fn first_row_attention_backward(
        &self,
        d_out: &B::Buffer,
        q: &B::Buffer,
        kv: &B::Buffer,
        out: &B::Buffer,
        log_sum_exp: &B::Buffer,
        sequences: &TracedSequences<B>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_q: &mut B::Buffer,
        d_kv: &mut B::Buffer,
    ) {
        let width = shape.width();
        let bytes = self.bytes(kv, (4 * sequences.rows + 4 * sequences.count) * width);
        let work = Work::attention(sequences.rows, width, 4, bytes);
        self.call("first_row_attention_backward", work, |inner| {
            inner.first_row_attention_backward(
                d_out,
                q,
                kv,
                out,
                log_sum_exp,
                &sequences.inner,
                shape,
                dropout,
                d_q,
                d_kv,
            );
        });
    }

    fn add_layer_norm(
        &self,
        x: &mut B::Buffer,
        residual: Option<&B::Buffer>,
        dropout: Option<Dropout>,
        norm: Norm<'_, Self>,
        rows: usize,
        width: usize,
        statistics: Option<&mut B::Buffer>,
        y: &mut B::Buffer,
    ) {
        let passes = 2 + usize::from(residual.is_some()) + usize::from(statistics.is_some());
        let work = Work::moving(self.bytes(x, passes * rows * width));
        let norm = Norm { weight: norm.weight, bias: norm.bias, epsilon: norm.epsilon };
        self.call("add_layer_norm", work, |inner| {
            inner.add_layer_norm(x, residual, dropout, norm, rows, width, statistics, y);
        });
    }

    fn add_layer_norm_backward(
        &self,
        dy: &B::Buffer,
        sum: &B::Buffer,
        statistics: &B::Buffer,
        weight: &B::Buffer,
        rows: usize,
        width: usize,
        d_sum: &mut B::Buffer,
        d_x: Option<(Dropout, &mut B::Buffer)>,
        d_weight: &mut B::Buffer,
        d_bias: &mut B::Buffer,
    ) {
        let passes = 3 + usize::from(d_x.is_some());
        let work = Work::moving(self.bytes(sum, passes * rows * width));
        self.call("add_layer_norm_backward", work, |inner| {
            inner.add_layer_norm_backward(dy, sum, statistics, weight, rows, width, d_sum, d_x, d_weight, d_bias);
        });
    }

    fn dropout(&self, x: &mut B::Buffer, dropout: Dropout, rows: usize, width: usize) {
        let work = Work::moving(self.bytes(x, 2 * rows * width));
        self.call("dropout", work, |inner| inner.dropout(x, dropout, rows, width));
    }

    fn gather_rows(&self, x: &B::Buffer, indices: &TracedIndices<B>, width: usize, out: &mut B::Buffer) {
        let elements = indices.len * width;
        let work = Work::moving(self.bytes(x, elements) + self.bytes(out, elements));
        self.call("gather_rows", work, |inner| inner.gather_rows(x, &indices.inner, width, out));
    }

    fn scatter_add_rows(&self, d_out: &B::Buffer, indices: &TracedIndices<B>, width: usize, d_x: &mut B::Buffer) {
        let elements = indices.len * width;
        let work = Work::moving(self.bytes(d_out, elements) + self.bytes(d_x, 2 * elements));
        self.call("scatter_add_rows", work, |inner| inner.scatter_add_rows(d_out, &indices.inner, width, d_x));
    }

    fn loss(
        &self,
        kind: LossKind,
        logits: &B::Buffer,
        targets: &B::Buffer,
        rows: usize,
        labels: usize,
        gradient_scale: f32,
        losses: &mut B::Buffer,
        d_logits: Option<&mut B::Buffer>,
    ) {
        let passes = 2 + usize::from(d_logits.is_some());
        self.call("loss", Work::moving(SINGLE * rows * (passes * labels + 1)), |inner| {
            inner.loss(kind, logits, targets, rows, labels, gradient_scale, losses, d_logits);
        });
    }

    fn vocabulary_loss(
        &self,
        logits: &mut B::Buffer,
        targets: &TracedIndices<B>,
        rows: usize,
        classes: usize,
        gradient_scale: Option<f32>,
        losses: &mut B::Buffer,
    ) {
        let passes = 1 + usize::from(gradient_scale.is_some());
        let work = Work::moving(self.bytes(logits, passes * rows * classes));
        self.call("vocabulary_loss", work, |inner| {
            inner.vocabulary_loss(logits, &targets.inner, rows, classes, gradient_scale, losses);
        });
    }

    fn gradient_norm(&self, gradients: &[(&B::Buffer, usize)]) -> Result<GradientNorm, DeviceError> {
        let elements: usize = gradients.iter().map(|(_, len)| len).sum();
        self.call("gradient_norm", Work::moving(SINGLE * elements), |inner| inner.gradient_norm(gradients))
    }

    fn adamw(&self, slots: &mut [AdamwSlot<'_, Self>], step: AdamwStep) {
        let elements: usize = slots.iter().map(|slot| slot.len).sum();
        let mut slots: Vec<AdamwSlot<'_, B>> = slots
            .iter_mut()
            .map(|slot| AdamwSlot {
                parameter: &mut *slot.parameter,
                gradient: slot.gradient,
                first_moment: &mut *slot.first_moment,
                second_moment: &mut *slot.second_moment,
                len: slot.len,
                learning_rate: slot.learning_rate,
                weight_decay: slot.weight_decay,
            })
            .collect();
        // Parameter and both moments are read and written, the gradient is read.
        self.call("adamw", Work::moving(7 * SINGLE * elements), |inner| inner.adamw(&mut slots, step));
    }
}
