//! What was done with a checkpoint's tensors, in sentences for people and fields for machines.

use std::cmp::Reverse;
use std::fmt;
use std::path::Path;

use serde::Serialize;
use serin_model::{ParameterSpec, Task};

use super::LoadedFolder;
use super::head::HeadLayer;
use super::names::{file_name, plain_name};

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

impl LoadedFolder {
    /// What is read, new, carried over and unused, in sentences.
    pub fn report(&self) -> LoadReport {
        let specs = self.config().parameters();
        let (taken, missing): (Vec<&ParameterSpec>, Vec<_>) =
            specs.iter().partition(|spec| self.located.contains_key(&spec.name) && !self.starts_fresh(&spec.name));
        let file_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut report = LoadReport {
            tensors: taken.len(),
            parameters: taken.iter().map(|spec| self.elements_read(spec) as u64).sum(),
            files: self.weights().paths().into_iter().filter_map(file_of).collect(),
            dtypes: self.dtypes(&taken),
            new_parameters: missing.iter().map(|spec| spec.name.clone()).collect(),
            unused_tensors: self.unused.clone(),
            unused: on_unused(&self.unused, self.config().task),
            carried: self.rows.sentence.iter().cloned().collect(),
            ..LoadReport::default()
        };
        report.taken = format!(
            "Read {} tensors with {} parameters ({}) from {}.",
            report.tensors,
            report.parameters,
            report.dtypes.join(", "),
            report.files.join(", ")
        );
        let new: Vec<String> = missing.iter().map(|spec| file_name(self.config().family, &spec.name)).collect();
        if !new.is_empty() {
            let training = match self.config().task {
                Task::Classification => "fine-tuning",
                Task::MaskedLanguage { .. } => "pretraining",
            };
            let why = format!("this is normal before {training}, and the model's answers mean nothing until then");
            report.new.push(format!("New, drawn at random: {}: {why}.", list(&new)));
        }
        report.new.extend(self.misfits.iter().cloned());
        report
    }

    /// The element types of parameters in the files, the commonest first.
    fn dtypes(&self, taken: &[&ParameterSpec]) -> Vec<String> {
        let mut dtypes: Vec<(String, usize)> = Vec::new();
        for view in taken.iter().filter_map(|spec| self.view(&spec.name)) {
            let name = format!("{:?}", view.dtype);
            match dtypes.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => dtypes.push((name, 1)),
            }
        }
        dtypes.sort_by_key(|(_, count)| Reverse(*count));
        dtypes.into_iter().map(|(name, _)| name).collect()
    }

    /// Of the last layer only the rows that were carried over.
    fn elements_read(&self, spec: &ParameterSpec) -> usize {
        match HeadLayer::of(&spec.name) {
            Some(HeadLayer::Output) => spec.len() / self.rows.from.len() * self.rows.from.iter().flatten().count(),
            _ => spec.len(),
        }
    }

    fn starts_fresh(&self, parameter: &str) -> bool {
        HeadLayer::of(parameter) == Some(HeadLayer::Output) && self.rows.from.iter().all(Option::is_none)
    }
}

/// A kind of tensor that checkpoints commonly hold besides the model's.
struct Leftover {
    starts: &'static [&'static str],
    ends: &'static [&'static str],
    /// Why it is left, after "… tensors (…)".
    reason: &'static str,
}

const COUNTERS: Leftover = Leftover {
    starts: &[],
    ends: &["position_ids", "embeddings.token_type_ids"],
    reason: "of counters that older versions of transformers stored and that are computed instead: normal",
};

const POOLER: Leftover = Leftover {
    starts: &["roberta.pooler.", "bert.pooler.", "pooler."],
    ends: &[],
    reason: "of a pooler, which this model's head does not use: normal",
};

const CLASSIFIERS: [&str; 3] = ["classifier.", "pre_classifier.", "qa_outputs."];

const OF_CLASSIFICATION: [Leftover; 4] = [
    Leftover {
        starts: &["lm_head.", "cls.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."],
        ends: &[],
        reason: "of the pretraining task (masked words, next sentence), which a classifier does not have: normal for \
                 a pretrained base model",
    },
    COUNTERS,
    POOLER,
    Leftover { starts: &CLASSIFIERS, ends: &[], reason: "of a head that does not fit this classifier" },
];

const OF_MASKED_LANGUAGE: [Leftover; 5] = [
    Leftover {
        starts: &["lm_head.", "cls.predictions.", "vocab_projector."],
        ends: &[],
        reason: "of a decoder that is the word embedding, or that has two names: normal",
    },
    Leftover {
        starts: &["cls.seq_relationship."],
        ends: &[],
        reason: "of next-sentence prediction, which RoBERTa's way of pretraining leaves out: normal",
    },
    COUNTERS,
    POOLER,
    Leftover {
        starts: &CLASSIFIERS,
        ends: &[],
        reason: "of a classifier, which masked language modelling does not have: normal",
    },
];

impl Leftover {
    fn holds(&self, name: &str) -> bool {
        self.starts.iter().any(|start| name.starts_with(start)) || self.ends.iter().any(|end| name.ends_with(end))
    }
}

/// Sentences on tensors that no parameter wanted.
fn on_unused(names: &[String], task: Task) -> Vec<String> {
    let leftovers: &[Leftover] = match task {
        Task::Classification => &OF_CLASSIFICATION,
        Task::MaskedLanguage { .. } => &OF_MASKED_LANGUAGE,
    };
    let mut kinds: Vec<Vec<&str>> = vec![Vec::new(); leftovers.len() + 1];
    for name in names {
        let plain = plain_name(name);
        let kind = leftovers.iter().position(|leftover| leftover.holds(&plain)).unwrap_or(leftovers.len());
        kinds[kind].push(name);
    }
    let reasons = leftovers.iter().map(|leftover| leftover.reason).chain(["that have no place in this architecture"]);
    let found = kinds.iter().zip(reasons).filter(|(names, _)| !names.is_empty());
    found.map(|(names, reason)| format!("Unused: {} {reason}.", list(names))).collect()
}

/// "3 tensors (a, b, …)".
fn list(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    if names.len() > SHOWN {
        shown.push("…");
    }
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{} tensor{plural} ({})", names.len(), shown.join(", "))
}
