//! How many operations and bytes an op needs at least, from its shape.
//!
//! Operations are the multiplications and additions of matrix products, and nothing else:
//!
//! | op | operations |
//! | --- | --- |
//! | `linear`, and each of its two backwards | `2 · rows · in · out` |
//! | `attention` (two products a head) | `4 · width · Σ length²` |
//! | `attention_backward` (four; forming the scores anew is the kernel's own choice) | `8 · width · Σ length²` |
//! | `first_row_attention`, backward | `4 · width · Σ length`, `8 · width · Σ length` |
//!
//! Rows are those of packed batches, so padding counts nowhere. Bytes are each operand once: what is read and what is
//! written, as if every op began and ended in memory and read a matrix once.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// What an op needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Multiplications and additions of matrix products.
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

impl Work {
    /// An op of `bytes` that multiplies no matrices.
    pub(super) fn moving(bytes: usize) -> Work {
        Work { flops: 0.0, bytes: bytes as f64 }
    }

    /// A product of `[rows, inner]` and `[inner, columns]` that moves `bytes`.
    pub(super) fn product(rows: usize, inner: usize, columns: usize, bytes: usize) -> Work {
        Work { flops: 2.0 * rows as f64 * inner as f64 * columns as f64, bytes: bytes as f64 }
    }

    /// Attention whose queries and keys meet `pairs` times, in `products` products a head.
    pub(super) fn attention(pairs: usize, width: usize, products: usize, bytes: usize) -> Work {
        Work { flops: (2 * products) as f64 * width as f64 * pairs as f64, bytes: bytes as f64 }
    }
}

impl Add for Work {
    type Output = Work;
    fn add(self, other: Work) -> Work {
        Work { flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        *self = *self + other;
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Work>>(works: I) -> Work {
        works.fold(Work::default(), Add::add)
    }
}
