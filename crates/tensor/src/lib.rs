//! Element types and aligned buffers: where numbers live. No arithmetic.

mod buffer;
mod element;

pub use buffer::AlignedBuffer;
pub use element::{DType, Element};
