//! What goes through rows once: embedding, layer norm, dropout, gathering.

use super::Workbench;
use crate::commands::bench::ceilings::Limits;
use crate::commands::bench::lengths::ids;
use serin_ops::{Backend, EmbeddingTables, Norm};
use serin_tensor::DType;

pub(super) fn measure<B: Limits>(bench: &mut Workbench<'_, B>) -> anyhow::Result<()> {
    embedding(bench)?;
    layer_norm(bench)?;
    moving(bench)
}

fn embedding<B: Limits>(bench: &mut Workbench<'_, B>) -> anyhow::Result<()> {
    let config = &bench.subject.config;
    let (rows, width, dtype) = (bench.tokens, config.hidden, bench.subject.dtype);
    let word = bench.filled(dtype, config.vocab * width)?;
    let position = bench.filled(dtype, config.max_positions * width)?;
    let types = bench.filled(dtype, config.token_types * width)?;
    let list = |values: &[u32]| -> anyhow::Result<_> {
        let mut indices = bench.device.indices(rows)?;
        bench.device.write_indices(&mut indices, values);
        Ok(indices)
    };
    let word_ids = list(&ids(config, 1, rows))?;
    let longest = config.max_length();
    let position_ids =
        list(&(0..rows).map(|row| (config.first_position() + row % longest) as u32).collect::<Vec<_>>())?;
    let type_ids = list(&vec![0; rows])?;
    let mut out = bench.activations(width)?;
    let detail = format!("{width} wide");
    let token_type = (config.token_types > 0).then_some(&types);
    bench.time("embed", &detail, |device| {
        let tables = EmbeddingTables { word: &word, position: &position, token_type };
        device.embed(tables, &word_ids, &position_ids, &type_ids, rows, width, &mut out);
    })?;
    let mut d_table = bench.filled(DType::F32, config.vocab * width)?;
    bench.time("embed backward", &detail, |device| {
        device.embed_backward(&out, &word_ids, rows, width, &mut d_table);
    })
}

fn layer_norm<B: Limits>(bench: &mut Workbench<'_, B>) -> anyhow::Result<()> {
    let (rows, width, dropout) = (bench.tokens, bench.subject.config.hidden, bench.dropout());
    let (weight, bias) = (bench.filled(DType::F32, width)?, bench.filled(DType::F32, width)?);
    let epsilon = bench.subject.config.layer_norm_epsilon;
    let norm = || Norm { weight: &weight, bias: &bias, epsilon };
    let (mut x, residual, mut y) = (bench.activations(width)?, bench.activations(width)?, bench.activations(width)?);
    let detail = format!("{width} wide");
    bench.time("add and layer norm", &detail, |device| {
        device.add_layer_norm(&mut x, Some(&residual), None, norm(), rows, width, None, &mut y);
    })?;
    let detail = format!("{detail}, dropout");
    let mut statistics = bench.filled(DType::F32, 2 * rows)?;
    bench.time("add and layer norm", &detail, |device| {
        device.add_layer_norm(&mut x, Some(&residual), dropout, norm(), rows, width, Some(&mut statistics), &mut y);
    })?;
    let (mut d_sum, mut d_x) = (bench.activations(width)?, bench.activations(width)?);
    let (mut d_weight, mut d_bias) = (bench.filled(DType::F32, width)?, bench.filled(DType::F32, width)?);
    bench.time("add and layer norm backward", &detail, |device| {
        let through = dropout.map(|dropout| (dropout, &mut d_x));
        device.add_layer_norm_backward(
            &y,
            &residual,
            &statistics,
            &weight,
            rows,
            width,
            &mut d_sum,
            through,
            &mut d_weight,
            &mut d_bias,
        );
    })
}

fn moving<B: Limits>(bench: &mut Workbench<'_, B>) -> anyhow::Result<()> {
    let (rows, width) = (bench.tokens, bench.subject.config.hidden);
    let detail = format!("{width} wide");
    let mut x = bench.activations(width)?;
    if let Some(dropout) = bench.dropout() {
        bench.time("dropout", &detail, |device| device.dropout(&mut x, dropout, rows, width))?;
    }
    let sequences = bench.lengths().len();
    let mut first = bench.device.indices(sequences)?;
    bench
        .device
        .write_indices(&mut first, &(0..sequences).map(|row| (row * rows / sequences) as u32).collect::<Vec<_>>());
    let mut out = bench.filled(bench.subject.dtype, sequences * width)?;
    let detail = format!("{sequences} rows");
    bench.time("gather rows", &detail, |device| device.gather_rows(&x, &first, width, &mut out))?;
    bench.time("scatter and add rows", &detail, |device| device.scatter_add_rows(&out, &first, width, &mut x))
}
