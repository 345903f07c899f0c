//! Post-layer-norm encoders with a classification head: configuration, weights, forward and backward.
//!
//! Generic over the [`Backend`](serin_ops::Backend): this crate names no device, thread, file or clock.
#![forbid(unsafe_code)]

mod activations;
mod backward;
mod batch;
mod config;
mod config_json;
mod dropout;
mod error;
mod forward;
mod heads;
mod initialize;
mod masked_language;
mod model;
mod parameters;
mod targets;
#[cfg(test)]
mod tests;
mod weights;

pub use backward::MicroBatchOutput;
pub use batch::{Batch, Sequence};
pub use config::{Family, ModelConfig, ProblemType, Task};
pub use dropout::DropoutContext;
pub use error::ModelError;
pub use initialize::Initializer;
pub use masked_language::{MaskedOutput, MaskedTokens};
pub use model::{BuildOptions, Freezing, Model, TrainableMut, Workspace};
pub use parameters::{Group, ParameterKind, ParameterSource, ParameterSpec};
pub use targets::{LossSettings, Target, Targets};
