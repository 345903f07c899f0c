//! Fine-tune, evaluate and serve text classifiers of the RoBERTa family, as a library.
//!
//! ```no_run
//! use serin::{Classifier, ClassifierOptions};
//!
//! # fn main() -> Result<(), serin::SerinError> {
//! let mut classifier = Classifier::from_pretrained("my-model", &ClassifierOptions::default())?;
//! for prediction in classifier.predict(&["What a film!", "I want my evening back."])? {
//!     println!("{} ({:.1} %)", prediction.label, 100.0 * prediction.score);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Fine-tuning, with everything that `serin train` does (see `examples/fine_tune.rs`):
//!
//! ```no_run
//! use serin::data::DataSpec;
//! use serin::fine_tune::{FineTuneOptions, Quiet, StartingModel, fine_tune};
//! use std::sync::atomic::AtomicBool;
//!
//! # fn main() -> Result<(), serin::SerinError> {
//! let mut options = FineTuneOptions::new(StartingModel::Pretrained("roberta-base".into()), "out".into());
//! options.data.train = Some(DataSpec { paths: vec!["train.csv".into()], ..DataSpec::default() });
//! let done = fine_tune(&options, &mut Quiet, &AtomicBool::new(false))?;
//! println!("best {:?}, kept in {}", done.best, done.folder.best().display());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod classifier;
pub mod device;
pub mod embedded;
mod engine;
pub mod environment;
mod error;
pub mod fill_mask;
pub mod fine_tune;
pub mod learn_tokenizer;
pub mod pretrain;
pub mod pretrained;

pub use classifier::{Classifier, ClassifierOptions, Prediction};
pub use device::{Device, DeviceKind, DeviceOptions, Hardware, Precision, on_waiting};
pub use error::SerinError;
pub use fill_mask::MaskFiller;
pub use fine_tune::{FineTuneOptions, FineTuned, fine_tune};
pub use pretrained::{Pretrained, PretrainedOptions};

pub use serin_corpus as corpus;
pub use serin_data as data;
pub use serin_metrics as metrics;
pub use serin_text as text;
pub use serin_train as train;
