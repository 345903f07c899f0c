//! Plain loops in f32 and f64: the definition of correct.
//!
//! [`Reference<f64>`] is what every backend is measured against and what finite differences are taken of. Storage types
//! are tags here: numbers are kept in `T` unrounded, so a comparison sees all of a backend's rounding.

#![allow(clippy::needless_range_loop)] // index loops read like the formulas they define

mod attention;
mod elementwise;
mod real;
mod rows;

pub use real::Real;

use crate::{
    Activation, AdamwSlot, AdamwStep, AttentionShape, Backend, DeviceError, Dropout, EmbeddingTables, GradientNorm,
    InputGradient, LossKind, Norm, keep,
};
use attention::{Inputs, Layout, each_query};
use elementwise::derivative;
use serin_tensor::DType;
use std::marker::PhantomData;

/// The backend of plain loops over `T`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference<T>(PhantomData<T>);

impl<T> Reference<T> {
    /// The reference.
    pub const fn new() -> Reference<T> {
        Reference(PhantomData)
    }
}

/// Numbers with the storage type they stand for.
#[derive(Clone, Debug)]
pub struct ReferenceBuffer<T> {
    /// The tag.
    pub dtype: DType,
    /// The numbers, unrounded.
    pub values: Vec<T>,
}

/// A matrix `[out_features, in_features]`.
#[derive(Clone, Debug)]
pub struct ReferenceWeight<T> {
    values: Vec<T>,
    out_features: usize,
    in_features: usize,
}

impl<T: Real> Reference<T> {
    /// What `dropout` multiplies the element at (row, column) by.
    fn mask(dropout: Option<Dropout>, row: usize, column: usize) -> T {
        match dropout {
            None => T::of(1.0),
            Some(dropout) if keep(&dropout, row as u64, column as u32) => T::of(f64::from(dropout.scale)),
            Some(_) => T::of(0.0),
        }
    }

    fn packed<'a>(qkv: &'a [T], shape: AttentionShape, dropout: Option<Dropout>) -> Inputs<'a, T> {
        let at = |part| Layout { stride: 3 * shape.width(), offset: part * shape.width() };
        Inputs { q: qkv, q_layout: at(0), kv: qkv, k_layout: at(1), v_layout: at(2), shape, dropout }
    }

    fn apart<'a>(q: &'a [T], kv: &'a [T], shape: AttentionShape, dropout: Option<Dropout>) -> Inputs<'a, T> {
        let at = |part| Layout { stride: 2 * shape.width(), offset: part * shape.width() };
        Inputs { q, q_layout: Self::rows_of(shape), kv, k_layout: at(0), v_layout: at(1), shape, dropout }
    }

    fn rows_of(shape: AttentionShape) -> Layout {
        Layout { stride: shape.width(), offset: 0 }
    }
}

impl<T: Real> Backend for Reference<T> {
    type Buffer = ReferenceBuffer<T>;
    type Indices = Vec<u32>;
    type Sequences = Vec<u32>;
    type Weight = ReferenceWeight<T>;

    fn name(&self) -> String {
        format!("reference loops in {}", std::any::type_name::<T>())
    }

    fn buffer(&self, dtype: DType, len: usize) -> Result<Self::Buffer, DeviceError> {
        Ok(ReferenceBuffer { dtype, values: vec![T::default(); len] })
    }

    fn len(&self, buffer: &Self::Buffer) -> usize {
        buffer.values.len()
    }

    fn dtype(&self, buffer: &Self::Buffer) -> DType {
        buffer.dtype
    }

    fn write(&self, buffer: &mut Self::Buffer, offset: usize, values: &[f32]) {
        for (to, &from) in buffer.values[offset..][..values.len()].iter_mut().zip(values) {
            *to = T::of(f64::from(from));
        }
    }

    fn read(&self, buffer: &Self::Buffer, offset: usize, values: &mut [f32]) -> Result<(), DeviceError> {
        let len = values.len();
        for (to, from) in values.iter_mut().zip(&buffer.values[offset..][..len]) {
            *to = from.double() as f32;
        }
        Ok(())
    }

    fn read_bytes(&self, buffer: &Self::Buffer, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let size = buffer.dtype.size();
        for (to, from) in bytes.chunks_exact_mut(size).zip(&buffer.values[offset..]) {
            let value = from.double() as f32;
            match buffer.dtype {
                DType::F32 => to.copy_from_slice(&value.to_le_bytes()),
                DType::BF16 => to.copy_from_slice(&half::bf16::from_f32(value).to_le_bytes()),
                DType::F16 => to.copy_from_slice(&half::f16::from_f32(value).to_le_bytes()),
            }
        }
        Ok(())
    }

    fn write_bytes(&self, buffer: &mut Self::Buffer, offset: usize, bytes: &[u8]) {
        let dtype = buffer.dtype;
        for (to, from) in buffer.values[offset..].iter_mut().zip(bytes.chunks_exact(dtype.size())) {
            let value = match dtype {
                DType::F32 => f32::from_le_bytes([from[0], from[1], from[2], from[3]]),
                DType::BF16 => half::bf16::from_le_bytes([from[0], from[1]]).to_f32(),
                DType::F16 => half::f16::from_le_bytes([from[0], from[1]]).to_f32(),
            };
            *to = T::of(f64::from(value));
        }
    }

    fn copy(&self, from: &Self::Buffer, from_offset: usize, to: &mut Self::Buffer, to_offset: usize, len: usize) {
        assert_eq!(from.dtype, to.dtype, "a copy between types");
        to.values[to_offset..][..len].copy_from_slice(&from.values[from_offset..][..len]);
    }

    fn fill_zero(&self, buffer: &mut Self::Buffer, len: usize) {
        buffer.values[..len].fill(T::default());
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn indices(&self, capacity: usize) -> Result<Vec<u32>, DeviceError> {
        Ok(Vec::with_capacity(capacity))
    }

    fn write_indices(&self, indices: &mut Vec<u32>, values: &[u32]) {
        *indices = values.to_vec();
    }

    fn sequences(&self, capacity: usize) -> Result<Vec<u32>, DeviceError> {
        Ok(Vec::with_capacity(capacity + 1))
    }

    fn write_sequences(&self, sequences: &mut Vec<u32>, offsets: &[u32]) {
        *sequences = offsets.to_vec();
    }

    fn weight(
        &self,
        values: &[f32],
        out_features: usize,
        in_features: usize,
        _dtype: DType,
        _trainable: bool,
    ) -> Result<Self::Weight, DeviceError> {
        assert_eq!(values.len(), out_features * in_features, "weight has another number of elements than its shape");
        let values = values.iter().map(|&value| T::of(f64::from(value))).collect();
        Ok(ReferenceWeight { values, out_features, in_features })
    }

    fn refresh_weight(&self, weight: &mut Self::Weight, master: &Self::Buffer) {
        let len = weight.values.len();
        weight.values.copy_from_slice(&master.values[..len]);
    }

    fn embed(
        &self,
        tables: EmbeddingTables<'_, Self>,
        ids: &Vec<u32>,
        positions: &Vec<u32>,
        types: &Vec<u32>,
        rows: usize,
        width: usize,
        out: &mut Self::Buffer,
    ) {
        for r in 0..rows {
            for c in 0..width {
                let mut sum = tables.word.values[ids[r] as usize * width + c];
                sum += tables.position.values[positions[r] as usize * width + c];
                if let Some(table) = tables.token_type {
                    sum += table.values[types[r] as usize * width + c];
                }
                out.values[r * width + c] = sum;
            }
        }
    }

    fn embed_backward(
        &self,
        d_out: &Self::Buffer,
        indices: &Vec<u32>,
        rows: usize,
        width: usize,
        d_table: &mut Self::Buffer,
    ) {
        for r in 0..rows {
            for c in 0..width {
                d_table.values[indices[r] as usize * width + c] += d_out.values[r * width + c];
            }
        }
    }

    fn linear(
        &self,
        x: &Self::Buffer,
        weight: &Self::Weight,
        bias: Option<&Self::Buffer>,
        activation: Activation,
        rows: usize,
        pre_activation: Option<&mut Self::Buffer>,
        y: &mut Self::Buffer,
    ) {
        let shape = (rows, weight.out_features, weight.in_features);
        let bias = bias.map(|bias| bias.values.as_slice());
        let pre = pre_activation.map(|pre| pre.values.as_mut_slice());
        rows::linear(&x.values, &weight.values, bias, activation, shape, pre, &mut y.values);
    }

    fn linear_backward_input(
        &self,
        dy: &Self::Buffer,
        weight: &Self::Weight,
        rows: usize,
        gradient: InputGradient<'_, Self>,
        dx: &mut Self::Buffer,
    ) {
        let (outs, ins) = (weight.out_features, weight.in_features);
        for r in 0..rows {
            for i in 0..ins {
                let value = rows::input_gradient(&dy.values, &weight.values, outs, ins, r, i);
                let at = r * ins + i;
                match &gradient {
                    InputGradient::Store => dx.values[at] = value,
                    InputGradient::Accumulate => dx.values[at] += value,
                    InputGradient::ThroughActivation(activation, saved) => {
                        dx.values[at] = value * derivative(*activation, saved.values[at]);
                    }
                }
            }
        }
    }

    fn linear_backward_weight(
        &self,
        dy: &Self::Buffer,
        x: &Self::Buffer,
        rows: usize,
        out_features: usize,
        in_features: usize,
        d_weight: &mut Self::Buffer,
        d_bias: &mut Self::Buffer,
    ) {
        for r in 0..rows {
            for o in 0..out_features {
                let slope = dy.values[r * out_features + o];
                d_bias.values[o] += slope;
                for i in 0..in_features {
                    d_weight.values[o * in_features + i] += slope * x.values[r * in_features + i];
                }
            }
        }
    }

    fn activation_backward(
        &self,
        activation: Activation,
        saved: &Self::Buffer,
        rows: usize,
        width: usize,
        d: &mut Self::Buffer,
    ) {
        for (slope, &saved) in d.values[..rows * width].iter_mut().zip(&saved.values) {
            *slope *= derivative(activation, saved);
        }
    }

    fn attention(
        &self,
        qkv: &Self::Buffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        mut log_sum_exp: Option<&mut Self::Buffer>,
        out: &mut Self::Buffer,
    ) {
        let rows = sequences.last().map_or(0, |&end| end as usize);
        let inputs = Self::packed(&qkv.values, shape, dropout);
        each_query(sequences, shape.heads, false, |query| {
            let value = inputs.forward(&query, &mut out.values, Self::rows_of(shape));
            if let Some(log_sum_exp) = log_sum_exp.as_deref_mut() {
                log_sum_exp.values[query.head * rows + query.row] = value;
            }
        });
    }

    fn attention_backward(
        &self,
        d_out: &Self::Buffer,
        qkv: &Self::Buffer,
        _out: &Self::Buffer,
        _log_sum_exp: &Self::Buffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_qkv: &mut Self::Buffer,
    ) {
        let len = sequences.last().map_or(0, |&end| end as usize) * 3 * shape.width();
        let inputs = Self::packed(&qkv.values, shape, dropout);
        let mut d_kv = vec![T::default(); len];
        each_query(sequences, shape.heads, false, |query| {
            inputs.backward(&query, &d_out.values, Self::rows_of(shape), &mut d_qkv.values, &mut d_kv);
        });
        let width = shape.width();
        for (to, from) in d_qkv.values[..len].chunks_exact_mut(3 * width).zip(d_kv.chunks_exact(3 * width)) {
            to[width..].copy_from_slice(&from[width..]);
        }
    }

    fn first_row_attention(
        &self,
        q: &Self::Buffer,
        kv: &Self::Buffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        mut log_sum_exp: Option<&mut Self::Buffer>,
        out: &mut Self::Buffer,
    ) {
        let count = sequences.len().saturating_sub(1);
        let inputs = Self::apart(&q.values, &kv.values, shape, dropout);
        each_query(sequences, shape.heads, true, |query| {
            let value = inputs.forward(&query, &mut out.values, Self::rows_of(shape));
            if let Some(log_sum_exp) = log_sum_exp.as_deref_mut() {
                log_sum_exp.values[query.head * count + query.row] = value;
            }
        });
    }

    fn first_row_attention_backward(
        &self,
        d_out: &Self::Buffer,
        q: &Self::Buffer,
        kv: &Self::Buffer,
        _out: &Self::Buffer,
        _log_sum_exp: &Self::Buffer,
        sequences: &Vec<u32>,
        shape: AttentionShape,
        dropout: Option<Dropout>,
        d_q: &mut Self::Buffer,
        d_kv: &mut Self::Buffer,
    ) {
        let len = sequences.last().map_or(0, |&end| end as usize) * 2 * shape.width();
        d_kv.values[..len].fill(T::default());
        let inputs = Self::apart(&q.values, &kv.values, shape, dropout);
        each_query(sequences, shape.heads, true, |query| {
            inputs.backward(&query, &d_out.values, Self::rows_of(shape), &mut d_q.values, &mut d_kv.values);
        });
    }

    fn add_layer_norm(
        &self,
        x: &mut Self::Buffer,
        residual: Option<&Self::Buffer>,
        dropout: Option<Dropout>,
        norm: Norm<'_, Self>,
        rows: usize,
        width: usize,
        mut statistics: Option<&mut Self::Buffer>,
        y: &mut Self::Buffer,
    ) {
        for r in 0..rows {
            for c in 0..width {
                let at = r * width + c;
                let kept = x.values[at] * Self::mask(dropout, r, c);
                x.values[at] = residual.map_or(T::default(), |residual| residual.values[at]) + kept;
            }
            let row = &x.values[r * width..][..width];
            let (mean, inverse_deviation) = rows::row_statistics(row, T::of(f64::from(norm.epsilon)));
            if let Some(statistics) = statistics.as_deref_mut() {
                statistics.values[2 * r] = mean;
                statistics.values[2 * r + 1] = inverse_deviation;
            }
            for c in 0..width {
                let normalised = (row[c] - mean) * inverse_deviation;
                y.values[r * width + c] = normalised * norm.weight.values[c] + norm.bias.values[c];
            }
        }
    }

    fn add_layer_norm_backward(
        &self,
        dy: &Self::Buffer,
        sum: &Self::Buffer,
        statistics: &Self::Buffer,
        weight: &Self::Buffer,
        rows: usize,
        width: usize,
        d_sum: &mut Self::Buffer,
        mut d_x: Option<(Dropout, &mut Self::Buffer)>,
        d_weight: &mut Self::Buffer,
        d_bias: &mut Self::Buffer,
    ) {
        for r in 0..rows {
            let (mean, inverse_deviation) = (statistics.values[2 * r], statistics.values[2 * r + 1]);
            let slope = &dy.values[r * width..][..width];
            let normalise = |&value: &T| (value - mean) * inverse_deviation;
            let normalised: Vec<T> = sum.values[r * width..][..width].iter().map(normalise).collect();
            let scaled: Vec<T> = slope.iter().zip(&weight.values).map(|(&dy, &weight)| dy * weight).collect();
            let gradient = rows::norm_input_gradient(&scaled, &normalised, inverse_deviation);
            for c in 0..width {
                d_weight.values[c] += slope[c] * normalised[c];
                d_bias.values[c] += slope[c];
                d_sum.values[r * width + c] = gradient[c];
                if let Some((dropout, d_x)) = &mut d_x {
                    d_x.values[r * width + c] = gradient[c] * Self::mask(Some(*dropout), r, c);
                }
            }
        }
    }

    fn dropout(&self, x: &mut Self::Buffer, dropout: Dropout, rows: usize, width: usize) {
        for r in 0..rows {
            for c in 0..width {
                x.values[r * width + c] *= Self::mask(Some(dropout), r, c);
            }
        }
    }

    fn gather_rows(&self, x: &Self::Buffer, indices: &Vec<u32>, width: usize, out: &mut Self::Buffer) {
        for (to, &index) in out.values.chunks_exact_mut(width).zip(indices) {
            to.copy_from_slice(&x.values[index as usize * width..][..width]);
        }
    }

    fn scatter_add_rows(&self, d_out: &Self::Buffer, indices: &Vec<u32>, width: usize, d_x: &mut Self::Buffer) {
        for (from, &index) in d_out.values.chunks_exact(width).zip(indices) {
            for (to, &from) in d_x.values[index as usize * width..][..width].iter_mut().zip(from) {
                *to += from;
            }
        }
    }

    fn loss(
        &self,
        kind: LossKind,
        logits: &Self::Buffer,
        targets: &Self::Buffer,
        rows: usize,
        labels: usize,
        gradient_scale: f32,
        losses: &mut Self::Buffer,
        mut d_logits: Option<&mut Self::Buffer>,
    ) {
        let scale = T::of(f64::from(gradient_scale));
        for r in 0..rows {
            let at = r * labels..(r + 1) * labels;
            let (loss, gradient) = rows::row_loss(kind, &logits.values[at.clone()], &targets.values[at.clone()]);
            losses.values[r] = loss;
            if let Some(d_logits) = d_logits.as_deref_mut() {
                for (to, slope) in d_logits.values[at].iter_mut().zip(gradient) {
                    *to = slope * scale;
                }
            }
        }
    }

    fn vocabulary_loss(
        &self,
        logits: &mut Self::Buffer,
        targets: &Vec<u32>,
        rows: usize,
        classes: usize,
        gradient_scale: Option<f32>,
        losses: &mut Self::Buffer,
    ) {
        for r in 0..rows {
            let row = &mut logits.values[r * classes..(r + 1) * classes];
            let target = targets[r] as usize;
            let (loss, gradient) = rows::class_cross_entropy(row, target);
            losses.values[2 * r] = loss;
            losses.values[2 * r + 1] = T::of(f64::from(u8::from(rows::is_highest(row, target))));
            if let Some(scale) = gradient_scale {
                for (to, slope) in row.iter_mut().zip(gradient) {
                    *to = slope * T::of(f64::from(scale));
                }
            }
        }
    }

    fn gradient_norm(&self, gradients: &[(&Self::Buffer, usize)]) -> Result<GradientNorm, DeviceError> {
        let values = || gradients.iter().flat_map(|(buffer, len)| &buffer.values[..*len]);
        let sum_of_squares = values().map(|value| value.double() * value.double()).sum();
        Ok(GradientNorm { sum_of_squares, finite: values().all(|value| value.is_finite()) })
    }

    fn adamw(&self, slots: &mut [AdamwSlot<'_, Self>], step: AdamwStep) {
        let one = T::of(1.0);
        let [beta1, beta2, epsilon] = [step.beta1, step.beta2, f64::from(step.epsilon)].map(T::of);
        let (gain1, gain2) = (T::of(1.0 - step.beta1), T::of(1.0 - step.beta2));
        let corrected = |beta: f64| T::of(1.0 - beta.powf(step.step as f64));
        let (correction1, correction2) = (corrected(step.beta1), corrected(step.beta2));
        for slot in slots {
            let rate = T::of(f64::from(slot.learning_rate));
            let decay = one - rate * T::of(f64::from(slot.weight_decay));
            for i in 0..slot.len {
                let g = slot.gradient.values[i] * T::of(f64::from(step.gradient_scale));
                let m = beta1 * slot.first_moment.values[i] + gain1 * g;
                let v = beta2 * slot.second_moment.values[i] + gain2 * g * g;
                slot.first_moment.values[i] = m;
                slot.second_moment.values[i] = v;
                let theta = slot.parameter.values[i] * decay;
                slot.parameter.values[i] = theta - rate * (m / correction1) / ((v / correction2).sqrt() + epsilon);
            }
        }
    }
}
