//! The model card, `README.md` of a model folder: where the model comes from and how good it is.

use serin_metrics::EvaluationReport;
use serin_train::EpochSummary;
use serin_train::report::LogEntry;
use std::fmt::Write;

/// Everything that the card tells.
#[derive(Clone, Debug)]
pub(super) struct ModelCard {
    pub(super) base: String,
    pub(super) data: String,
    pub(super) labels: Vec<String>,
    /// Name and value of every setting that matters.
    pub(super) settings: Vec<(String, String)>,
    pub(super) command: String,
    /// What the selecting data is, and a warning where it is the test data.
    pub(super) selected_on: String,
    /// The best epoch's evaluation.
    pub(super) selection: Option<LogEntry>,
    pub(super) test: Option<EvaluationReport>,
}

/// The numbers that a card shows, where the report has them.
const SHOWN: [&str; 9] = [
    "eval_samples",
    "eval_loss",
    "eval_accuracy",
    "eval_f1_macro",
    "eval_recall_macro",
    "eval_matthews_correlation",
    "eval_tweeteval",
    "eval_pearson",
    "eval_mse",
];

impl ModelCard {
    pub(super) fn set_selection(&mut self, summary: &EpochSummary) {
        let epoch = f64::from(summary.epoch);
        self.selection = Some(LogEntry::new(summary.report.numbers(), epoch, summary.global_step));
    }

    /// The file's text.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "---\npipeline_tag: text-classification\ntags:\n- serin\n---\n")?;
        writeln!(text, "# Text classifier: {}\n", self.labels.join(", "))?;
        writeln!(text, "Fine-tuned with Serin {} from {} on {}.\n", env!("CARGO_PKG_VERSION"), self.base, self.data)?;
        if let Some(entry) = &self.selection {
            let (epoch, step) = (entry.get("epoch").unwrap_or_default(), entry.step().unwrap_or_default());
            writeln!(text, "## Results on {}\n\nBest weights: epoch {epoch}, step {step}.\n", self.selected_on)?;
            numbers(text, |key| entry.get(key))?;
        }
        if let Some(report) = &self.test {
            writeln!(text, "## Results on the test data\n")?;
            numbers(text, |key| report.get(key))?;
        }
        writeln!(text, "## Settings\n\n| setting | value |\n| --- | --- |")?;
        for (name, value) in &self.settings {
            writeln!(text, "| `{name}` | {value} |")?;
        }
        writeln!(text, "\n## Made by\n\n```\n{}\n```", self.command)?;
        writeln!(
            text,
            "\nText settings (length, truncation, normalisation) are in `serin.json`; `serin predict` applies them."
        )
    }
}

fn numbers(text: &mut String, number: impl Fn(&str) -> Option<f64>) -> std::fmt::Result {
    writeln!(text, "| metric | value |\n| --- | --- |")?;
    for key in SHOWN {
        if let Some(value) = number(key) {
            let name = key.trim_start_matches("eval_");
            match value.fract() == 0.0 && key == "eval_samples" {
                true => writeln!(text, "| {name} | {value} |")?,
                false => writeln!(text, "| {name} | {value:.4} |")?,
            }
        }
    }
    writeln!(text)
}
