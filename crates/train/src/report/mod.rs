//! What a training run writes for others to read: TensorBoard events, `trainer_state.json`, a JSONL log.

mod error;
mod jsonl;
mod tensorboard;
mod trainer_state;

pub use error::ReportError;
pub use jsonl::JsonlLog;
pub use tensorboard::EventFile;
pub use trainer_state::{
    EarlyStoppingArgs, EarlyStoppingAttributes, EarlyStoppingState, LogEntry, StatefulCallbacks, TRAINER_STATE_FILE,
    TrainerState,
};

#[cfg(test)]
mod tests;
