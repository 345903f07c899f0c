//! Inference by length and by batch size, and the time of one short text: the model alone, tokens in and logits out.

use super::ceilings::{Ceilings, Limits};
use super::lengths;
use super::measured::Measured;
use super::spread::repeat;
use super::subject::Subject;
use crate::args::ShapeArg;
use anyhow::bail;
use serde::Serialize;
use serin::classifier::BATCH_SEQUENCES;
use serin_model::{Batch, Freezing, Model, Sequence, Workspace};
use serin_ops::{Backend, Traced, Work};
use std::time::{Duration, Instant};

/// Lengths, at as many tokens together as the device computes at once.
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
pub fn measure<B: Limits>(
    device: &Traced<B>,
    subject: &Subject,
    ceilings: &Ceilings,
    asked: &[ShapeArg],
    budget: Duration,
) -> anyhow::Result<Vec<Inference>> {
    let longest = subject.config.max_length();
    if let Some(shape) = asked.iter().find(|shape| shape.length > longest) {
        bail!("{} tokens: this model reads {longest} of a text", shape.length);
    }
    let shapes = if asked.is_empty() { sweeps(longest, B::BATCH_TOKENS) } else { asked.to_vec() };
    let tokens = B::BATCH_TOKENS.max(longest);
    let each = budget / shapes.len().max(1) as u32;
    // First what each shape needs; then its time, on the device itself.
    let mut model = Ready::new(device, subject, tokens)?;
    let works = shapes.iter().map(|&shape| {
        device.take();
        model.infer(&pack(subject, shape, tokens))?;
        Ok(device.take().iter().map(|call| call.work).collect())
    });
    let works: Vec<Vec<Work>> = works.collect::<anyhow::Result<_>>()?;
    drop(model);
    let mut model = Ready::new(device.inner(), subject, tokens)?;
    let mut results = Vec::new();
    for (shape, works) in shapes.into_iter().zip(works) {
        let batches = pack(subject, shape, tokens);
        let seconds = repeat(each, || {
            let started = Instant::now();
            model.infer(&batches)?;
            Ok(started.elapsed().as_secs_f64())
        })?;
        let ShapeArg { sequences, length } = shape;
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

/// A model with its memory.
struct Ready<'a, B: Backend> {
    device: &'a B,
    model: Model<B>,
    space: Workspace<B>,
}

impl<'a, B: Backend> Ready<'a, B> {
    fn new(device: &'a B, subject: &Subject, tokens: usize) -> anyhow::Result<Ready<'a, B>> {
        let model = subject.build(device, Freezing::All)?;
        let space = model.workspace(device, tokens, BATCH_SEQUENCES)?;
        Ok(Ready { device, model, space })
    }

    /// Ends with the logits on the host, so that no wait is missing.
    fn infer(&mut self, batches: &[Batch]) -> anyhow::Result<()> {
        for batch in batches {
            self.model.infer(self.device, &mut self.space, batch)?;
        }
        Ok(())
    }
}

fn sweeps(longest: usize, together: usize) -> Vec<ShapeArg> {
    let lengths = LENGTHS.into_iter().filter(|&length| length <= longest);
    let by_length = lengths.map(|length| ShapeArg { sequences: together / length, length });
    let short = SHORT.min(longest);
    let by_batch = SEQUENCES.into_iter().map(|sequences| ShapeArg { sequences, length: short });
    let mut shapes: Vec<ShapeArg> = by_length.collect();
    shapes.extend(by_batch.filter(|shape| shape.length != SHORT || shape.sequences * SHORT != together));
    shapes
}

/// Texts in batches as large as the classifier's.
fn pack(subject: &Subject, shape: ShapeArg, tokens: usize) -> Vec<Batch> {
    let ShapeArg { sequences, length } = shape;
    let ids: Vec<Vec<u32>> = (0..sequences).map(|index| lengths::ids(&subject.config, index, length)).collect();
    let together = (tokens / length).clamp(1, BATCH_SEQUENCES);
    let batch = |ids: &[Vec<u32>]| Batch::pack(&subject.config, ids.iter().map(|ids| Sequence { ids, types: &[] }));
    ids.chunks(together).map(batch).collect()
}
