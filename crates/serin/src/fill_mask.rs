//! Guessing the tokens behind the masks of a text.

use crate::classifier::ClassifierOptions;
use crate::engine::{self, Engine};
use crate::error::SerinError;
use crate::pretrained::Pretrained;
use serde::Serialize;
use serin_checkpoint::hub::{Progress, Silent};
use serin_model::{Batch, Sequence};
use serin_text::{EncodeSettings, Tokenizer};

/// How a mask may be written for every model, whatever its tokenizer calls it.
pub const MASK: &str = "<mask>";

/// A token that may stand behind a mask.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The token as text, with the space before it where it begins a word.
    pub token: String,
    /// Its id.
    pub token_id: u32,
    /// Its probability among all tokens.
    pub score: f64,
}

/// A text with its masks filled in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilledText {
    /// The text as given.
    pub text: String,
    /// The text with each mask's likeliest token, each chosen by itself.
    pub filled: String,
    /// For each mask in order the likeliest tokens, the likeliest first.
    pub masks: Vec<Vec<Candidate>>,
    /// Whether the text was longer than the model reads.
    pub truncated: bool,
}

/// A masked language model with its tokenizer, on a device.
pub struct MaskFiller {
    engine: Box<dyn Engine>,
    tokenizer: Tokenizer,
    text: EncodeSettings,
    mask: u32,
}

impl MaskFiller {
    /// Opens a model folder, a run's output folder, or a Hub id.
    ///
    /// # Errors
    /// Anything wrong with the model's files; a model without a masked-language head, or a tokenizer without a mask.
    pub fn from_pretrained(name: &str, options: &ClassifierOptions) -> Result<MaskFiller, SerinError> {
        MaskFiller::open(name, options, &Silent)
    }

    /// The same, telling `progress` of downloads.
    ///
    /// # Errors
    /// Those of [`MaskFiller::from_pretrained`].
    pub fn open(name: &str, options: &ClassifierOptions, progress: &dyn Progress) -> Result<MaskFiller, SerinError> {
        let opened = Pretrained::open_masked_language(name, &options.pretrained, progress)?;
        let Pretrained { folder, tokenizer, text, .. } = opened;
        if !folder.has_trained_head() {
            return Err(SerinError::Refused(format!(
                "{name}: this model has no masked-language head, its guesses would be noise\nhint: take a model that was \
                 saved as ...ForMaskedLM, or go on pretraining it: serin pretrain --model {name} ..."
            )));
        }
        let mask = tokenizer.special_ids().mask;
        let mask = mask.ok_or_else(|| SerinError::Refused(format!("{name}: its tokenizer has no mask token")))?;
        let engine = engine::open(&folder, options.device, text.max_length, 1)?;
        Ok(MaskFiller { engine, tokenizer, text, mask })
    }

    /// The `top_k` likeliest tokens for each mask of a text.
    ///
    /// # Errors
    /// A text without a mask, or whose masks are all cut off.
    pub fn fill(&mut self, text: &str, top_k: usize) -> Result<FilledText, SerinError> {
        let own = self.tokenizer.token(self.mask).unwrap_or_default();
        let masked = text.replace(MASK, &own);
        let encoded = self.tokenizer.encode(&masked, None, &self.text)?;
        let rows: Vec<u32> = (0..).zip(&encoded.ids).filter(|(_, id)| **id == self.mask).map(|(row, _)| row).collect();
        if rows.is_empty() {
            let cut = if masked.contains(&own) { ": all of its masks are beyond the model's length" } else { "" };
            return Err(SerinError::Refused(format!("no {own} in the text{cut}\nhint: \"a {own} text\"")));
        }
        let sequence = Sequence { ids: &encoded.ids, types: &encoded.type_ids };
        let batch = Batch::pack(self.engine.config(), [sequence]);
        let logits = self.engine.token_logits(&batch, &rows)?;
        let mut ids = encoded.ids.clone();
        let mut masks = Vec::new();
        for (row, logits) in rows.iter().zip(logits.chunks_exact(self.engine.config().vocab)) {
            let candidates = self.candidates(logits, top_k.max(1))?;
            if let Some(best) = candidates.first() {
                ids[*row as usize] = best.token_id;
            }
            masks.push(candidates);
        }
        let filled = self.tokenizer.decode(&ids)?;
        Ok(FilledText { text: text.to_owned(), filled, masks, truncated: encoded.truncated() })
    }

    /// The likeliest tokens of a row of logits; rows of the embedding that are no token's are passed over.
    fn candidates(&self, logits: &[f32], top_k: usize) -> Result<Vec<Candidate>, SerinError> {
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        let mut order: Vec<u32> = (0..logits.len() as u32).filter(|&id| self.tokenizer.token(id).is_some()).collect();
        order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
        let candidate = |&id: &u32| -> Result<Candidate, SerinError> {
            let score = (f64::from(logits[id as usize]) - largest).exp() / sum;
            let text = self.tokenizer.decode(&[id])?;
            let token = if text.is_empty() { self.tokenizer.token(id).unwrap_or_default() } else { text };
            Ok(Candidate { token, token_id: id, score })
        };
        order.iter().take(top_k).map(candidate).collect()
    }
}
