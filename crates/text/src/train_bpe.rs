//! Learning a byte-level BPE vocabulary with RoBERTa's special tokens from texts.

use std::path::Path;

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model};

use crate::error::TextError;
use crate::load::guard::guarded;

/// RoBERTa's special tokens in the order of their ids, 0 to 4.
const SPECIAL_TOKENS: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];

/// Learns at most `vocab_size` tokens from `texts` and writes `vocab.json` and `merges.txt` into `directory`, for
/// [`Tokenizer::from_dir`](crate::Tokenizer::from_dir) with the model type `roberta`.
///
/// # Errors
/// [`TextError::Unusable`] if training or writing fails.
pub fn train_byte_level_bpe(texts: &[&str], vocab_size: usize, directory: &Path) -> Result<(), TextError> {
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL_TOKENS.iter().map(|token| AddedToken::from(*token, true)).collect())
        .build();
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    guarded(|| {
        tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), texts.iter())?;
        tokenizer.get_model().save(directory, None).map(drop)
    })
    .map_err(|problem| TextError::unusable(directory, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncodeSettings, Tokenizer};

    #[test]
    fn a_learned_vocabulary_merges_what_is_frequent_and_loses_nothing() {
        let texts: Vec<String> = (0..50).map(|n| format!("the film was wonderful, number {n} é 🎬")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        train_byte_level_bpe(&texts, 400, folder.path()).unwrap();
        let tokenizer = Tokenizer::from_dir(folder.path(), "roberta", 64).unwrap();
        assert!(tokenizer.vocab_size() <= 400);
        let encoded = tokenizer.encode("the film was wonderful 🎬 ß", None, &EncodeSettings::default()).unwrap();
        assert_eq!((encoded.ids[0], encoded.ids.last()), (0, Some(&2)));
        let words = &encoded.ids[1..encoded.ids.len() - 1];
        assert_eq!(tokenizer.decode(words).unwrap(), "the film was wonderful 🎬 ß");
        assert!(words.len() < 20, "{} tokens: nothing was merged", words.len());
    }
}
