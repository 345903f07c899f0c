//! Tokenized examples, flat in memory: what training and evaluation read.

use crate::error::TrainError;
use serin_data::Dataset;
use serin_model::{Batch, ModelConfig, Sequence, Target};
use serin_text::{EncodeSettings, Tokenizer};

/// Examples tokenized at a time: bounds what is held twice.
const CHUNK: usize = 2048;

/// Token ids and targets of a dataset, in its order.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    ids: Vec<u32>,
    types: Vec<u8>,
    /// Where each example's tokens begin, and the last one's end.
    offsets: Vec<usize>,
    /// Tokens before truncation.
    full_lengths: Vec<usize>,
    targets: Vec<Target>,
}

impl Examples {
    /// Tokenizes a labelled dataset in parallel; `progress` is told how many examples are done.
    pub fn encode(
        dataset: &Dataset,
        tokenizer: &Tokenizer,
        settings: &EncodeSettings,
        progress: &dyn Fn(usize),
    ) -> Result<Examples, TrainError> {
        let mut examples = Examples { offsets: vec![0], ..Examples::default() };
        for chunk in dataset.examples.chunks(CHUNK) {
            let texts: Vec<_> = chunk.iter().map(|row| (row.text.as_str(), row.pair.as_deref())).collect();
            for (encoded, row) in tokenizer.encode_batch(&texts, settings)?.into_iter().zip(chunk) {
                let target = model_target(&row.target)
                    .ok_or_else(|| TrainError::Data(format!("{}: row {} has no label", dataset.name, row.row)))?;
                examples.push(&encoded.ids, &encoded.type_ids, encoded.full_length, target);
            }
            progress(examples.len());
        }
        Ok(examples)
    }

    /// Appends one example.
    pub fn push(&mut self, ids: &[u32], types: &[u8], full_length: usize, target: Target) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.ids.extend_from_slice(ids);
        self.types.extend_from_slice(types);
        self.offsets.push(self.ids.len());
        self.full_lengths.push(full_length);
        self.targets.push(target);
    }

    /// The examples at `indices`, in that order.
    pub fn part(&self, indices: &[usize]) -> Examples {
        let mut part = Examples::default();
        for &index in indices {
            part.push(self.ids(index), self.types(index), self.full_length(index), self.target(index).clone());
        }
        part
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Tokens of all examples, after truncation.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Tokens of an example, after truncation.
    pub fn length(&self, index: usize) -> usize {
        self.offsets[index + 1] - self.offsets[index]
    }

    /// The row of an example's first token when all examples lie end to end.
    pub fn first_token(&self, index: usize) -> usize {
        self.offsets[index]
    }

    /// Tokens of an example before truncation.
    pub fn full_length(&self, index: usize) -> usize {
        self.full_lengths[index]
    }

    /// Whether an example was cut.
    pub fn truncated(&self, index: usize) -> bool {
        self.full_lengths[index] > self.length(index)
    }

    /// What an example is labelled with.
    pub fn target(&self, index: usize) -> &Target {
        &self.targets[index]
    }

    /// An example's token ids.
    pub fn ids(&self, index: usize) -> &[u32] {
        self.sequence(index).ids
    }

    /// An example's token type ids.
    pub fn types(&self, index: usize) -> &[u8] {
        self.sequence(index).types
    }

    /// Packs the examples at `indices`.
    pub fn pack(&self, config: &ModelConfig, indices: &[u32]) -> Batch {
        Batch::pack(config, indices.iter().map(|&index| self.sequence(index as usize)))
    }

    fn sequence(&self, index: usize) -> Sequence<'_> {
        let tokens = self.offsets[index]..self.offsets[index + 1];
        Sequence { ids: &self.ids[tokens.clone()], types: &self.types[tokens] }
    }
}

/// A dataset's target in the vocabulary of models; `None` where a row has no label.
pub fn model_target(target: &serin_data::Target) -> Option<Target> {
    Some(match target {
        serin_data::Target::Class(class) => Target::Class(*class),
        serin_data::Target::Multi(flags) => Target::Multi(flags.clone()),
        serin_data::Target::Score(score) => Target::Score(*score),
        serin_data::Target::Unlabelled => return None,
    })
}
