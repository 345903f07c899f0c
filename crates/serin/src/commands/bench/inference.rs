//! Inference by length and by batch size, and the time of one short text: the model alone, tokens in and logits out.

use super::ceilings::Ceilings;
use super::lengths;
use super::measured::Measured;
use super::spread::repeat;
use super::subject::Subject;
use crate::args::ShapeArg;
use anyhow::bail;
use serde::Serialize;
use serin::classifier::{BATCH_SEQUENCES, BATCH_TOKENS};
use serin_cpu::Cpu;
use serin_model::{Batch, Freezing, Sequence};
use serin_ops::{Traced, Work};
use std::time::{Duration, Instant};

/// Lengths, at [`BATCH_TOKENS`] tokens together.
const LENGTHS: [usize; 5] = [32, 64, 128, 256, 512];
/// Numbers of texts of [`SHORT`] tokens.
const SEQUENCES: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// A short text.
const SHORT: usize = 32;

/// Inference of one shape.
#[derive(Serialize)]
pub struct Inference {
    /// Texts.
    pub sequences: usize,
    /// Tokens of each.
    pub length: usize,
    /// Time and speed.
    pub measured: Measured,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Texts a second.
    pub texts_per_second: f64,
}

/// The shapes asked for, or the sweeps, in about `budget`.
pub fn measure(
    device: &Traced<Cpu>,
    subject: &Subject,
    ceilings: &Ceilings,
    asked: &[ShapeArg],
    budget: Duration,
) -> anyhow::Result<Vec<Inference>> {
    let longest = subject.config.max_length();
    if let Some(shape) = asked.iter().find(|shape| shape.length > longest) {
        bail!("{} tokens: this model reads {longest} of a text", shape.length);
    }
    let shapes = if asked.is_empty() { sweeps(longest) } else { asked.to_vec() };
    let model = subject.build(device, Freezing::All)?;
    let mut space = model.workspace(device, BATCH_TOKENS.max(longest), BATCH_SEQUENCES)?;
    let each = budget / shapes.len().max(1) as u32;
    let mut results = Vec::new();
    for ShapeArg { sequences, length } in shapes {
        let batches = pack(subject, sequences, length, space.tokens());
        let repetitions = repeat(each, || {
            device.take();
            let started = Instant::now();
            for batch in &batches {
                model.infer(device, &mut space, batch)?;
            }
            Ok((started.elapsed().as_secs_f64(), device.take()))
        })?;
        let seconds: Vec<f64> = repetitions.iter().map(|(seconds, _)| *seconds).collect();
        let works: Vec<Work> = repetitions.last().iter().flat_map(|(_, calls)| calls).map(|call| call.work).collect();
        let measured = Measured::new("inference", format!("{sequences}x{length}"), &seconds, &works, ceilings);
        let median = measured.milliseconds.median / 1e3;
        results.push(Inference {
            sequences,
            length,
            tokens_per_second: (sequences * length) as f64 / median,
            texts_per_second: sequences as f64 / median,
            measured,
        });
    }
    Ok(results)
}

fn sweeps(longest: usize) -> Vec<ShapeArg> {
    let lengths = LENGTHS.into_iter().filter(|&length| length <= longest);
    let by_length = lengths.map(|length| ShapeArg { sequences: BATCH_TOKENS / length, length });
    let short = SHORT.min(longest);
    let by_batch = SEQUENCES.into_iter().map(|sequences| ShapeArg { sequences, length: short });
    let mut shapes: Vec<ShapeArg> = by_length.collect();
    shapes.extend(by_batch.filter(|shape| shape.length != SHORT || shape.sequences * SHORT != BATCH_TOKENS));
    shapes
}

/// Texts in batches as large as the classifier's.
fn pack(subject: &Subject, sequences: usize, length: usize, tokens: usize) -> Vec<Batch> {
    let ids: Vec<Vec<u32>> = (0..sequences).map(|index| lengths::ids(&subject.config, index, length)).collect();
    let together = (tokens / length).clamp(1, BATCH_SEQUENCES);
    let batch = |ids: &[Vec<u32>]| Batch::pack(&subject.config, ids.iter().map(|ids| Sequence { ids, types: &[] }));
    ids.chunks(together).map(batch).collect()
}
