//! Memory of a device: one arena that gives out regions, typed buffers and lists in them.

mod arena;
mod buffer;
mod indices;
mod ranges;
mod region;
mod scratch;
mod sequences;

pub(crate) use arena::Arena;
pub use buffer::Buffer;
pub(crate) use indices::ByIndex;
pub use indices::Indices;
pub(crate) use scratch::Scratch;
pub use sequences::Sequences;
