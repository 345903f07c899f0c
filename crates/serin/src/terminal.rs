//! Bars and lines on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serin::fine_tune::Console;
use serin::train::{EpochSummary, Event, StepReport, TrainError};
use serin_checkpoint::hub::Progress;
use std::cell::RefCell;
use std::time::Duration;

/// From full to empty.
pub const BAR_CHARACTERS: &str = "█▉▊▋▌▍▎▏ ";

/// A bar of `total` things on standard error; hidden where nobody looks.
pub fn bar(total: u64, template: &str, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars(BAR_CHARACTERS));
    }
    bar
}

const COUNT: &str = "{msg} {pos}/{len} [{elapsed_precise}<{eta_precise}, {per_sec}]";
const TRAIN: &str = "{prefix} {wide_bar} {pos}/{len} [{elapsed}<{eta}, {msg}]";
const DOWNLOAD: &str = "{msg} {wide_bar} {bytes}/{total_bytes} [{elapsed}<{eta}, {bytes_per_sec}]";

/// What a training run shows.
pub struct TrainConsole {
    quiet: bool,
    bar: Option<ProgressBar>,
    counting: Option<(String, ProgressBar)>,
    downloads: DownloadBars,
}

impl TrainConsole {
    /// A console; a quiet one shows nothing.
    pub fn new(quiet: bool) -> TrainConsole {
        TrainConsole { quiet, bar: None, counting: None, downloads: DownloadBars::new(quiet) }
    }

    /// A line, above whatever bar there is.
    pub fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        match self.bar.as_ref().filter(|bar| !bar.is_hidden()) {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Takes bars off the screen.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some((_, bar)) = self.counting.take() {
            bar.finish_and_clear();
        }
    }

    fn step(&mut self, report: &StepReport) {
        let Some(bar) = &self.bar else { return };
        let elapsed = bar.elapsed().as_secs_f64().max(1e-9);
        bar.inc(1);
        let done = bar.position().saturating_sub(self.resumed_at()) as f64;
        let mut message = format!(
            "{}, {:.0} examples/s, loss={:.4}",
            rate(done / elapsed),
            done / elapsed * report.examples as f64,
            report.epoch_loss
        );
        if let Some(accuracy) = report.train_accuracy {
            message.push_str(&format!(", train_acc={accuracy:.4}"));
        }
        if report.skipped_total > 0 {
            message.push_str(&format!(", skipped={}, scale={}", report.skipped_total, report.scale));
        }
        bar.set_message(message);
    }

    /// Where the bar stood at its start.
    fn resumed_at(&self) -> u64 {
        self.bar.as_ref().and_then(|bar| bar.prefix().split('@').nth(1).and_then(|at| at.parse().ok())).unwrap_or(0)
    }

    fn epoch(&mut self, summary: &EpochSummary) {
        self.clear();
        let percent = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        let loss = summary.report.get("eval_loss");
        let accuracy = summary.report.get("eval_accuracy").or(Some(summary.selection));
        let speed = summary.examples_per_second;
        let mut line = format!(
            "Epoch {} summary - avg loss: {:.4}, Train acc: {}, Eval acc: {}, Eval loss: {}, {:.0} examples/s, {} + {}",
            summary.epoch,
            summary.train_loss,
            percent(summary.train_accuracy),
            percent(accuracy),
            percent(loss),
            speed,
            short(summary.train_time),
            short(summary.evaluation_time),
        );
        if summary.is_best {
            line.push_str("  * best");
        }
        self.note(&line);
    }
}

fn rate(per_second: f64) -> String {
    if per_second >= 1.0 { format!("{per_second:.2}it/s") } else { format!("{:.2}s/it", 1.0 / per_second.max(1e-9)) }
}

fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60)
    }
}

impl Console for TrainConsole {
    fn say(&mut self, text: &str) {
        if let Some((_, bar)) = self.counting.take() {
            bar.finish_and_clear();
        }
        self.note(text.trim_end());
    }

    fn count(&mut self, what: &str, done: usize, total: usize) {
        if self.counting.as_ref().is_none_or(|(current, _)| current != what) {
            let bar = bar(total as u64, COUNT, self.quiet);
            bar.set_message(what.to_owned());
            self.counting = Some((what.to_owned(), bar));
        }
        if let Some((_, bar)) = &self.counting {
            bar.set_position(done as u64);
            if done >= total {
                bar.finish_and_clear();
            }
        }
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), TrainError> {
        match event {
            Event::EpochStarted { epoch, done, steps } => {
                let bar = bar(*steps, TRAIN, self.quiet);
                bar.set_position(*done);
                bar.reset_eta();
                bar.set_prefix(if *done > 0 { format!("epoch {epoch} @{done}") } else { format!("epoch {epoch}") });
                self.bar = Some(bar);
            }
            Event::Step(report) => self.step(report),
            Event::Evaluating { done, total } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                self.count("evaluating", *done, *total);
            }
            Event::Epoch(summary) => self.epoch(summary),
            Event::Note(text) => self.note(&format!("note: {text}")),
            Event::EarlyStopping => self.note("Early stopping."),
            Event::Interrupted => self.clear(),
            Event::Started { .. } => {}
        }
        Ok(())
    }

    fn downloads(&self) -> &dyn Progress {
        &self.downloads
    }
}

/// A bar a download.
pub struct DownloadBars {
    quiet: bool,
    bar: RefCell<Option<ProgressBar>>,
}

impl DownloadBars {
    /// Bars, or none.
    pub fn new(quiet: bool) -> DownloadBars {
        DownloadBars { quiet, bar: RefCell::new(None) }
    }
}

impl Progress for DownloadBars {
    fn start(&self, name: &str, total: Option<u64>) {
        let bar = bar(total.unwrap_or(0), DOWNLOAD, self.quiet);
        bar.set_message(name.to_owned());
        *self.bar.borrow_mut() = Some(bar);
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.bar.borrow().as_ref() {
            bar.set_position(bytes);
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish();
        }
    }

    fn notice(&self, message: &str) {
        if !self.quiet {
            eprintln!("note: {message}");
        }
    }
}
