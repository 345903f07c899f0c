//! How far a run over rows is, on standard error.

use super::Chunk;
use crate::terminal::{BAR_CHARACTERS, bar};
use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use serin::data::{ReadOptions, Source, count_rows};
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

const KNOWN: &str = "{msg} {wide_bar} {human_pos}/{human_len} [{elapsed}<{eta}, {rate}]";
const UNKNOWN: &str = "{msg} {spinner} {human_pos} rows [{elapsed}, {rate}]";

/// Counts rows, and shows a bar with rate and remaining time where somebody looks.
pub struct Meter {
    bar: ProgressBar,
    started: Instant,
    /// Rows that an earlier run did, of which no more is known than their number.
    earlier: u64,
    rows: u64,
    truncated: u64,
    empty: u64,
    undefined: u64,
}

impl Meter {
    /// A bar over `total` rows, if that is known.
    pub fn new(what: &'static str, total: Option<u64>, quiet: bool) -> Meter {
        let bar = bar(total.unwrap_or(0), "", quiet);
        set_style(&bar, if total.is_some() { KNOWN } else { UNKNOWN });
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Meter { bar, started: Instant::now(), earlier: 0, rows: 0, truncated: 0, empty: 0, undefined: 0 }
    }

    /// Counts the rows of a source beside the work, and shows the remaining time from then on. `most` of them are read.
    pub fn count_beside(&self, source: &Source, options: &ReadOptions, most: Option<u64>) {
        if self.bar.is_hidden() {
            return;
        }
        let (bar, source, options) = (self.bar.clone(), source.clone(), options.clone());
        thread::spawn(move || {
            // What is wrong with the file is for its reader to say.
            let Ok(rows) = count_rows(&source, &options) else { return };
            set_style(&bar, KNOWN);
            bar.set_length(rows.min(most.unwrap_or(u64::MAX)));
        });
    }

    /// Rows that an earlier run has done.
    pub fn start_at(&mut self, rows: u64) {
        self.bar.set_position(rows);
        self.bar.reset_eta();
        self.started = Instant::now();
        self.earlier = rows;
    }

    /// Rows that are done, `undefined` of them without a prediction.
    pub fn add(&mut self, chunk: &Chunk, undefined: u64) {
        self.undefined += undefined;
        self.rows += chunk.rows.len() as u64;
        self.truncated += chunk.encoded.iter().filter(|encoded| encoded.truncated()).count() as u64;
        self.empty += chunk.empty as u64;
        self.bar.inc(chunk.rows.len() as u64);
    }

    /// Rows whose text was cut.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    /// A line above the bar.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// A word on rows without a prediction, where there are any.
    pub fn warning(&self) -> Option<String> {
        (self.undefined > 0).then(|| {
            format!(
                "warning: rows without a prediction, because the model's output is not a finite number: {}{}\n\
                 hint: is it so with --precision fp32, too? then the weights are broken",
                HumanCount(self.undefined),
                self.part()
            )
        })
    }

    /// What the counts are of, where an earlier run did a part.
    fn part(&self) -> String {
        match self.earlier {
            0 => String::new(),
            rows => format!(" (after the {} of an earlier run)", HumanCount(rows)),
        }
    }

    /// What was done, in a line or two.
    pub fn summary(&self, max_length: usize) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = self.rows as f64 / seconds.max(1e-9);
        let part = self.part();
        let mut text = format!("{} rows{part} in {seconds:.1} s, {rate:.0} rows/s.", HumanCount(self.rows));
        if self.truncated > 0 {
            let truncated = HumanCount(self.truncated);
            text.push_str(&format!(
                "\nnote: texts longer than {max_length} tokens, of which only a part was read: {truncated}{part}"
            ));
        }
        if self.empty > 0 {
            text.push_str(&format!("\nnote: empty texts, scored like any other: {}{part}", HumanCount(self.empty)));
        }
        text
    }
}

impl Drop for Meter {
    /// An error is to be read without a bar in it.
    fn drop(&mut self) {
        self.clear();
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // Nobody reads what cannot be written.
        let _ = write!(out, "{:.0} rows/s", state.per_sec());
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", rate).progress_chars(BAR_CHARACTERS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_resumed_run_say_what_they_are_of() {
        let mut meter = Meter::new("predicting", None, true);
        (meter.rows, meter.truncated, meter.undefined) = (7, 2, 1);
        assert!(!meter.summary(512).contains("earlier"));
        meter.start_at(1000);
        let summary = meter.summary(512);
        assert!(summary.starts_with("7 rows (after the 1,000 of an earlier run) in "), "{summary}");
        assert!(summary.contains("read: 2 (after the 1,000 of an earlier run)"), "{summary}");
        assert!(meter.warning().unwrap().contains("number: 1 (after the 1,000 of an earlier run)"));
    }
}
