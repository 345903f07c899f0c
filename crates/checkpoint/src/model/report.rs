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

/// A kind of tensor that checkpoints commonly hold besides a classifier's.
struct Leftover {
    starts: &'static [&'static str],
    ends: &'static [&'static str],
    /// Why it is left, after "… tensors (…)".
    reason: &'static str,
}

const LEFTOVERS: [Leftover; 4] = [
    Leftover {
        starts: &["lm_head.", "cls.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."],
        ends: &[],
        reason: "of the pretraining task (masked words, next sentence), which a classifier does not have: normal for \
                 a pretrained base model",
    },
    Leftover {
        starts: &[],
        ends: &["position_ids", "embeddings.token_type_ids"],
        reason: "of counters that older versions of transformers stored and that are computed instead: normal",
    },
    Leftover {
        starts: &["roberta.pooler.", "bert.pooler.", "pooler."],
        ends: &[],
        reason: "of a pooler, which this model's classifier does not use: normal",
    },
    Leftover {
        starts: &["classifier.", "pre_classifier.", "qa_outputs."],
        ends: &[],
        reason: "of a head that does not fit this classifier",
    },
];

impl Leftover {
    fn holds(&self, name: &str) -> bool {
        self.starts.iter().any(|start| name.starts_with(start)) || self.ends.iter().any(|end| name.ends_with(end))
    }
}

/// Sentences on tensors that no parameter wanted; `plain` gives a name without wrappers' prefixes.
pub(super) fn on_unused(names: &[String], plain: impl Fn(&str) -> String) -> Vec<String> {
    let mut kinds: [Vec<&str>; LEFTOVERS.len() + 1] = Default::default();
    for name in names {
        let plain = plain(name);
        let kind = LEFTOVERS.iter().position(|leftover| leftover.holds(&plain)).unwrap_or(LEFTOVERS.len());
        kinds[kind].push(name);
    }
    let reasons = LEFTOVERS.iter().map(|leftover| leftover.reason).chain(["that have no place in this architecture"]);
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
