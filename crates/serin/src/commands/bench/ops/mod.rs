//! Every op on its own, at the model's sizes.

mod attention;
mod linear;
mod rows;
mod update;

use super::ceilings::{Ceilings, Limits};
use super::lengths;
use super::measured::Measured;
use super::spread::repeat;
use super::subject::Subject;
use serin_ops::{Backend, Dropout, DropoutSite, Traced, Watch, Work};
use serin_tensor::DType;
use std::time::{Duration, Instant};

/// How many measurements there are, about: what the time is divided by.
const MEASUREMENTS: u32 = 32;

/// Where ops are enqueued, so many are measured together that they take about as long: waiting is then a small part of it.
const TOGETHER: Duration = Duration::from_millis(2);
/// And no more than so many.
const MOST_TOGETHER: f64 = 200.0;

/// What an op is measured with.
struct Workbench<'a, B: Limits> {
    device: &'a Traced<B>,
    subject: &'a Subject,
    ceilings: &'a Ceilings,
    tokens: usize,
    each: Duration,
    measured: Vec<Measured>,
}

/// Times of all ops in about `budget`.
pub fn measure<B: Limits>(
    device: &Traced<B>,
    subject: &Subject,
    ceilings: &Ceilings,
    tokens: usize,
    budget: Duration,
) -> anyhow::Result<Vec<Measured>> {
    let each = budget / MEASUREMENTS;
    let mut bench = Workbench { device, subject, ceilings, tokens, each, measured: Vec::new() };
    linear::measure(&mut bench)?;
    attention::measure(&mut bench)?;
    rows::measure(&mut bench)?;
    update::measure(&mut bench)?;
    Ok(bench.measured)
}

impl<B: Limits> Workbench<'_, B> {
    /// Takes the time of the ops that `run` calls.
    fn time(&mut self, name: &str, detail: &str, mut run: impl FnMut(&Traced<B>)) -> anyhow::Result<()> {
        let device = self.device;
        // The first time warms up, and compiles kernels where that is due.
        run(device);
        device.take();
        let started = Instant::now();
        run(device);
        let once = started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let parts: Vec<Work> = device.take().iter().map(|call| call.work).collect();
        let together = if B::ENQUEUES { (TOGETHER.as_secs_f64() / once).clamp(1.0, MOST_TOGETHER) as usize } else { 1 };
        device.watch(Watch::Nothing);
        let seconds = repeat(self.each, || {
            device.synchronize()?;
            let started = Instant::now();
            (0..together).for_each(|_| run(device));
            device.synchronize()?;
            Ok(started.elapsed().as_secs_f64() / together as f64)
        });
        device.watch(Watch::Calls);
        self.measured.push(Measured::new(name, detail, &seconds?, &parts, self.ceilings));
        Ok(())
    }

    /// A buffer of small numbers, as activations are.
    fn filled(&self, dtype: DType, len: usize) -> anyhow::Result<B::Buffer> {
        Ok(self.fill(self.device.buffer(dtype, len)?, len))
    }

    /// A buffer of activations, `[tokens, width]`.
    fn activations(&self, width: usize) -> anyhow::Result<B::Buffer> {
        let buffer = self.device.activations(self.subject.dtype, self.tokens, width)?;
        Ok(self.fill(buffer, self.tokens * width))
    }

    fn fill(&self, mut buffer: B::Buffer, len: usize) -> B::Buffer {
        let values: Vec<f32> = (0..len).map(|index| (index * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
        self.device.write(&mut buffer, 0, &values);
        buffer
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
