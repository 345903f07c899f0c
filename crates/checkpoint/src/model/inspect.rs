//! What a model folder holds, counted: for people who want to know before they train.

use std::path::Path;

use serde::Serialize;
use serin_model::{Group, ParameterSpec};

use super::{LoadReport, LoadedFolder, RecordedText};
use crate::CheckpointError;

/// A file and its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSize {
    /// Its name in the folder.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}

/// The parameters of a part of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupSize {
    /// `embeddings`, `layer 0`, …, `head`.
    pub name: String,
    /// Tensors.
    pub tensors: usize,
    /// Their elements.
    pub parameters: u64,
}

/// A model folder in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// `model_type`.
    pub model_type: String,
    /// Width of a token's vector.
    pub hidden: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Rows of the word embedding.
    pub vocabulary: usize,
    /// Tokens that a text may have, special tokens included.
    pub max_length: usize,
    /// Label names by id.
    pub labels: Vec<String>,
    /// How logits become predictions.
    pub problem_type: &'static str,
    /// Whether the head was trained, so that predictions mean something.
    pub trained_head: bool,
    /// Embeddings, each layer, the head.
    pub groups: Vec<GroupSize>,
    /// The sum of all groups.
    pub parameters: u64,
    /// What was read and what not.
    pub report: LoadReport,
    /// Every file of the folder, by name.
    pub files: Vec<FileSize>,
    /// `serin.json`, where there is one.
    pub text: Option<RecordedText>,
}

impl LoadedFolder {
    /// Counts what the folder holds.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if the folder cannot be listed.
    pub fn inspect(&self) -> Result<Inspection, CheckpointError> {
        let config = self.config();
        let groups = group_sizes(&config.parameters());
        Ok(Inspection {
            model_type: config.family.model_type().to_owned(),
            hidden: config.hidden,
            layers: config.layers,
            heads: config.heads,
            intermediate: config.intermediate,
            vocabulary: config.vocab,
            max_length: config.max_length(),
            labels: config.labels.clone(),
            problem_type: config.problem_type().hugging_face_name(),
            trained_head: self.has_trained_head(),
            parameters: groups.iter().map(|group| group.parameters).sum(),
            groups,
            report: self.report(),
            files: file_sizes(self.path())?,
            text: self.recorded_text().cloned(),
        })
    }
}

fn group_sizes(specs: &[ParameterSpec]) -> Vec<GroupSize> {
    let mut groups: Vec<(Group, GroupSize)> = Vec::new();
    for spec in specs {
        if groups.last().is_none_or(|(group, _)| *group != spec.group) {
            groups.push((spec.group, GroupSize { name: spec.group.to_string(), tensors: 0, parameters: 0 }));
        }
        if let Some((_, size)) = groups.last_mut() {
            size.tensors += 1;
            size.parameters += spec.len() as u64;
        }
    }
    groups.into_iter().map(|(_, size)| size).collect()
}

fn file_sizes(folder: &Path) -> Result<Vec<FileSize>, CheckpointError> {
    let fail = |error| CheckpointError::io(folder, "list the folder", error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        // Follows links: the Hub's cache is made of them.
        let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
        if metadata.is_file() {
            files.push(FileSize { name: entry.file_name().to_string_lossy().into_owned(), bytes: metadata.len() });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
