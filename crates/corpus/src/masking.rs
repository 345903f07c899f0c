//! Which tokens of a sequence are to be guessed, and what stands in their place.

use serin_random::{mix, unit};
use serin_text::Tokenizer;

use crate::error::CorpusError;

/// Keeps these draws apart from those of other hashes with the same seed.
const PURPOSE: u64 = 0x6d61_736b_696e_6721;

/// Of the tokens that are to be guessed, 80 % become the mask token,
const SHARE_MASKED: f64 = 0.8;
/// 10 % a random token, and the rest stays.
const SHARE_RANDOM: f64 = 0.1;

/// Dynamic masking (Devlin et al. 2019, section 3.1; Liu et al. 2019, section 4.1), with the distribution of
/// `DataCollatorForLanguageModeling` of `transformers`.
///
/// Each draw is a hash of (seed, epoch, sequence, position) and of nothing else: masks are new in every epoch, and the
/// same in a resumed run, in another batch and on another thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Masking {
    seed: u64,
    probability: f64,
    mask_token_id: u32,
    vocab_size: u32,
    /// Sorted.
    special_ids: Vec<u32>,
}

impl Masking {
    /// Masks for the sequences of a tokenizer; `probability` is 0.15 in BERT and RoBERTa.
    ///
    /// # Errors
    /// A tokenizer without a mask token, or a probability that is not above 0 and at most 1.
    pub fn new(tokenizer: &Tokenizer, probability: f64, seed: u64) -> Result<Self, CorpusError> {
        let Some(mask_token_id) = tokenizer.special_ids().mask else {
            return Err(CorpusError::Tokenizer { problem: "it has no mask token (<mask>, [MASK])".into() });
        };
        let vocab_size = u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        Self::with_ids(seed, probability, mask_token_id, vocab_size, tokenizer.all_special_ids())
    }

    /// Masks by ids: `special_ids` are never chosen, random tokens are uniform in `0..vocab_size`.
    ///
    /// # Errors
    /// A probability that is not above 0 and at most 1, or an empty vocabulary.
    pub fn with_ids(
        seed: u64,
        probability: f64,
        mask_token_id: u32,
        vocab_size: u32,
        mut special_ids: Vec<u32>,
    ) -> Result<Self, CorpusError> {
        if !(probability > 0.0 && probability <= 1.0) {
            let problem = format!("{probability} is not above 0 and at most 1");
            return Err(CorpusError::Setting { field: "mlm_probability", problem });
        }
        if vocab_size == 0 {
            return Err(CorpusError::Setting { field: "vocab_size", problem: "it is 0".into() });
        }
        special_ids.sort_unstable();
        special_ids.dedup();
        Ok(Self { seed, probability, mask_token_id, vocab_size, special_ids })
    }

    /// The id of the mask token.
    pub fn mask_token_id(&self) -> u32 {
        self.mask_token_id
    }

    /// Masks `ids`, the tokens of one sequence, in place.
    ///
    /// The positions to guess, counted from the beginning of `ids` and ascending, are appended to `positions`, and the
    /// original tokens there to `targets`. There may be none of them, as in a sequence of three tokens.
    pub fn apply(&self, epoch: u64, sequence: u64, ids: &mut [u32], positions: &mut Vec<u32>, targets: &mut Vec<u32>) {
        let key = mix(mix(mix(self.seed ^ PURPOSE) ^ epoch) ^ sequence);
        for (position, id) in (0u32..).zip(ids) {
            let chosen = mix(mix(key) ^ u64::from(position));
            if unit(chosen) >= self.probability || self.special_ids.binary_search(id).is_ok() {
                continue;
            }
            positions.push(position);
            targets.push(*id);
            let (fate, replacement) = (mix(chosen), mix(mix(chosen)));
            let fate = unit(fate);
            if fate < SHARE_MASKED {
                *id = self.mask_token_id;
            } else if fate < SHARE_MASKED + SHARE_RANDOM {
                *id = ((u128::from(replacement) * u128::from(self.vocab_size)) >> 64) as u32;
            }
        }
    }
}
