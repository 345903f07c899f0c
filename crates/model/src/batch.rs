//! A packed batch: sequences end to end, with no padding between them.

use crate::config::ModelConfig;
use std::ops::Range;

/// A sequence of token ids, special tokens included.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Token ids, at least one.
    pub ids: &'a [u32],
    /// Token type ids, one a token; ignored by families without them.
    pub types: &'a [u8],
}

/// Sequences laid end to end.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Token ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// Position ids, `[tokens]`.
    pub positions: Vec<u32>,
    /// Token type ids, `[tokens]`.
    pub types: Vec<u32>,
    /// Where sequences begin and the last one ends, `[sequences + 1]`.
    pub offsets: Vec<u32>,
}

impl Batch {
    /// Packs sequences that fit the model: every length in `1..=max_length`, every id inside the vocabulary.
    ///
    /// Positions are those of `transformers`: RoBERTa's count tokens that are not padding from `pad_token + 1` on, and a
    /// literal padding token inside a text has position `pad_token`; BERT's count all tokens from 0.
    pub fn pack<'a>(config: &ModelConfig, sequences: impl IntoIterator<Item = Sequence<'a>>) -> Batch {
        let mut batch = Batch { offsets: vec![0], ..Batch::default() };
        for sequence in sequences {
            assert!(!sequence.ids.is_empty() && sequence.ids.len() <= config.max_length(), "sequence does not fit");
            assert!(sequence.ids.iter().all(|&id| (id as usize) < config.vocab), "token id outside the vocabulary");
            batch.ids.extend_from_slice(sequence.ids);
            let mut position = config.first_position() as u32;
            for &id in sequence.ids {
                if config.family.positions_follow_padding() && id == config.pad_token {
                    batch.positions.push(config.pad_token);
                } else {
                    batch.positions.push(position);
                    position += 1;
                }
            }
            // RoBERTa's table has one row: any other id would be out of range, and its tokenizers give 0.
            let last_type = config.token_types.saturating_sub(1) as u32;
            batch.types.extend(sequence.types.iter().map(|&kind| u32::from(kind).min(last_type)));
            batch.types.resize(batch.ids.len(), 0);
            batch.offsets.push(batch.ids.len() as u32);
        }
        batch
    }

    /// Tokens of all sequences.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The rows of a sequence.
    pub fn rows(&self, sequence: usize) -> Range<usize> {
        self.offsets[sequence] as usize..self.offsets[sequence + 1] as usize
    }

    /// Splits into runs of sequences of at most `tokens` tokens each (a longer sequence alone), in order.
    ///
    /// A micro-batch bounds memory; the split depends on lengths alone, so results do not change with the machine.
    pub fn micro_batches(&self, tokens: usize) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut first = 0;
        for sequence in 0..self.sequences() {
            let total = self.offsets[sequence + 1] - self.offsets[first];
            if total as usize > tokens && sequence > first {
                runs.push(first..sequence);
                first = sequence;
            }
        }
        if first < self.sequences() {
            runs.push(first..self.sequences());
        }
        runs
    }

    /// The sequences of a run as a batch of their own.
    pub fn slice(&self, run: Range<usize>) -> Batch {
        let start = self.offsets[run.start];
        let rows = start as usize..self.offsets[run.end] as usize;
        Batch {
            ids: self.ids[rows.clone()].to_vec(),
            positions: self.positions[rows.clone()].to_vec(),
            types: self.types[rows].to_vec(),
            offsets: self.offsets[run.start..=run.end].iter().map(|offset| offset - start).collect(),
        }
    }
}
