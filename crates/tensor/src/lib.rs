//! Element types, aligned buffers and the order of matrices in them: where numbers live. No arithmetic.

mod buffer;
mod element;
mod order;

pub use buffer::AlignedBuffer;
pub use element::{DType, Element};
pub use order::{BLOCK, Order};
