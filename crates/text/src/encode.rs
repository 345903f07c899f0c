//! One text, a pair or a batch to token ids.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::TextError;
use crate::load::guard::guarded;
use crate::long_text::pieces;
use crate::normalize::Normalization;
use crate::tokenizer::Tokenizer;
use crate::truncate::{Truncation, share_longest_first};

/// How texts become token ids; the same settings must be used for training and for prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default)]
pub struct EncodeSettings {
    /// The most tokens a sequence may have, special tokens included; clipped to the model's positions.
    pub max_length: usize,
    /// Which tokens are kept where there are more.
    pub truncation: Truncation,
    /// What is done to the text first.
    pub normalization: Normalization,
}

impl Default for EncodeSettings {
    fn default() -> Self {
        Self { max_length: 512, truncation: Truncation::Right, normalization: Normalization::None }
    }
}

/// A tokenized text or pair, special tokens included, never padded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, shape `[tokens]`.
    pub ids: Vec<u32>,
    /// Token type ids, shape `[tokens]`: all 0 but in the second text of a BERT pair.
    pub type_ids: Vec<u8>,
    /// How many tokens there were before truncation, special tokens included.
    pub full_length: usize,
}

impl Encoded {
    /// Whether tokens were cut off.
    pub fn truncated(&self) -> bool {
        self.full_length > self.ids.len()
    }
}

impl Tokenizer {
    /// Token ids of `text`, or of the pair `text`, `pair`.
    ///
    /// The ids are those of the Python package `tokenizers`; `Some("")` is a pair whose second text is empty. A text of more than 64 KiB is tokenized in pieces cut
    /// between words, which changes no id; only inside 256 KiB without a single space between two words do ids, and
    /// with them `full_length`, depend on where the text was cut.
    ///
    /// # Errors
    /// [`TextError::MaxLength`] if the limit has no room for the special tokens and one more;
    /// [`TextError::Tokenize`] if the tokenizer fails on the text.
    pub fn encode(&self, text: &str, pair: Option<&str>, settings: &EncodeSettings) -> Result<Encoded, TextError> {
        let template = self.template(pair.is_some());
        let special = template.special_count();
        let max_length = settings.max_length.min(self.max_positions());
        let budget = match max_length.checked_sub(special) {
            Some(budget) if budget > 0 => budget,
            _ => return Err(TextError::MaxLength { max_length, special }),
        };

        let mut texts = vec![self.content_ids(&settings.normalization.apply(text))?];
        if let Some(pair) = pair {
            texts.push(self.content_ids(&settings.normalization.apply(pair))?);
        }
        let full_length = special + texts.iter().map(Vec::len).sum::<usize>();
        match texts.as_mut_slice() {
            [first, second] => {
                let (for_first, for_second) = share_longest_first(first.len(), second.len(), budget);
                settings.truncation.cut(first, for_first);
                settings.truncation.cut(second, for_second);
            }
            single => single.iter_mut().for_each(|ids| settings.truncation.cut(ids, budget)),
        }
        let (ids, type_ids) = template.assemble(&texts);
        Ok(Encoded { ids, type_ids, full_length })
    }

    /// [`encode`](Self::encode) of every text or pair, in parallel on the current rayon pool; the order is kept.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), the first in order of the inputs that failed.
    pub fn encode_batch(
        &self,
        inputs: &[(&str, Option<&str>)],
        settings: &EncodeSettings,
    ) -> Result<Vec<Encoded>, TextError> {
        let encoded: Vec<Result<Encoded, TextError>> =
            inputs.par_iter().map(|(text, pair)| self.encode(text, *pair, settings)).collect();
        encoded.into_iter().collect()
    }

    /// All token ids of a text of any length, without special tokens around them and never cut.
    ///
    /// # Errors
    /// [`TextError::Tokenize`] if the tokenizer fails on the text.
    pub fn content_ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        for piece in pieces(text) {
            let encoding = guarded(|| self.inner().encode_fast(piece, false))
                .map_err(|problem| TextError::Tokenize { problem })?;
            ids.extend_from_slice(encoding.get_ids());
        }
        Ok(ids)
    }
}
