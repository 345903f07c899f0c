//! Optimizer groups, loss scaling, schedules, the training loop, evaluation.
//!
//! [`Trainer`] runs the loop over tokenized [`Examples`]; it knows no files and no terminal: a [`Keeper`] keeps weights and
//! states, a [`Listener`] hears what happens.
#![forbid(unsafe_code)]

mod collapse;
mod early_stopping;
mod error;
mod evaluation;
mod events;
mod examples;
mod optimizer;
mod pretrain;
mod progress;
pub mod report;
mod scaler;
mod schedule;
mod settings;
mod state;
mod trainer;
mod trunk_cache;
mod update;

pub use early_stopping::EarlyStopping;
pub use error::TrainError;
pub use evaluation::{Evaluation, infer_all};
pub use events::{EpochSummary, Event, HeldOut, Listener, StepReport};
pub use examples::{Examples, model_target};
pub use optimizer::{GroupSummary, Moments, Optimizer, group_table};
pub use pretrain::{PretrainInputs, PretrainKeeper, Pretrainer};
pub use progress::{EpochTotals, Progress, UnloggedSteps};
pub use scaler::GradScaler;
pub use schedule::Schedule;
pub use settings::{LossScaling, SchedulerType, SelectionMetric, TrainSettings, Warmup};
pub use state::{has_state, load_state, save_state};
pub use trainer::{CacheMemory, Ending, Keeper, TrainInputs, Trainer};
pub use trunk_cache::{CACHE_EXTENSION, TrunkCache, cache_bytes};
