//! What a pretraining run shows on standard error.

use crate::terminal::{DownloadBars, bar, clock, rate, short};
use indicatif::ProgressBar;
use serin::fine_tune::Console;
use serin::train::{Event, HeldOut, StepReport, TrainError};
use serin_checkpoint::hub::Progress;

const TRAIN: &str = "{prefix} {wide_bar} {pos}/{len} [{elapsed}<{eta}, {msg}]";
const EVALUATE: &str = "evaluating {pos}/{len} [{elapsed_precise}<{eta_precise}, {per_sec}]";

/// Bars and lines.
pub(super) struct PretrainConsole {
    quiet: bool,
    bar: Option<ProgressBar>,
    /// Steps of the epoch and tokens of the run that were there when the bar began: they took none of its time.
    began_at: (u64, Option<u64>),
    /// Of an evaluation, or of work of unknown length.
    other: Option<ProgressBar>,
    downloads: DownloadBars,
}

impl PretrainConsole {
    /// A console for a run; a quiet one shows nothing.
    pub(super) fn new(quiet: bool) -> PretrainConsole {
        PretrainConsole { quiet, bar: None, began_at: (0, None), other: None, downloads: DownloadBars::new(quiet) }
    }

    /// A line, above whatever bar there is.
    pub(super) fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        match self.bar.as_ref().filter(|bar| !bar.is_hidden()) {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Takes bars off the screen.
    pub(super) fn clear(&mut self) {
        for bar in [self.bar.take(), self.other.take()].into_iter().flatten() {
            bar.finish_and_clear();
        }
    }

    fn step(&mut self, report: &StepReport) {
        let Some(bar) = &self.bar else { return };
        if bar.position() == bar.length().unwrap_or(0) {
            // An evaluation took the bar's place.
            return;
        }
        bar.inc(1);
        let elapsed = bar.elapsed().as_secs_f64().max(1e-9);
        let steps = self.began_at.0;
        let tokens = *self.began_at.1.get_or_insert(report.tokens_seen);
        let done = bar.position().saturating_sub(steps) as f64;
        let mut message = format!(
            "{}, {:.0} tokens/s, loss={:.4}",
            rate(done / elapsed),
            report.tokens_seen.saturating_sub(tokens) as f64 / elapsed,
            report.epoch_loss
        );
        if let Some(accuracy) = report.train_accuracy {
            message.push_str(&format!(", masked_acc={accuracy:.4}"));
        }
        if report.skipped_total > 0 {
            message.push_str(&format!(", skipped={}, scale={}", report.skipped_total, report.scale));
        }
        bar.set_message(message);
    }

    fn held_out(&mut self, held_out: &HeldOut) {
        if let Some(bar) = self.other.take() {
            bar.finish_and_clear();
        }
        let HeldOut { epoch, global_step, train_loss, loss, accuracy, tokens_per_second, .. } = held_out;
        let mut line = format!(
            "Step {global_step} (epoch {epoch:.2}) - avg loss: {train_loss:.4}, Eval loss: {loss:.4}, perplexity: {:.2}, \
             masked acc: {accuracy:.4}, {tokens_per_second:.0} tokens/s, {} + {}",
            held_out.perplexity(),
            short(held_out.train_time),
            short(held_out.evaluation_time)
        );
        if held_out.is_best {
            line.push_str("  * best");
        }
        self.note(&line);
    }
}

impl Console for PretrainConsole {
    fn say(&mut self, text: &str) {
        if let Some(bar) = self.other.take() {
            bar.finish_and_clear();
        }
        self.note(text.trim_end());
    }

    fn count(&mut self, _what: &str, done: usize, total: usize) {
        let quiet = self.quiet;
        let bar = self.other.get_or_insert_with(|| bar(total as u64, EVALUATE, quiet));
        bar.set_position(done as u64);
    }

    fn progress(&mut self, what: &str, state: &str) {
        let quiet = self.quiet;
        let line = self.other.get_or_insert_with(|| clock(quiet));
        line.set_message(format!("{what}: {state}"));
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), TrainError> {
        match event {
            Event::EpochStarted { epoch, done, steps } => {
                self.clear();
                let bar = bar(*steps, TRAIN, self.quiet);
                bar.set_position(*done);
                bar.reset_eta();
                bar.set_prefix(format!("epoch {epoch}"));
                self.began_at = (*done, None);
                self.bar = Some(bar);
            }
            Event::Step(report) => self.step(report),
            Event::Evaluating { done, total } => self.count("evaluating", *done, *total),
            Event::HeldOut(held_out) => self.held_out(held_out),
            Event::Note(text) => self.note(&format!("note: {text}")),
            Event::EarlyStopping => self.note("Early stopping."),
            Event::Interrupted => self.clear(),
            Event::Started { .. } | Event::Epoch(_) => {}
        }
        Ok(())
    }

    fn downloads(&self) -> &dyn Progress {
        &self.downloads
    }
}
