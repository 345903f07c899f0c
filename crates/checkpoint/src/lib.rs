//! Hugging Face folders in and out, the Hub client, the training state, atomic saves.
//!
//! - [`tensors`] reads weights: safetensors, sharded or whole, and PyTorch `.bin` files through a
//!   restricted unpickler that runs no code.
//! - [`model`] makes a model of a folder, and a folder of a model.
//! - [`save`] writes files and whole folders so that a reader sees the old or the new one, never a part.
//! - [`hub`] turns model and dataset ids into folders, in the cache layout of Python's `huggingface_hub`.

pub mod hub;
pub mod model;
pub mod save;
pub mod tensors;

mod error;

pub use error::{CheckpointError, Hint};
pub use tensors::{Dtype, TensorView, WeightFiles};
