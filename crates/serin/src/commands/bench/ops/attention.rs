//! Attention of all rows and of first rows, forward and backward, at lengths like IMDB's.

use super::Workbench;
use crate::commands::bench::ceilings::Limits;
use serin_ops::Backend;
use serin_tensor::DType;

pub(super) fn measure<B: Limits>(bench: &mut Workbench<'_, B>) -> anyhow::Result<()> {
    let (shape, lengths) = (bench.subject.config.attention_shape(), bench.lengths());
    let offsets: Vec<u32> = std::iter::once(0)
        .chain(lengths.iter().scan(0, |end, &length| {
            *end += length as u32;
            Some(*end)
        }))
        .collect();
    let mut sequences = bench.device.sequences(lengths.len())?;
    bench.device.write_sequences(&mut sequences, &offsets);
    let (width, dropout, dtype) = (shape.width(), bench.dropout(), bench.subject.dtype);
    let detail = format!("{} texts", lengths.len());
    let with_dropout = format!("{detail}, dropout");

    let (qkv, mut out) = (bench.activations(3 * width)?, bench.activations(width)?);
    bench.time("attention", &detail, |device| device.attention(&qkv, &sequences, shape, None, None, &mut out))?;
    let mut sums = bench.filled(DType::F32, bench.tokens * shape.heads)?;
    bench.time("attention", &with_dropout, |device| {
        device.attention(&qkv, &sequences, shape, dropout, Some(&mut sums), &mut out);
    })?;
    let (d_out, mut d_qkv) = (bench.activations(width)?, bench.activations(3 * width)?);
    bench.time("attention backward", &with_dropout, |device| {
        device.attention_backward(&d_out, &qkv, &out, &sums, &sequences, shape, dropout, &mut d_qkv);
    })?;

    let first = || bench.filled(dtype, lengths.len() * width);
    let (q, mut out, d_out, mut d_q) = (first()?, first()?, first()?, first()?);
    let (kv, mut d_kv) = (bench.activations(2 * width)?, bench.activations(2 * width)?);
    let mut sums = bench.filled(DType::F32, lengths.len() * shape.heads)?;
    bench.time("first-row attention", &with_dropout, |device| {
        device.first_row_attention(&q, &kv, &sequences, shape, dropout, Some(&mut sums), &mut out);
    })?;
    bench.time("first-row attention backward", &with_dropout, |device| {
        device.first_row_attention_backward(
            &d_out, &q, &kv, &out, &sums, &sequences, shape, dropout, &mut d_q, &mut d_kv,
        );
    })
}
