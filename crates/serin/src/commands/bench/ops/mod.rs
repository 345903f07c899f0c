//! Every op on its own, at the model's sizes.

mod attention;
mod linear;
mod rows;
mod update;

use super::ceilings::Ceilings;
use super::lengths;
use super::measured::Measured;
use super::spread::repeat;
use super::subject::Subject;
use anyhow::bail;
use serin_cpu::Cpu;
use serin_ops::{Backend, Dropout, DropoutSite, Traced, Work};
use serin_tensor::{AlignedBuffer, DType};
use std::time::Duration;

/// How many measurements there are, about: what the time is divided by.
const MEASUREMENTS: u32 = 32;

/// What an op is measured with.
struct Workbench<'a> {
    device: &'a Traced<Cpu>,
    subject: &'a Subject,
    ceilings: &'a Ceilings,
    tokens: usize,
    each: Duration,
    measured: Vec<Measured>,
}

/// Times of all ops in about `budget`.
pub fn measure(
    device: &Traced<Cpu>,
    subject: &Subject,
    ceilings: &Ceilings,
    tokens: usize,
    budget: Duration,
) -> anyhow::Result<Vec<Measured>> {
    if !(1..=1 << 20).contains(&tokens) {
        bail!("--tokens must lie in 1 to {}, found {tokens}", 1 << 20);
    }
    let each = budget / MEASUREMENTS;
    let mut bench = Workbench { device, subject, ceilings, tokens, each, measured: Vec::new() };
    linear::measure(&mut bench)?;
    attention::measure(&mut bench)?;
    rows::measure(&mut bench)?;
    update::measure(&mut bench)?;
    Ok(bench.measured)
}

impl Workbench<'_> {
    /// Takes the time of the ops that `run` calls.
    fn time(&mut self, name: &str, detail: &str, mut run: impl FnMut(&Traced<Cpu>)) -> anyhow::Result<()> {
        let device = self.device;
        let repetitions = repeat(self.each, || {
            device.take();
            run(device);
            Ok(device.take())
        })?;
        let seconds: Vec<f64> =
            repetitions.iter().map(|calls| calls.iter().map(|call| call.time.as_secs_f64()).sum()).collect();
        let parts: Vec<Work> = repetitions.last().into_iter().flatten().map(|call| call.work).collect();
        self.measured.push(Measured::new(name, detail, &seconds, &parts, self.ceilings));
        Ok(())
    }

    /// A buffer of small numbers, as activations are.
    fn filled(&self, dtype: DType, len: usize) -> anyhow::Result<AlignedBuffer> {
        let mut buffer = self.device.buffer(dtype, len)?;
        let values: Vec<f32> = (0..len).map(|index| (index * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
        self.device.write(&mut buffer, 0, &values);
        Ok(buffer)
    }

    /// A buffer of activations, `[tokens, width]`.
    fn activations(&self, width: usize) -> anyhow::Result<AlignedBuffer> {
        self.filled(self.subject.dtype, self.tokens * width)
    }

    /// Lengths of sequences, like IMDB's.
    fn lengths(&self) -> Vec<usize> {
        lengths::filling(self.tokens, self.subject.config.max_length())
    }

    /// The dropout of training.
    fn dropout(&self) -> Option<Dropout> {
        Dropout::new(0.1, 42, 0, 0, DropoutSite::AttentionOutput)
    }
}
