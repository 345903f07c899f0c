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
#![forbid(unsafe_code)]

pub mod classifier;
pub mod device;
pub mod environment;
mod error;
pub mod fine_tune;
pub mod pretrained;

pub use classifier::{Classifier, ClassifierOptions, Prediction};
pub use device::{DeviceOptions, Precision};
pub use error::SerinError;
pub use fine_tune::{FineTuneOptions, FineTuned, fine_tune};
pub use pretrained::{Pretrained, PretrainedOptions};

pub use serin_data as data;
pub use serin_metrics as metrics;
pub use serin_text as text;
pub use serin_train as train;
