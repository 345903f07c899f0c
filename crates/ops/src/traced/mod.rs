//! [`Traced`]: another backend with a stopwatch at every op, and the operations and bytes that each call needed.
//!
//! A model runs on it as on the backend inside, through the same code: what a step spends its time on is measured in that
//! very step. A call costs two readings of the clock more, some 50 ns, and on a device with a queue a wait for it: see
//! [`Watch`] for times of such a device.

mod backend;
#[cfg(test)]
mod tests;
mod work;

pub use work::Work;

use crate::Backend;
use serin_tensor::DType;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A call of an op.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The method of [`Backend`].
    pub op: &'static str,
    /// Of the products with a matrix, its input and output features.
    pub features: Option<(usize, usize)>,
    /// How long it took, until its result was there.
    pub time: Duration,
    /// What it needed.
    pub work: Work,
}

/// When the device is waited for, and so what times are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Watch {
    /// After each call: its time is that of the call and the wait.
    #[default]
    Calls,
    /// After the calls of these numbers, counted from 0 after each [`Traced::take`]: their time is that since the last wait,
    /// and that of the others is 0.
    Spans(Vec<usize>),
    /// Never, and nothing is noted: calls are handed on.
    Nothing,
}

/// A backend that takes note of every call. Reads the clock after waiting for the device.
pub struct Traced<B: Backend> {
    inner: B,
    notes: Mutex<Notes>,
}

struct Notes {
    calls: Vec<Call>,
    watch: Watch,
    /// When the device was last waited for, or the calls were last taken.
    waited: Instant,
}

/// The matrix of the backend inside, with its shape.
pub struct TracedWeight<B: Backend> {
    inner: B::Weight,
    out_features: usize,
    in_features: usize,
    dtype: DType,
    trainable: bool,
}

/// The indices of the backend inside, with their number.
pub struct TracedIndices<B: Backend> {
    inner: B::Indices,
    len: usize,
}

/// The boundaries of the backend inside, with the sums that attention's work follows from.
pub struct TracedSequences<B: Backend> {
    inner: B::Sequences,
    /// `Σ length`.
    rows: usize,
    /// `Σ length²`.
    pairs: usize,
    count: usize,
}

impl<B: Backend> Traced<B> {
    /// A stopwatch around `inner`.
    pub fn new(inner: B) -> Traced<B> {
        let notes = Notes { calls: Vec::new(), watch: Watch::Calls, waited: Instant::now() };
        Traced { inner, notes: Mutex::new(notes) }
    }

    /// The backend inside.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// All calls since the last time, in order.
    pub fn take(&self) -> Vec<Call> {
        let mut notes = self.notes();
        notes.waited = Instant::now();
        std::mem::take(&mut notes.calls)
    }

    /// Watches otherwise from now on.
    pub fn watch(&self, watch: Watch) {
        self.notes().watch = watch;
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // A panic between two notes leaves sound ones.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next call is noted, and if so whether the device is then waited for.
    fn next(&self) -> Option<bool> {
        let notes = self.notes();
        match &notes.watch {
            Watch::Calls => Some(true),
            Watch::Spans(ends) => Some(ends.contains(&notes.calls.len())),
            Watch::Nothing => None,
        }
    }

    /// Runs an op, and takes note of it.
    fn call<T>(&self, op: &'static str, work: Work, run: impl FnOnce(&B) -> T) -> T {
        self.product(op, None, work, run)
    }

    /// Runs a product with a matrix of these input and output features, and takes note of it.
    fn product<T>(
        &self,
        op: &'static str,
        features: Option<(usize, usize)>,
        work: Work,
        run: impl FnOnce(&B) -> T,
    ) -> T {
        let Some(waits) = self.next() else { return run(&self.inner) };
        let start = Instant::now();
        let result = run(&self.inner);
        if waits {
            // What failed is told by the next call that can say so.
            let _ = self.inner.synchronize();
        }
        let end = Instant::now();
        let mut notes = self.notes();
        let since = if notes.watch == Watch::Calls { start } else { notes.waited };
        let time = if waits { end - since } else { Duration::ZERO };
        if waits {
            notes.waited = end;
        }
        notes.calls.push(Call { op, features, time, work });
        result
    }
}
