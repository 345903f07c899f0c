//! Atomic saves: a reader, or a run restarted after `kill -9`, finds the old file or folder or the
//! new one, complete, and never a part.

mod file;
mod folder;
mod weights;

pub use file::{write_atomic, write_json_atomic};
pub use folder::{recover_dir, replace_dir_atomic};
pub use weights::{TensorToSave, write_safetensors};
