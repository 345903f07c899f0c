//! A description for eyes.

use super::Description;
use indicatif::{BinaryBytes, HumanCount};
use serin_checkpoint::model::{GroupSize, RecordedText};
use std::fmt;

/// How many labels are listed.
const SHOWN_LABELS: usize = 30;

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = &self.inspection;
        let mut line = |name: &str, value: String| writeln!(f, "{name:<14}{value}");
        line("model", self.folder.display().to_string())?;
        line(
            "architecture",
            format!(
                "{}: {} layers of {} hidden, {} heads, {} intermediate",
                model.model_type, model.layers, model.hidden, model.heads, model.intermediate
            ),
        )?;
        line("parameters", HumanCount(model.parameters).to_string())?;
        for (name, parameters) in layers_together(&model.groups) {
            line("", format!("{name:<14}{:>14}", HumanCount(parameters).to_string()))?;
        }
        line("problem type", model.problem_type.to_owned())?;
        let trained = if model.trained_head { "trained" } else { "not trained: fine-tune before predicting" };
        line("head", trained.to_owned())?;
        for (id, label) in model.labels.iter().enumerate().take(SHOWN_LABELS) {
            line(if id == 0 { "labels" } else { "" }, format!("{id:>3}  {label}"))?;
        }
        if model.labels.len() > SHOWN_LABELS {
            line("", format!("…    {} in all", model.labels.len()))?;
        }
        line("vocabulary", format!("{} tokens", HumanCount(model.vocabulary as u64)))?;
        line("limits", format!("{} tokens a text ({} positions)", model.max_length, self.positions))?;
        match &self.tokenizer {
            Ok(tokenizer) => {
                line("tokenizer", tokenizer.kind.clone())?;
                line("texts", text_settings(&tokenizer.text))?;
            }
            Err(problem) => line("tokenizer", format!("none that can be used: {problem}"))?,
        }
        let recorded = if model.text.is_some() { "recorded in serin.json" } else { "defaults, no serin.json" };
        line("", recorded.to_owned())?;
        for (index, sentence) in model.report.to_string().lines().enumerate() {
            line(if index == 0 { "weights" } else { "" }, sentence.to_owned())?;
        }
        for (index, file) in model.files.iter().enumerate() {
            let size = BinaryBytes(file.bytes).to_string();
            line(if index == 0 { "files" } else { "" }, format!("{size:>12}  {}", file.name))?;
        }
        line("device", self.device.name.clone())?;
        line("kernels", self.device.kernels.join(", "))?;
        line("precision", format!("{} storage of weights and activations", self.device.precision))?;
        let (weights, activations) = (BinaryBytes(self.memory.weights), BinaryBytes(self.memory.activations));
        line("memory", format!("about {weights} of weights and {activations} of activations to predict"))
    }
}

/// Groups by name; equal layers in one line.
fn layers_together(groups: &[GroupSize]) -> Vec<(String, u64)> {
    let is_layer = |group: &&GroupSize| group.name.starts_with("layer ");
    let layers: Vec<&GroupSize> = groups.iter().filter(is_layer).collect();
    let equal = layers.windows(2).all(|pair| pair[0].parameters == pair[1].parameters);
    if layers.len() < 2 || !equal {
        return groups.iter().map(|group| (group.name.clone(), group.parameters)).collect();
    }
    let together = (format!("{} layers", layers.len()), layers.iter().map(|group| group.parameters).sum());
    let mut lines = Vec::new();
    for group in groups {
        if !is_layer(&group) {
            lines.push((group.name.clone(), group.parameters));
        } else if lines.last() != Some(&together) {
            lines.push(together.clone());
        }
    }
    lines
}

fn text_settings(text: &RecordedText) -> String {
    let max_length = text.max_length.map_or("all".to_owned(), |tokens| tokens.to_string());
    let kept = match (text.truncation.as_deref(), text.head) {
        (Some("left"), _) => "the end is kept".to_owned(),
        (Some("head_tail"), Some(head)) => format!("{head} tokens from the beginning, the rest from the end are kept"),
        _ => "the beginning is kept".to_owned(),
    };
    let normalization = match text.normalization.as_deref() {
        Some("tweet") => "handles and links of tweets are masked first",
        _ => "nothing is changed in them first",
    };
    format!("{max_length} tokens are read, of longer ones {kept}; {normalization}")
}
