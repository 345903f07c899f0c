//! [`Cuda`]: every op of the vocabulary, handed to the kernels and products that compute it.

use crate::device::{Card, Device, Emulator};
use crate::error::CudaError;
use crate::launch::{attention, embedding, layer_norm, loss, optimizer, product, rows};
use crate::memory::{Arena, Buffer, Indices, Scratch, Sequences};
use crate::products::linear::{Linear, Weight};
use serin_ops::{
    Activation, AdamwSlot, AdamwStep, AttentionShape, Backend, DeviceError, Dropout, EmbeddingTables, GradientNorm,
    InputGradient, LossKind, Norm,
};
use serin_tensor::DType;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How to run on a GPU.
#[derive(Clone, Debug, Default)]
pub struct CudaOptions {
    /// The number of the card among those that `CUDA_VISIBLE_DEVICES` shows.
    pub ordinal: u32,
    /// Where compiled kernels are kept; without, they are compiled at each start.
    pub cache: Option<PathBuf>,
}

/// A GPU as a device.
pub struct Cuda {
    name: String,
    arithmetic: String,
    device: Arc<dyn Device>,
    arena: Arc<Arena>,
    /// Locked from the first kernel of an op to the last, so that two threads never share what is between them, and no copy of
    /// one thread comes between what another enqueues.
    scratch: Mutex<Scratch>,
    /// The first failure of what was enqueued, until someone asks.
    failure: Mutex<Option<String>>,
}

impl Cuda {
    /// Opens a card. Kernels are compiled as they are first used, or by [`Cuda::prepare`].
    pub fn new(options: CudaOptions) -> Result<Cuda, CudaError> {
        let card = Arc::new(Card::open(options.ordinal, options.cache)?);
        let arena = Arc::new(Arena::new(card.clone()));
        let arithmetic = card.arithmetic();
        Ok(Cuda::on(card, arena, arithmetic))
    }

    /// The emulator, a device for tests: from the libraries of f32, bf16 and f16.
    ///
    /// # Safety
    /// They were compiled from this crate's `kernels/`, as `kernels/README.md` says.
    #[allow(unsafe_code)]
    pub unsafe fn emulated(libraries: [&Path; 3]) -> Result<Cuda, CudaError> {
        // SAFETY: the caller's.
        let device = Arc::new(unsafe { Emulator::open(libraries)? });
        let arena = Arc::new(Arena::new(device.clone()));
        Ok(Cuda::on(device, arena, "emulated GPU".into()))
    }

    fn on(device: Arc<dyn Device>, arena: Arc<Arena>, arithmetic: String) -> Cuda {
        let gigabytes = device.total_memory() as f64 / f64::from(1 << 30);
        let name = format!("CUDA: {}, {gigabytes:.0} GiB", device.name());
        let scratch = Mutex::new(Scratch::new(&arena));
        Cuda { name, arithmetic, device, arena, scratch, failure: Mutex::default() }
    }

    /// Compiles and loads all kernels that a model of a storage type may run, in parallel. Without this each is compiled when
    /// it is first used. `slow` is called once if it takes longer than two seconds, as it does the first time on a card.
    pub fn prepare(&self, storage: DType, slow: &dyn Fn()) -> Result<(), CudaError> {
        self.device.prepare(storage, slow)
    }

    /// All that decides the bits of results besides the call: the card, and the versions of what compiles and multiplies.
    pub fn arithmetic(&self) -> &str {
        &self.arithmetic
    }

    pub(crate) fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// Keeps the first failure of an op for whoever asks next.
    pub(crate) fn enqueue(&self, op: impl FnOnce(&dyn Device) -> Result<(), CudaError>) {
        self.enqueue_with(|device, _| op(device));
    }

    /// As [`Cuda::enqueue`], for ops of several kernels.
    fn enqueue_with(&self, op: impl FnOnce(&dyn Device, &mut Scratch) -> Result<(), CudaError>) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = op(&*self.device, &mut scratch) {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error.to_string());
        }
    }

    /// Makes what is in the device's memory.
    fn make<T>(&self, make: impl FnOnce(&Arc<Arena>) -> Result<T, CudaError>) -> Result<T, DeviceError> {
        let _scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        make(&self.arena).map_err(|error| error.on(&self.name))
    }

    fn enqueue_linear(&self, op: impl FnOnce(&mut Linear<'_>) -> Result<(), CudaError>) {
        self.enqueue_with(|device, scratch| op(&mut Linear { device, scratch }));
    }

    /// A result, unless something that was enqueued before had failed.
    pub(crate) fn answer<T>(&self, result: Result<T, CudaError>) -> Result<T, DeviceError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failure {
            Some(reason) => Err(DeviceError { device: self.name.clone(), reason }),
            None => result.map_err(|error| error.on(&self.name)),
        }
    }
}

impl Backend for Cuda {
    type Buffer = Buffer;
    type Indices = Indices;
    type Sequences = Sequences;
    type Weight = Weight;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn free_memory(&self) -> Option<usize> {
        self.device.free_memory().ok()
    }

    fn buffer(&self, dtype: DType, len: usize) -> Result<Buffer, DeviceError> {
        self.make(|arena| Buffer::zeroed(arena, dtype, len))
    }

    fn len(&self, buffer: &Buffer) -> usize {
        buffer.len()
    }

    fn dtype(&self, buffer: &Buffer) -> DType {
        buffer.dtype()
    }

    fn write(&self, buffer: &mut Buffer, offset: usize, values: &[f32]) {
        self.enqueue(|_| buffer.write(offset, values));
    }

    fn read(&self, buffer: &Buffer, offset: usize, values: &mut [f32]) -> Result<(), DeviceError> {
        self.answer(buffer.read(offset, values))
    }

    fn read_bytes(&self, buffer: &Buffer, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.answer(buffer.read_bytes(offset, bytes))
    }

    fn write_bytes(&self, buffer: &mut Buffer, offset: usize, bytes: &[u8]) {
        self.enqueue(|_| buffer.write_bytes(offset, bytes));
    }

    fn copy(&self, from: &Buffer, from_offset: usize, to: &mut Buffer, to_offset: usize, len: usize) {
        self.enqueue(|_| to.copy(to_offset, from, from_offset, len));
    }

    fn fill_zero(&self, buffer: &mut Buffer, len: usize) {
        self.enqueue(|_| buffer.fill_zero(len));
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.answer(self.device.synchronize())
    }

    fn indices(&self, capacity: usize) -> Result<Indices, DeviceError> {
        self.make(|arena| Indices::with_capacity(arena, capacity))
    }

    fn write_indices(&self, indices: &mut Indices, values: &[u32]) {
        self.enqueue(|_| indices.write(values));
    }

    fn sequences(&self, capacity: usize) -> Result<Sequences, DeviceError> {
        self.make(|arena| Sequences::with_capacity(arena, capacity))
    }

    fn write_sequences(&self, sequences: &mut Sequences, offsets: &[u32]) {
        self.enqueue(|_| sequences.write(offsets));
    }

    fn weight(
        &self,
        values: &[f32],
        out_features: usize,
        in_features: usize,
        dtype: DType,
        _trainable: bool,
    ) -> Result<Weight, DeviceError> {
        assert_eq!(values.len(), out_features * in_features, "weight has another number of elements than its shape");
        self.make(|arena| {
            let mut matrix = Buffer::zeroed(arena, dtype, values.len())?;
            matrix.write(0, values)?;
            Ok(Weight { matrix, out_features, in_features })
        })
    }

    fn refresh_weight(&self, weight: &mut Weight, master: &Buffer) {
        let len = weight.len();
        self.enqueue(|device| product::convert(device, master, &mut weight.matrix, len));
    }

    fn embed(
        &self,
        tables: EmbeddingTables<'_, Cuda>,
        ids: &Indices,
        positions: &Indices,
        types: &Indices,
        rows: usize,
        width: usize,
        out: &mut Buffer,
    ) {
        self.enqueue(|device| embedding::embed(device, &tables, ids, positions, types, rows, width, out));
    }

    fn embed_backward(&self, d_out: &Buffer, indices: &Indices, rows: usize, width: usize, d_table: &mut Buffer) {
        self.enqueue_with(|device, scratch| {
            embedding::embed_backward(device, scratch, d_out, indices, rows, width, d_table)
        });
    }

    fn linear(
        &self,
        x: &Buffer,
        weight: &Weight,
        bias: Option<&Buffer>,
        activation: Activation,
        rows: usize,
        pre_activation: Option<&mut Buffer>,
        y: &mut Buffer,
    ) {
        self.enqueue_linear(|linear| linear.forward(x, weight, bias, activation, rows, pre_activation, y));
    }

    fn linear_backward_input(
        &self,
        dy: &Buffer,
        weight: &Weight,
        rows: usize,
        gradient: InputGradient<'_, Cuda>,
        dx: &mut Buffer,
    ) {
        self.enqueue_linear(|linear| linear.backward_input(dy, weight, rows, gradient, dx));
    }

    fn linear_backward_weight(
        &self,
        dy: &Buffer,
        x: &Buffer,
        rows: usize,
        out_features: usize,
        in_features: usize,
        d_weight: &mut Buffer,
        d_bias: &mut Buffer,
    ) {
        self.enqueue_linear(|linear| linear.backward_weight(dy, x, rows, out_features, in_features, d_weight, d_bias));
    }

    fn activation_backward(&self, activation: Activation, saved: &Buffer, rows: usize, width: usize, d: &mut Buffer) {
        self.enqueue(|device| product::through_activation(device, activation, saved, rows * width, d));
    }

    fn attention(
        &self,
        qkv: &Buffer,
        sequences: &Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut Buffer>,
        out: &mut Buffer,
    ) {
        self.enqueue(|device| attention::attention(device, qkv, sequences, shape, dropout, log_sum_exp, out));
    }

    fn attention_backward(
        &self,
        d_out: &Buffer,
        qkv: &Buffer,
        out: &Buffer,
        log_sum_exp: &Buffer,
        sequences: &Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_qkv: &mut Buffer,
    ) {
        self.enqueue_with(|device, scratch| {
            attention::attention_backward(
                device,
                scratch,
                d_out,
                qkv,
                out,
                log_sum_exp,
                sequences,
                shape,
                dropout,
                d_qkv,
            )
        });
    }

    fn first_row_attention(
        &self,
        q: &Buffer,
        kv: &Buffer,
        sequences: &Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        log_sum_exp: Option<&mut Buffer>,
        out: &mut Buffer,
    ) {
        self.enqueue(|device| {
            attention::first_row_attention(device, q, kv, sequences, shape, dropout, log_sum_exp, out)
        });
    }

    fn first_row_attention_backward(
        &self,
        d_out: &Buffer,
        q: &Buffer,
        kv: &Buffer,
        out: &Buffer,
        log_sum_exp: &Buffer,
        sequences: &Sequences,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_q: &mut Buffer,
        d_kv: &mut Buffer,
    ) {
        self.enqueue(|device| {
            attention::first_row_attention_backward(
                device,
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
            )
        });
    }

    fn add_layer_norm(
        &self,
        x: &mut Buffer,
        residual: Option<&Buffer>,
        dropout: Option<Dropout>,
        norm: Norm<'_, Cuda>,
        rows: usize,
        width: usize,
        statistics: Option<&mut Buffer>,
        y: &mut Buffer,
    ) {
        self.enqueue(|device| {
            layer_norm::add_layer_norm(device, x, residual, dropout, &norm, rows, width, statistics, y)
        });
    }

    fn add_layer_norm_backward(
        &self,
        dy: &Buffer,
        sum: &Buffer,
        statistics: &Buffer,
        weight: &Buffer,
        rows: usize,
        width: usize,
        d_sum: &mut Buffer,
        d_x: Option<(Dropout, &mut Buffer)>,
        d_weight: &mut Buffer,
        d_bias: &mut Buffer,
    ) {
        self.enqueue_with(|device, scratch| {
            layer_norm::add_layer_norm_backward(
                device, scratch, dy, sum, statistics, weight, rows, width, d_sum, d_x, d_weight, d_bias,
            )
        });
    }

    fn dropout(&self, x: &mut Buffer, dropout: Dropout, rows: usize, width: usize) {
        self.enqueue(|device| rows::dropout(device, x, dropout, rows, width));
    }

    fn gather_rows(&self, x: &Buffer, indices: &Indices, width: usize, out: &mut Buffer) {
        self.enqueue(|device| rows::gather_rows(device, x, indices, width, out));
    }

    fn scatter_add_rows(&self, d_out: &Buffer, indices: &Indices, width: usize, d_x: &mut Buffer) {
        self.enqueue(|device| rows::scatter_add_rows(device, d_out, indices, width, d_x));
    }

    fn loss(
        &self,
        kind: LossKind,
        logits: &Buffer,
        targets: &Buffer,
        rows: usize,
        labels: usize,
        gradient_scale: f32,
        losses: &mut Buffer,
        d_logits: Option<&mut Buffer>,
    ) {
        self.enqueue(|device| {
            loss::loss(device, kind, logits, targets, rows, labels, gradient_scale, losses, d_logits)
        });
    }

    fn vocabulary_loss(
        &self,
        logits: &mut Buffer,
        targets: &Indices,
        rows: usize,
        classes: usize,
        gradient_scale: Option<f32>,
        losses: &mut Buffer,
    ) {
        self.enqueue(|device| loss::vocabulary_loss(device, logits, targets, rows, classes, gradient_scale, losses));
    }

    fn gradient_norm(&self, gradients: &[(&Buffer, usize)]) -> Result<GradientNorm, DeviceError> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        self.answer(optimizer::gradient_norm(&*self.device, &mut scratch, gradients))
    }

    fn adamw(&self, slots: &mut [AdamwSlot<'_, Cuda>], step: AdamwStep) {
        self.enqueue_with(|device, scratch| optimizer::adamw(device, scratch, slots, step));
    }
}
