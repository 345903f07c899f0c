//! What is tokenized, and how it is cut into sequences.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serin_text::Normalization;

use crate::documents::DocumentOptions;
use crate::error::CorpusError;

/// The shortest sequence that a corpus may be cut into, special tokens included.
pub(crate) const SHORTEST_MAX_LENGTH: usize = 16;

/// How documents become sequences (Liu et al. 2019, "RoBERTa", section 4.2).
///
/// Both cut at token boundaries: sentences are not looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// All documents one after the other with `</s>` (`[SEP]`) between them, cut into full sequences. All but the last
    /// sequence of a corpus have `max_length` tokens, or one less where a document ends just before.
    #[default]
    FullSentences,
    /// No sequence crosses a document: long ones give several sequences, short ones a short one. Of a long document, a
    /// rest of fewer than 8 tokens is dropped and counted.
    DocSentences,
}

/// How a corpus is made; a resumed run must have the same.
#[derive(Clone, Debug, PartialEq)]
pub struct CorpusSettings {
    /// The most tokens of a sequence, special tokens included; at least 16, at most what the model has positions for.
    pub max_length: usize,
    /// How documents become sequences.
    pub packing: Packing,
    /// How documents are read.
    pub documents: DocumentOptions,
    /// What is done to every text first.
    pub normalization: Normalization,
    /// The share of the documents of [`CorpusSources::train`] that is held out, at least 0 and less than 1.
    ///
    /// Whether a document is held out depends on a 64-bit hash of the seed and its text, so that exact duplicates are
    /// always on the same side.
    pub validation_fraction: f64,
    /// The seed of that choice.
    pub seed: u64,
}

impl Default for CorpusSettings {
    fn default() -> Self {
        Self {
            max_length: 512,
            packing: Packing::default(),
            documents: DocumentOptions::default(),
            normalization: Normalization::None,
            validation_fraction: 0.0,
            seed: 42,
        }
    }
}

impl CorpusSettings {
    pub(crate) fn check(&self) -> Result<(), CorpusError> {
        if self.max_length < SHORTEST_MAX_LENGTH {
            let problem = format!("{} is too short, take at least {SHORTEST_MAX_LENGTH}", self.max_length);
            return Err(CorpusError::Setting { field: "max_length", problem });
        }
        if !(0.0..1.0).contains(&self.validation_fraction) {
            let problem = format!("{} is not at least 0 and less than 1", self.validation_fraction);
            return Err(CorpusError::Setting { field: "validation_fraction", problem });
        }
        Ok(())
    }
}

/// The files that a corpus is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorpusSources {
    /// What is learned from.
    pub train: Vec<PathBuf>,
    /// Held-out documents of their own; whatever of them is also in `train`, word for word, is not learned from.
    pub validation: Vec<PathBuf>,
    /// Whatever of `train` is also in these files, word for word, is used for nothing: test data, above all.
    pub exclude: Vec<PathBuf>,
}
