//! Bars and lines on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serin::fine_tune::{Console, SelectOn};
use serin::train::{EpochSummary, Event, SelectionMetric, StepReport, TrainError};
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

/// A line with the time so far, for work of unknown length; hidden where nobody looks.
pub fn clock(quiet: bool) -> ProgressBar {
    let line = bar(0, CLOCK, quiet);
    line.enable_steady_tick(Duration::from_millis(200));
    line
}

const CLOCK: &str = "{spinner} {msg} [{elapsed}]";
const COUNT: &str = "{msg} {pos}/{len} [{elapsed_precise}<{eta_precise}, {per_sec}]";
const TRAIN: &str = "{prefix} {wide_bar} {pos}/{len} [{elapsed}<{eta}, {msg}]";
const DOWNLOAD: &str = "{msg} {wide_bar} {bytes}/{total_bytes} [{elapsed}<{eta}, {bytes_per_sec}]";

/// What a training run shows.
pub struct TrainConsole {
    quiet: bool,
    /// What the selecting data are called in an epoch's line.
    selecting: &'static str,
    bar: Option<ProgressBar>,
    /// Steps of the epoch that an earlier run made: they took none of the bar's time.
    resumed_at: u64,
    counting: Option<(String, ProgressBar)>,
    downloads: DownloadBars,
}

impl TrainConsole {
    /// A console for a run; a quiet one shows nothing.
    pub fn new(select_on: SelectOn, quiet: bool) -> TrainConsole {
        let selecting = match select_on {
            SelectOn::Validation => "Eval",
            SelectOn::Test => "Test",
        };
        let downloads = DownloadBars::new(quiet);
        TrainConsole { quiet, selecting, bar: None, resumed_at: 0, counting: None, downloads }
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
        let done = bar.position().saturating_sub(self.resumed_at) as f64;
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

    fn epoch(&mut self, summary: &EpochSummary) {
        self.clear();
        self.note(&self.epoch_line(summary));
    }

    /// The line that sums an epoch up. Numbers that the problem does not have are left out.
    fn epoch_line(&self, summary: &EpochSummary) -> String {
        let split = self.selecting;
        let mut line = format!("Epoch {} summary - avg loss: {:.4}", summary.epoch, summary.train_loss);
        let mut add = |name: &str, value: Option<f64>| {
            if let Some(value) = value {
                line.push_str(&format!(", {name}: {value:.4}"));
            }
        };
        add("Train acc", summary.train_accuracy);
        add(&format!("{split} acc"), summary.report.get("eval_accuracy"));
        add(&format!("{split} loss"), summary.report.get("eval_loss"));
        if !matches!(summary.metric, SelectionMetric::Accuracy | SelectionMetric::Loss) {
            add(&format!("{split} {}", metric_name(summary.metric)), Some(summary.selection));
        }
        line.push_str(&format!(
            ", {:.0} examples/s, {} + {}",
            summary.examples_per_second,
            short(summary.train_time),
            short(summary.evaluation_time)
        ));
        if summary.is_best {
            line.push_str("  * best");
        }
        line
    }
}

/// A metric as people say it.
pub fn metric_name(metric: SelectionMetric) -> &'static str {
    match metric {
        SelectionMetric::Accuracy => "acc",
        other => other.key().trim_start_matches("eval_"),
    }
}

/// Steps a second, or seconds a step where those are more.
pub fn rate(per_second: f64) -> String {
    if per_second >= 1.0 { format!("{per_second:.2}it/s") } else { format!("{:.2}s/it", 1.0 / per_second.max(1e-9)) }
}

/// A duration in seconds, or in minutes and seconds.
pub fn short(duration: Duration) -> String {
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
                bar.set_prefix(format!("epoch {epoch}"));
                self.resumed_at = *done;
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
            Event::Started { .. } | Event::HeldOut(_) => {}
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

/// How much of a text [`one_line`] shows.
const SHOWN: usize = 60;

/// The beginning of a text, without what moves a terminal's cursor.
pub fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN + 1).collect();
    match plain.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}
