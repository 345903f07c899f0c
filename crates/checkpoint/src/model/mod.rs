//! A model folder in and out: which file tensor is which parameter, what is new, and what `transformers` will open.
//!
//! ```text
//! LoadedFolder::open ─ prepare_labels ─ report
//!                  └── source ── Model::build        save_model_folder ── ModelParameters ── Model
//! ```

mod check;
mod folder;
mod head;
mod inspect;
mod labels;
mod names;
mod recorded;
mod report;
mod save;
mod source;

pub use folder::LoadedFolder;
pub use inspect::{FileSize, GroupSize, Inspection};
pub use names::file_name;
pub use recorded::{RECORDED_FILE, RecordedText};
pub use report::LoadReport;
pub use save::{FolderContents, ModelParameters, save_model_folder, write_model_files};
pub use source::CheckpointSource;
