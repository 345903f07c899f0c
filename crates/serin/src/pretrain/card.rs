//! The model card of a pretrained encoder: from what text, how long, and how the loss went.

use serin_train::HeldOut;
use serin_train::report::LogEntry;
use std::fmt::Write;

/// An evaluation that was a new best.
#[derive(Clone, Debug)]
pub(super) struct NewBest {
    global_step: u64,
    epoch: f64,
    loss: f64,
    accuracy: f64,
    train_loss: f64,
}

impl From<&HeldOut> for NewBest {
    fn from(held_out: &HeldOut) -> NewBest {
        let HeldOut { global_step, epoch, loss, accuracy, train_loss, .. } = *held_out;
        NewBest { global_step, epoch, loss, accuracy, train_loss }
    }
}

impl NewBest {
    /// An evaluation by its entry in the log; none for entries of steps.
    fn logged(entry: &LogEntry) -> Option<NewBest> {
        let number = |key: &str| entry.0.get(key)?.as_f64();
        Some(NewBest {
            global_step: entry.step()?,
            epoch: number("epoch")?,
            loss: number("eval_loss")?,
            accuracy: number("eval_accuracy")?,
            train_loss: number("train_loss").unwrap_or(f64::NAN),
        })
    }

    /// Those that a run's log tells of, in order.
    pub(super) fn of_log(entries: &[LogEntry]) -> Vec<NewBest> {
        let mut best = f64::INFINITY;
        let falls = |evaluation: &NewBest| {
            let is_best = evaluation.loss < best;
            best = best.min(evaluation.loss);
            is_best
        };
        entries.iter().filter_map(NewBest::logged).filter(falls).collect()
    }
}

/// Everything that the card tells.
#[derive(Clone, Debug)]
pub(super) struct ModelCard {
    pub(super) base: String,
    pub(super) data: String,
    /// Name and value of every setting that matters.
    pub(super) settings: Vec<(String, String)>,
    pub(super) command: String,
    /// In order.
    pub(super) held_out: Vec<NewBest>,
}

impl ModelCard {
    /// The file's text.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "---\npipeline_tag: fill-mask\ntags:\n- serin\n---\n")?;
        writeln!(text, "# Masked language model\n")?;
        writeln!(text, "Pretrained with Serin {} from {} on {}.\n", env!("CARGO_PKG_VERSION"), self.base, self.data)?;
        writeln!(text, "## Held-out text\n\n| step | epoch | loss | perplexity | masked accuracy | training loss |")?;
        writeln!(text, "| --- | --- | --- | --- | --- | --- |")?;
        for held_out in &self.held_out {
            let NewBest { global_step, epoch, loss, accuracy, train_loss } = held_out;
            let perplexity = loss.exp();
            writeln!(
                text,
                "| {global_step} | {epoch:.2} | {loss:.4} | {perplexity:.2} | {accuracy:.4} | {train_loss:.4} |"
            )?;
        }
        writeln!(text, "\n## Settings\n\n| setting | value |\n| --- | --- |")?;
        for (name, value) in &self.settings {
            writeln!(text, "| `{name}` | {value} |")?;
        }
        writeln!(text, "\n## Made by\n\n```\n{}\n```", self.command)
    }
}
