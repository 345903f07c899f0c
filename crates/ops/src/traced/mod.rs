//! [`Traced`]: another backend with a stopwatch at every op, and the operations and bytes that each call needed.
//!
//! A model runs on it as on the backend inside, through the same code: what a step spends its time on is measured in that
//! very step. A call costs two readings of the clock more, some 50 ns.

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

/// A backend that takes note of every call. Reads the clock after waiting for the device.
pub struct Traced<B: Backend> {
    inner: B,
    calls: Mutex<Vec<Call>>,
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
        Traced { inner, calls: Mutex::new(Vec::new()) }
    }

    /// The backend inside.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// All calls since the last time, in order.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls())
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        // A panic between two pushes leaves a sound list.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
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
        let start = Instant::now();
        let result = run(&self.inner);
        // What failed is told by the next call that can say so.
        let _ = self.inner.synchronize();
        let time = start.elapsed();
        self.calls().push(Call { op, features, time, work });
        result
    }
}
