//! Where a fine-tuning run talks: the terminal of the binary, or nowhere.

use serin_checkpoint::hub::{Progress, Silent};
use serin_train::{Event, TrainError};

/// Talk and progress for people; results never depend on it.
pub trait Console {
    /// A line, or several.
    fn say(&mut self, text: &str);

    /// `done` of `total` of some long work, such as tokenizing.
    fn count(&mut self, what: &str, done: usize, total: usize);

    /// Some long work of unknown length goes on; `state` says how far it is.
    fn progress(&mut self, _what: &str, _state: &str) {}

    /// Something happened in training.
    fn event(&mut self, event: &Event<'_>) -> Result<(), TrainError>;

    /// Hears of downloads.
    fn downloads(&self) -> &dyn Progress {
        &Silent
    }
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Console for Quiet {
    fn say(&mut self, _text: &str) {}

    fn count(&mut self, _what: &str, _done: usize, _total: usize) {}

    fn event(&mut self, _event: &Event<'_>) -> Result<(), TrainError> {
        Ok(())
    }
}
