//! What was done with a checkpoint's tensors, in sentences for people and fields for machines.

use std::fmt;

use serde::Serialize;

/// What was read, what is new, what was carried over and what was left, each with the reason.
///
/// `Display` gives a sentence a line, without a final line feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Tensors that became parameters.
    pub tensors: usize,
    /// Their elements.
    pub parameters: u64,
    /// The names of the weight files.
    pub files: Vec<String>,
    /// The element types of those tensors in the files, the commonest first.
    pub dtypes: Vec<String>,
    /// Our names of parameters of which nothing was read.
    pub new_parameters: Vec<String>,
    /// Tensors that the model has no use for.
    pub unused_tensors: Vec<String>,
    /// One sentence on what was read.
    pub taken: String,
    /// Sentences on parameters that start afresh and why that is normal.
    pub new: Vec<String>,
    /// Sentences on what became of the rows of the last layer.
    pub carried: Vec<String>,
    /// Sentences on tensors that were left and why that is normal.
    pub unused: Vec<String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.taken)?;
        let rest = self.new.iter().chain(&self.carried).chain(&self.unused);
        rest.into_iter().try_for_each(|sentence| write!(formatter, "\n{sentence}"))
    }
}

/// The kinds of tensors that checkpoints commonly hold besides a classifier's, and why each is left.
const KNOWN_LEFTOVERS: [(fn(&str) -> bool, &str); 4] = [
    (
        |name| {
            [
                "lm_head.",
                "cls.",
                "vocab_transform.",
                "vocab_layer_norm.",
                "vocab_projector.",
                "discriminator_predictions.",
            ]
            .iter()
            .any(|start| name.starts_with(start))
        },
        "belong to the pretraining task (masked words, next sentence), which a classifier does not have: normal for a pretrained base model",
    ),
    (
        |name| name.ends_with("position_ids") || name.ends_with("token_type_ids"),
        "are counters that older versions of transformers stored and that are computed instead: normal",
    ),
    (|name| name.contains("pooler."), "belong to the pooler, which the classifier of this family does not use: normal"),
    (
        |name| {
            name.starts_with("qa_outputs.") || name.starts_with("classifier.") || name.starts_with("pre_classifier.")
        },
        "belong to the head of another task: they are not used",
    ),
];

/// Sentences on tensors that no parameter wanted; `plain` gives a name without wrappers' prefixes.
pub(super) fn on_unused(names: &[String], plain: impl Fn(&str) -> String) -> Vec<String> {
    let mut kinds: Vec<Vec<&str>> = vec![Vec::new(); KNOWN_LEFTOVERS.len() + 1];
    for name in names {
        let plain = plain(name);
        let kind = KNOWN_LEFTOVERS.iter().position(|(holds, _)| holds(&plain)).unwrap_or(KNOWN_LEFTOVERS.len());
        kinds[kind].push(name);
    }
    let reasons = KNOWN_LEFTOVERS.iter().map(|(_, reason)| *reason).chain(["have no place in this architecture"]);
    let found = kinds.iter().zip(reasons).filter(|(names, _)| !names.is_empty());
    found.map(|(names, reason)| format!("Unused: {} {reason}.", list(names))).collect()
}

/// "3 tensors (a, b, …)".
pub(super) fn list(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    if names.len() > SHOWN {
        shown.push("…");
    }
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} tensor{plural} ({})", names.len(), shown.join(", "))
}
