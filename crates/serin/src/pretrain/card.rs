//! The model card of a pretrained encoder: from what text, how long, and how the loss went.

use serin_train::HeldOut;
use std::fmt::Write;

/// Everything that the card tells.
#[derive(Clone, Debug)]
pub(super) struct ModelCard {
    pub(super) base: String,
    pub(super) data: String,
    /// Name and value of every setting that matters.
    pub(super) settings: Vec<(String, String)>,
    pub(super) command: String,
    /// The evaluations that were a new best, in order.
    pub(super) held_out: Vec<HeldOut>,
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
            let HeldOut { epoch, global_step, loss, accuracy, train_loss, .. } = held_out;
            let perplexity = held_out.perplexity();
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
