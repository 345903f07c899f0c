//! The vocabulary of the model family: what a backend must be able to do, and `reference/`, the definition of correct.
//!
//! Every op is coarse (a layer is a dozen calls), works on packed rows, and has its backward beside it. Shapes are given
//! in comments as `[rows, width]`; every matrix is row-major.
#![forbid(unsafe_code)]

mod activation;
mod backend;
mod dropout;
pub mod reference;
mod traced;

pub use activation::Activation;
pub use backend::{
    AdamwSlot, AdamwStep, AttentionShape, Backend, DeviceError, EmbeddingTables, GradientNorm, InputGradient, LossKind,
    Norm,
};
pub use dropout::{Dropout, DropoutSite, draws, keep};
pub use traced::{Call, Traced, TracedIndices, TracedSequences, TracedWeight, Watch, Work};
