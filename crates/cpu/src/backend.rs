//! [`Cpu`]: every op of the vocabulary, handed to the folder that computes it.

use crate::caches::Caches;
use crate::gemm::PackedWeight;
use crate::isa::Isa;
use crate::threads::Threads;
use crate::{attention, gemm, rows};
use serin_ops::{
    Activation, AdamwSlot, AdamwStep, AttentionShape, Backend, DeviceError, Dropout, EmbeddingTables, GradientNorm,
    InputGradient, LossKind, Norm,
};
use serin_tensor::{AlignedBuffer, BLOCK, DType};

/// How to run on the CPU.
#[derive(Clone, Copy, Debug)]
pub struct CpuOptions {
    /// Threads, the caller's included; at least 1.
    pub threads: usize,
    /// The instruction sets to use.
    pub isa: Isa,
}

impl Default for CpuOptions {
    /// A thread a core, as far as this process may use them all, and all instruction sets.
    ///
    /// Two threads of one core share its multipliers and its caches, whose sizes products are cut by.
    fn default() -> CpuOptions {
        let allowed = std::thread::available_parallelism().map_or(1, |count| count.get());
        CpuOptions { threads: allowed.min(num_cpus::get_physical()), isa: Isa::detect() }
    }
}

/// The CPU as a device.
pub struct Cpu {
    pub(crate) isa: Isa,
    pub(crate) threads: Threads,
    pub(crate) caches: Caches,
}

impl Cpu {
    /// Starts the threads.
    pub fn new(options: CpuOptions) -> Result<Cpu, DeviceError> {
        let threads = Threads::new(options.threads)
            .map_err(|error| DeviceError { device: "CPU".into(), reason: format!("cannot start threads: {error}") })?;
        Ok(Cpu { isa: options.isa, threads, caches: Caches::detect() })
    }

    /// The instruction sets in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Threads that compute, the caller's included.
    pub fn thread_count(&self) -> usize {
        self.threads.count()
    }
}

impl Backend for Cpu {
    type Buffer = AlignedBuffer;
    type Indices = Vec<u32>;
    type Sequences = Vec<u32>;
    type Weight = PackedWeight;

    fn name(&self) -> String {
        let count = self.threads.count();
        format!("CPU: {}, {count} thread{}", self.isa.best(), if count == 1 { "" } else { "s" })
    }

    fn buffer(&self, dtype: DType, len: usize) -> Result<AlignedBuffer, DeviceError> {
        Ok(AlignedBuffer::zeroed(dtype, len))
    }

    fn activations(&self, dtype: DType, rows: usize, width: usize) -> Result<AlignedBuffer, DeviceError> {
        let whole = width > 0 && width.is_multiple_of(BLOCK);
        let in_blocks = whole && dtype == DType::BF16 && self.isa.avx512_bf16.is_some();
        Ok(match in_blocks {
            true => AlignedBuffer::in_blocks(dtype, rows, width),
            false => AlignedBuffer::zeroed(dtype, rows * width),
        })
    }

    fn len(&self, buffer: &AlignedBuffer) -> usize {
        buffer.len()
    }

    fn dtype(&self, buffer: &AlignedBuffer) -> DType {
        buffer.dtype()
    }

    fn write(&self, buffer: &mut AlignedBuffer, offset: usize, values: &[f32]) {
        rows::write(self, buffer, offset, values);
    }

    fn read(&self, buffer: &AlignedBuffer, offset: usize, values: &mut [f32]) -> Result<(), DeviceError> {
        rows::read(self, buffer, offset, values);
        Ok(())
    }

    fn read_bytes(&self, buffer: &AlignedBuffer, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        rows::read_bytes(buffer, offset, bytes);
        Ok(())
    }

    fn write_bytes(&self, buffer: &mut AlignedBuffer, offset: usize, bytes: &[u8]) {
        rows::write_bytes(buffer, offset, bytes);
    }

    fn copy(&self, from: &AlignedBuffer, from_offset: usize, to: &mut AlignedBuffer, to_offset: usize, len: usize) {
        assert_eq!(from.dtype(), to.dtype(), "a copy between types");
        rows::copy(from, from_offset, to, to_offset, len);
    }

    fn fill_zero(&self, buffer: &mut AlignedBuffer, len: usize) {
        rows::fill_zero(self, buffer, len);
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn indices(&self, capacity: usize) -> Result<Vec<u32>, DeviceError> {
        Ok(Vec::with_capacity(capacity))
    }

    fn write_indices(&self, indices: &mut Vec<u32>, values: &[u32]) {
        indices.clear();
        indices.extend_from_slice(values);
    }

    fn sequences(&self, capacity: usize) -> Result<Vec<u32>, DeviceError> {
        Ok(Vec::with_capacity(capacity + 1))
    }

    fn write_sequences(&self, sequences: &mut Vec<u32>, offsets: &[u32]) {
        sequences.clear();
        sequences.extend_from_slice(offsets);
    }

    fn weight(
        &self,
        values: &[f32],
        out_features: usize,
        in_features: usize,
        dtype: DType,
        trainable: bool,
    ) -> Result<PackedWeight, DeviceError> {
        Ok(PackedWeight::pack(self, values, out_features, in_features, dtype, trainable))
    }

    fn refresh_weight(&self, weight: &mut PackedWeight, master: &AlignedBuffer) {
        weight.refresh(self, master.as_slice::<f32>());
    }

    fn embed(
        &self,
        tables: EmbeddingTables<'_, Cpu>,
        ids: &Vec<u32>,
        positions: &Vec<u32>,
        types: &Vec<u32>,
        rows: usize,
        width: usize,
        out: &mut AlignedBuffer,
    ) {
        rows::embedding::embed(self, tables, ids, positions, types, rows, width, out);
    }

    fn embed_backward(
        &self,
        d_out: &AlignedBuffer,
        indices: &Vec<u32>,
        rows: usize,
        width: usize,
        d_table: &mut AlignedBuffer,
    ) {
        rows::embedding::embed_backward(self, d_out, indices, rows, width, d_table);
    }

    fn linear(
        &self,
        x: &AlignedBuffer,
        weight: &PackedWeight,
        bias: Option<&AlignedBuffer>,
        activation: Activation,
        rows: usize,
        pre_activation: Option<&mut AlignedBuffer>,
        y: &mut AlignedBuffer,
    ) {
        gemm::linear(self, x, weight, bias, activation, rows, pre_activation, y);
    }

    fn linear_backward_input(
        &self,
        dy: &AlignedBuffer,
        weight: &PackedWeight,
        rows: usize,
        gradient: InputGradient<'_, Cpu>,
        dx: &mut AlignedBuffer,
    ) {
        gemm::linear_backward_input(self, dy, weight, rows, gradient, dx);
    }

    fn linear_backward_weight(
        &self,
        dy: &AlignedBuffer,
        x: &AlignedBuffer,
        rows: usize,
        out_features: usize,
        in_features: usize,
        d_weight: &mut AlignedBuffer,
        d_bias: &mut AlignedBuffer,
    ) {
        gemm::linear_backward_weight(self, dy, x, rows, out_features, in_features, d_weight, d_bias);
    }

    fn activation_backward(
        &self,
        activation: Activation,
        saved: &AlignedBuffer,
        rows: usize,
        width: usize,
        d: &mut AlignedBuffer,
    ) {
        rows::activation::activation_backward(self, activation, saved, rows, width, d);
    }

    fn attention(
        &self,
        qkv: &AlignedBuffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut AlignedBuffer>,
        out: &mut AlignedBuffer,
    ) {
        attention::attention(self, qkv, sequences, shape, dropout, log_sum_exp, out);
    }

    fn attention_backward(
        &self,
        d_out: &AlignedBuffer,
        qkv: &AlignedBuffer,
        out: &AlignedBuffer,
        log_sum_exp: &AlignedBuffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_qkv: &mut AlignedBuffer,
    ) {
        attention::attention_backward(self, d_out, qkv, out, log_sum_exp, sequences, shape, dropout, d_qkv);
    }

    fn first_row_attention(
        &self,
        q: &AlignedBuffer,
        kv: &AlignedBuffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut AlignedBuffer>,
        out: &mut AlignedBuffer,
    ) {
        attention::first_row::attention(self, q, kv, sequences, shape, dropout, log_sum_exp, out);
    }

    fn first_row_attention_backward(
        &self,
        d_out: &AlignedBuffer,
        q: &AlignedBuffer,
        kv: &AlignedBuffer,
        out: &AlignedBuffer,
        log_sum_exp: &AlignedBuffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_q: &mut AlignedBuffer,
        d_kv: &mut AlignedBuffer,
    ) {
        attention::first_row::attention_backward(
            self,
            d_out,
            q,
            kv,
            out,
            log_sum_exp,
            sequences,
            shape,
            dropout,
            d_q,
            d_kv,
        );
    }

    fn add_layer_norm(
        &self,
        x: &mut AlignedBuffer,
        residual: Option<&AlignedBuffer>,
        dropout: Option<Dropout>,
        norm: Norm<'_, Cpu>,
        rows: usize,
        width: usize,
        statistics: Option<&mut AlignedBuffer>,
        y: &mut AlignedBuffer,
    ) {
        rows::layer_norm::add_layer_norm(self, x, residual, dropout, norm, rows, width, statistics, y);
    }

    fn add_layer_norm_backward(
        &self,
        dy: &AlignedBuffer,
        sum: &AlignedBuffer,
        statistics: &AlignedBuffer,
        weight: &AlignedBuffer,
        rows: usize,
        width: usize,
        d_sum: &mut AlignedBuffer,
        d_x: Option<(Dropout, &mut AlignedBuffer)>,
        d_weight: &mut AlignedBuffer,
        d_bias: &mut AlignedBuffer,
    ) {
        rows::layer_norm::add_layer_norm_backward(
            self, dy, sum, statistics, weight, rows, width, d_sum, d_x, d_weight, d_bias,
        );
    }

    fn dropout(&self, x: &mut AlignedBuffer, dropout: Dropout, rows: usize, width: usize) {
        rows::dropout::dropout(self, x, dropout, rows, width);
    }

    fn gather_rows(&self, x: &AlignedBuffer, indices: &Vec<u32>, width: usize, out: &mut AlignedBuffer) {
        rows::gather::gather_rows(self, x, indices, width, out);
    }

    fn scatter_add_rows(&self, d_out: &AlignedBuffer, indices: &Vec<u32>, width: usize, d_x: &mut AlignedBuffer) {
        rows::gather::scatter_add_rows(self, d_out, indices, width, d_x);
    }

    fn loss(
        &self,
        kind: LossKind,
        logits: &AlignedBuffer,
        targets: &AlignedBuffer,
        rows: usize,
        labels: usize,
        gradient_scale: f32,
        losses: &mut AlignedBuffer,
        d_logits: Option<&mut AlignedBuffer>,
    ) {
        rows::loss::loss(self, kind, logits, targets, rows, labels, gradient_scale, losses, d_logits);
    }

    fn vocabulary_loss(
        &self,
        logits: &mut AlignedBuffer,
        targets: &Vec<u32>,
        rows: usize,
        classes: usize,
        gradient_scale: Option<f32>,
        losses: &mut AlignedBuffer,
    ) {
        rows::vocabulary_loss::vocabulary_loss(self, logits, targets, rows, classes, gradient_scale, losses);
    }

    fn gradient_norm(&self, gradients: &[(&AlignedBuffer, usize)]) -> Result<GradientNorm, DeviceError> {
        Ok(rows::optimizer::gradient_norm(self, gradients))
    }

    fn adamw(&self, slots: &mut [AdamwSlot<'_, Cpu>], step: AdamwStep) {
        rows::optimizer::adamw(self, slots, step);
    }
}
