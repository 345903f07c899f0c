//! Ops that work row by row or element by element: norms, embeddings, dropout, losses, the optimizer, copies.

pub(crate) mod activation;
mod convert;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod gather;
pub(crate) mod layer_norm;
mod layer_norm_backward;
pub(crate) mod loss;
pub(crate) mod optimizer;
mod split;
#[cfg(test)]
mod tests;
pub(crate) mod vocabulary_loss;

pub(crate) use convert::{copy, fill_zero, read, read_bytes, write, write_bytes};
